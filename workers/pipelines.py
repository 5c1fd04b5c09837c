"""arq's client of the store, whose pipelines give their connection back whatever happens."""

from typing import Any

from arq.connections import ArqRedis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError


class _Returning(Pipeline):
    async def reset(self) -> None:
        """Give the connection back; redis-py 5 keeps it for ever where UNWATCH is not answered."""
        try:
            await super().reset()  # type: ignore[no-untyped-call]  # redis-py 5 types few of its own
        except (RedisError, OSError):
            if connection := self.connection:
                self.connection, self.watching = None, False
                await connection.disconnect(nowait=True)
                await self.connection_pool.release(connection)
            raise


class QueueRedis(ArqRedis):
    """What arq reads its queue with: a lost answer costs no connection of the pool."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Return a pipeline of the kind above."""
        return _Returning(self.connection_pool, self.response_callbacks, transaction, shard_hint)
