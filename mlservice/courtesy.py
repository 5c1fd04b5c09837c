"""Large bodies give way to other requests: while these are answered, bodies come at a bounded rate.

An upload at full speed keeps five processes busy: its client, this one, the store, a worker, and
the child that reads ahead. On two cores each row that is asked meanwhile waits for its turn.
"""

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

# For so long after an answer the next request is expected.
_BUSY_S = 0.1
# What was counted longer ago does not tell when the answers were given.
_STALE_S = 1.0


class Courtesy:
    """The rate of all large bodies together, while others are served.

    Parameters
    ----------
    answered : callable
        Returns how many requests were answered so far.
    bytes_per_s : int
        The rate; 0: as fast as they come.
    """

    def __init__(self, answered: Callable[[], int], bytes_per_s: int) -> None:
        self._answered = answered
        self._bytes_per_s = bytes_per_s
        self._seen, self._looked = 0, -_STALE_S
        self._is_busy_until = self._is_free_at = 0.0

    async def give_way(self, size: int) -> bool:
        """Rest for as long as so many bytes may take, if others are served; tell whether."""
        now = time.monotonic()
        if not self._bytes_per_s or not self._is_busy(now):
            return False
        # Several bodies share the rate.
        self._is_free_at = max(now, self._is_free_at) + size / self._bytes_per_s
        await asyncio.sleep(self._is_free_at - now)
        # Who was served meanwhile is seen at the next look.
        self._looked = time.monotonic()
        return True

    def _is_busy(self, now: float) -> bool:
        answered = self._answered()
        if answered != self._seen and now - self._looked < _STALE_S:
            self._is_busy_until = now + _BUSY_S
        self._seen, self._looked = answered, now
        return now < self._is_busy_until


COURTESY = web.AppKey("courtesy", Courtesy)
