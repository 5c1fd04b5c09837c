"""How often each of many may do something: GCRA, a bucket that leaks evenly."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_KEPT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How somebody stands against a limit.

    Attributes
    ----------
    left : int
        How many more may follow at once.
    wait_s : float
        How long until one may follow; 0 if it may now.
    """

    left: int
    wait_s: float


class Rate:
    """At most `most` in any stretch of `period_s`, for each of many.

    Parameters
    ----------
    most : int
        How many, all of which may come at once.
    period_s : float
        In how many seconds.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self, most: int, period_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval_s = period_s / most
        self._period_s = period_s
        self._clock = clock
        # When each would have been served if all came evenly.
        self._due: dict[str, float] = {}

    def take(self, who: str) -> Standing:
        """Count one of somebody's, unless it is one too many."""
        now = self._clock()
        due = max(self._due.get(who, now), now) + self._interval_s
        over_s = due - now - self._period_s
        if over_s > 1e-9:
            return Standing(left=0, wait_s=over_s)
        if len(self._due) >= MOST_KEPT:
            self._forget(now)
        self._due[who] = due
        return Standing(left=math.floor(-over_s / self._interval_s + 1e-6), wait_s=0)

    def look(self, who: str) -> float:
        """Return how long somebody has to wait, and count nothing."""
        now = self._clock()
        return max(0.0, self._due.get(who, now) + self._interval_s - now - self._period_s)

    def _forget(self, now: float) -> None:
        """Drop those who stand as if they had never come, or all if there are none."""
        self._due = {who: due for who, due in self._due.items() if due > now}
        if len(self._due) >= MOST_KEPT:
            self._due.clear()
