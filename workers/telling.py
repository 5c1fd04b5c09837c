"""The progress of a fit on its way to the store: several steps at once, and none is lost.

A fit that is over soon costs the store nothing before its end, which takes along
what is not told by then.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mlservice.errors import StoreFull, StoreUnavailable

Progress = dict[str, Any]
Tell = Callable[[Sequence[Progress]], Awaitable[None]]

TELL_AFTER_S = 0.05
_MOST_UNTOLD = 100
_PATIENCE_S = 0.1


class Telling:
    """Tells what is reported of one fit, until its end.

    Parameters
    ----------
    tell : callable
        Tells the store of some steps.

    Attributes
    ----------
    untold : list of dict
        Steps that the store does not know yet.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.untold: list[Progress] = []
        self._is_under_way = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def report(self, progress: Progress) -> None:
        """Take a step, and leave it out where too many wait."""
        if len(self.untold) < _MOST_UNTOLD:
            self.untold.append(progress)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tell_soon())

    async def _tell_soon(self) -> None:
        await asyncio.sleep(TELL_AFTER_S)
        async with self._is_under_way:
            while self.untold:
                steps, self.untold = self.untold, []
                # A store that is away misses them.
                with contextlib.suppress(StoreUnavailable, StoreFull):
                    await self._tell(steps)

    async def end(self) -> None:
        """Tell no more; what is on its way arrives first."""
        if self._task is None:
            return
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S), self._is_under_way:
                    pass
        finally:
            self._task.cancel()
        await asyncio.wait([self._task])
