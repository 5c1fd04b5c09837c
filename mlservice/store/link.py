"""The connection to Redis or Valkey: every call has a deadline, every failure one name."""

import asyncio
import logging
from collections.abc import Iterable
from importlib import resources
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from mlservice.errors import BadSetting, StoreUnavailable
from mlservice.settings import Settings

logger = logging.getLogger(__name__)
RETRY_AFTER_S = 2


def open_redis(settings: Settings, *, connections: int = 50) -> "Redis":
    """Return a client of the store; it connects at its first command.

    Raises
    ------
    BadSetting
        If the address is not one of `redis://`, `rediss://` or `unix://`.
    """
    return Redis(connection_pool=open_pool(settings, connections=connections))


def open_pool(settings: Settings, *, connections: int = 50) -> BlockingConnectionPool:
    """Return a bounded pool of connections to the store."""
    url = settings.store_url
    options: dict[str, Any] = {"health_check_interval": 15}
    if not url.startswith("unix://"):
        options |= {"socket_keepalive": True, "socket_connect_timeout": 1}
    try:
        # No socket_timeout: redis-py 5 bounds it with wait_for, which loses
        # cancellations on Python 3.11 (cpython#86296). `Link` has the deadline.
        return BlockingConnectionPool.from_url(
            url, max_connections=connections, timeout=settings.store_timeout_s, **options
        )
    except ValueError as error:
        raise BadSetting(
            "MLSERVICE_REDIS_URL must begin with redis://, rediss:// or unix://."
        ) from error


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
    """Commands and scripts, each within the store's deadline."""

    def __init__(self, redis: "Redis", timeout_s: float) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._scripts = {name: redis.register_script(source) for name, source in _SOURCES.items()}

    async def call(self, *command: Any) -> Any:
        """Run one command.

        Raises
        ------
        StoreUnavailable
            If the store does not answer in time, or refuses.
        """
        return (await self.batch([command]))[0]

    async def batch(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Run commands in one transaction and one round trip."""
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._redis.pipeline(transaction=True) as pipe:
                    for command in commands:
                        pipe.execute_command(*command)
                    return await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable(error) from None

    async def script(self, name: str, *arguments: Any) -> Any:
        """Run one atomic step; repeating it after a lost answer does no harm."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._scripts[name](args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable(error) from None

    def pubsub(self) -> "PubSub":
        """Return a connection's worth of subscriptions."""
        return self._redis.pubsub()

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()
        await self._redis.connection_pool.aclose()


def _unavailable(error: Exception) -> StoreUnavailable:
    # The text of a redis-py error can hold a whole command, data included
    # (redis-py#3491), so only its class is told.
    logger.warning("the store did not do what was asked: %s", type(error).__name__)
    return StoreUnavailable(
        "The store must answer, it does not; try again later.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
