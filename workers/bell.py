"""Rings when the queue has a new entry, so that a worker need not ask all the time.

It tells of large uploads too, while they run.

A message that is lost costs half a second. Without a connection the bell rings
always, and its worker asks as often as arq does.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mlservice.store import keys

logger = logging.getLogger(__name__)

Tell = Callable[[str, int], None]

_ASK_AGAIN_S = 0.5
_RECONNECT_S = 0.5


def _ignore(model_id: str, most_bytes: int) -> None:
    """Read nothing ahead."""


class Bell:
    """What a worker waits for between two looks at the queue.

    Parameters
    ----------
    tell : callable
        Gets the model's id and the body's largest size of each large upload, soon after its
        begin.
    """

    def __init__(self, tell: Tell = _ignore) -> None:
        self._tell = tell
        self._rung = asyncio.Event()
        self._is_heard = False

    def ring(self) -> None:
        """Let the worker look at the queue."""
        self._rung.set()

    async def wait(self) -> bool:
        """Wait until the queue may have an entry; return whether the bell was heard."""
        if not self._is_heard:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ASK_AGAIN_S):
                await self._rung.wait()
        has_rung = self._rung.is_set()
        # Before the look that follows: an entry that comes during it rings again.
        self._rung.clear()
        return has_rung

    async def listen(self, redis: "Redis") -> None:
        """Hear of new entries for ever, over a new connection when one is lost."""
        while True:
            try:
                await self._hear(redis)
            except (RedisError, OSError) as error:
                logger.warning("the queue is not heard: %s", type(error).__name__)
            finally:
                self._is_heard = False
            await asyncio.sleep(_RECONNECT_S)

    async def _hear(self, redis: "Redis") -> None:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(keys.QUEUED, keys.UPLOADS)
            while True:
                message = await pubsub.get_message(timeout=1)
                if message and message["channel"] == keys.UPLOADS.encode():
                    self._hear_of_upload(message)
                # The first is that of the subscription: what came before it is looked for too.
                elif message:
                    self._is_heard = True
                    self.ring()

    def _hear_of_upload(self, message: dict[str, Any]) -> None:
        # Others may use the channel's name.
        with contextlib.suppress(ValueError):
            if message["type"] == "message":
                model_id, size = message["data"].decode().split()
                self._tell(model_id, int(size))
