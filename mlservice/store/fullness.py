"""How full the store is: new work is refused before running work could not be finished."""

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from mlservice.errors import StoreFull

FRESH_S = 1.0
RETRY_AFTER_S = 30


class Fullness:
    """The store's memory, asked for at most once a second.

    Parameters
    ----------
    ask : callable
        Returns what the store's `INFO memory` says.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[dict[str, Any]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asked_at = -math.inf
        self._share = 0.0

    async def check(self, most: float) -> None:
        """Refuse new work when more than this share of the store's memory is in use.

        Raises
        ------
        StoreFull
            If more is in use; a store without a limit is never full.
        """
        if self._clock() - self._asked_at > FRESH_S:
            self._asked_at = self._clock()
            told = await self._ask()
            limit = int(told.get("maxmemory", 0))
            # As the store itself counts when it decides whether it is full.
            used = int(told["used_memory"]) - int(told.get("mem_not_counted_for_evict", 0))
            self._share = used / limit if limit else 0.0
        if self._share > most:
            raise store_full(
                f"at most {most:.0%} of its memory may be in use, {self._share:.0%} is"
            )


def store_full(why: str) -> StoreFull:
    """Return the error for a store that has no room for new work."""
    return StoreFull(
        f"The store must have room for new work: {why}.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
