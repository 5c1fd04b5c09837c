"""What is asked of Redis or Valkey: every call has a deadline, every failure one name.

A call whose connection is lost is repeated once where that does no harm. A store
that does not answer is not asked again until a probe finds it back.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import OutOfMemoryError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from mlservice.errors import StoreUnavailable
from mlservice.store.breaker import Breaker
from mlservice.store.fullness import Fullness, store_full

T = TypeVar("T")

logger = logging.getLogger(__name__)
RETRY_AFTER_S = 2
PROBE_S = 1.0
# A step that finds itself done already says so; the others would answer as if
# somebody else had been first.
_REPEATABLE = {"create", "import", "claim", "renew", "overdue", "restore", "load"}


def _sources() -> dict[str, str]:
    """Return each script's source: its flags, the prelude, its body."""
    folder = resources.files(__package__) / "scripts"
    files = {file.name.removesuffix(".lua"): file.read_text("utf-8") for file in folder.iterdir()}
    prelude = files.pop("prelude")
    return {
        name: f"{flags}\n{prelude}\n{body}"
        for name, (flags, _, body) in ((n, text.partition("\n")) for n, text in files.items())
    }


_SOURCES = _sources()


class Link:
    """Commands and scripts, each within the store's deadline.

    Parameters
    ----------
    redis : Redis
        Its pool is closed with the link.
    timeout_s : float
        Longest time for one call, however often it is repeated.
    """

    def __init__(self, redis: "Redis", timeout_s: float) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._scripts = {name: redis.register_script(source) for name, source in _SOURCES.items()}
        self._breaker = Breaker(self._answers)
        self.fullness = Fullness(lambda: self.call("INFO", "memory"))

    @property
    def is_away(self) -> bool:
        """Whether the store is known to be away."""
        return not self._breaker.is_closed

    @property
    def outages(self) -> int:
        """How often the store was found to be away."""
        return self._breaker.outages

    async def call(self, *command: Any) -> Any:
        """Run one command, twice if its connection is lost: running twice must do no harm.

        Raises
        ------
        StoreUnavailable
            If the store does not answer in time, or refuses.
        StoreFull
            If it has no memory left.
        """
        return (await self._within(lambda: self._batch([command]), most=2))[0]

    async def batch(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run commands in one transaction and one round trip, never twice."""
        return await self._within(lambda: self._batch(commands))

    async def read(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run commands that change nothing, of the same moment and in one round trip."""
        return await self._within(lambda: self._batch(commands), most=2)

    async def _batch(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        async with self._redis.pipeline(transaction=True) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute()

    async def script(self, name: str, *arguments: Any) -> Any:
        """Run one atomic step."""
        most = 2 if name in _REPEATABLE else 1
        return await self._within(lambda: self._scripts[name](args=arguments), most=most)

    async def _within(self, work: Callable[[], Awaitable[T]], *, most: int = 1) -> T:
        """Do one call in its time; where its connection is lost, at most `most` times."""
        if self.is_away:
            raise _away()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await _repeated(work, most)
        except (RedisTimeout, TimeoutError):
            self._breaker.suspect(begun, is_late=True)
        except (LostConnection, OSError):
            self._breaker.suspect(begun, is_late=False)
        except OutOfMemoryError:
            raise store_full("all of its memory is in use") from None
        except RedisError as error:
            # The text of a redis-py error can hold a whole command, data included
            # (redis-py#3491), so only its class is told.
            logger.warning("the store refused: %s", type(error).__name__)
        raise _away()

    async def _answers(self) -> bool:
        """Tell whether the store answers on a new connection; what it answers is another matter."""
        # Those that wait in the pool may be as dead as the one that failed.
        pool = self._redis.connection_pool
        with contextlib.suppress(RedisError, OSError):
            await pool.disconnect(inuse_connections=False)
        connection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py 5 types few of its own
        try:
            async with asyncio.timeout(PROBE_S):
                await connection.connect()
                await connection.send_command("PING")
                await connection.read_response()
        except (LostConnection, RedisTimeout, OSError):
            return False
        except RedisError:
            return True
        else:
            return True
        finally:
            await connection.disconnect(nowait=True)

    def pubsub(self) -> "PubSub":
        """Return a connection's worth of subscriptions."""
        return self._redis.pubsub()

    async def close(self) -> None:
        """Close every connection."""
        await self._breaker.close()
        await self._redis.aclose()
        await self._redis.connection_pool.aclose()


async def _repeated(work: Callable[[], Awaitable[T]], most: int) -> T:
    for _ in range(most - 1):
        try:
            return await work()
        except (LostConnection, OSError):
            pass  # One connection may be lost while the store is there.
    return await work()


def _away() -> StoreUnavailable:
    return StoreUnavailable(
        "The store must answer, it does not; try again later.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
