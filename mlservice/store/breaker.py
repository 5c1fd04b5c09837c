"""A circuit breaker: a store that is known to be away is not asked, until a probe finds it back.

::

    closed ── a call was late, or a probe failed ──▶ open ── a pause ──▶ half-open
       ▲                                              ▲                      │
       ├────────── the probe was answered ────────────┴── the probe failed ──┤
       └─────────────────────────────────────────────────────────────────────┘
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Literal

logger = logging.getLogger(__name__)


class Breaker:
    """Knows whether the store is away, and finds out when it is back.

    Parameters
    ----------
    probe : callable
        Asks the store on a connection of its own; true if it answered.
    pause_s : float
        Time between two probes; there is never more than one.
    """

    def __init__(self, probe: Callable[[], Awaitable[bool]], pause_s: float = 0.5) -> None:
        self.state: Literal["closed", "open", "half-open"] = "closed"
        self.outages = 0
        self._probe = probe
        self._pause_s = pause_s
        self._closed_at = 0.0
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the store may be asked."""
        return self.state == "closed"

    def suspect(self, begun: float, *, is_late: bool) -> None:
        """Note a call that failed, and probe the store.

        Parameters
        ----------
        begun : float
            When the call began, by `time.monotonic`; what began before the store
            was back says nothing.
        is_late : bool
            Whether there was no answer in time. A connection that was lost may be
            one of many: only the probe tells whether the store is away.
        """
        if begun < self._closed_at:
            return
        if is_late:
            self._open()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    def _open(self) -> None:
        if self.is_closed:
            logger.error("the store is away")
            self.outages += 1
        self.state = "open"

    async def _watch(self) -> None:
        while not await self._is_answered():
            self._open()
            await asyncio.sleep(self._pause_s)
            self.state = "half-open"
        if not self.is_closed:
            logger.warning("the store is back")
        self.state = "closed"
        self._closed_at = time.monotonic()
        self._watching = None

    async def _is_answered(self) -> bool:
        try:
            return await self._probe()
        except Exception:
            # Nobody else would ask again: the store would stay away for ever.
            logger.exception("the store cannot be probed")
            return False

    async def close(self) -> None:
        """Stop probing."""
        if self._watching:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
