"""Keys that this process knows: checked again while they are used, as cached models are.

A key that was revoked anywhere works nowhere a second later. While the store
does not answer, a key that was confirmed within the last minute goes on working.
"""

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from mlservice.errors import KeyRefused, StoreUnavailable
from mlservice.store import Grant
from mlservice.store.grants import digest_of, id_of

FRESH_S = 0.5
STALE_S = 1.0
CHECK_S = 0.1
CONFIRMED_S = 60.0
MOST_KEPT = 10_000
NOTED_MS = 60_000
# What an unknown id is compared with, so that it takes as long as a known one.
_NOBODYS = digest_of("")


class Source(Protocol):
    """Where grants come from: `store.Grants`, or anything with these two."""

    async def get(self, grant_id: str) -> Grant | None:
        """Return what a key allows, or nothing if there is no such key."""

    async def note_use(self, grant: Grant, now_ms: int) -> Grant:
        """Note that a key was used."""


class _Entry:
    __slots__ = ("checked", "checking", "confirmed", "grant")

    def __init__(self, grant: Grant, confirmed: float) -> None:
        self.grant: Grant | None = grant
        self.checked = self.confirmed = confirmed
        self.checking: asyncio.Task[None] | None = None


class Keyring:
    """Grants by the id of their key, the least recently used dropped first.

    Parameters
    ----------
    source : Source
        Where a key that is not here is looked up.
    clock, time_s : callable
        Seconds that only grow, and seconds of the calendar.
    """

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float] = time.monotonic,
        time_s: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._clock = clock
        self._time_s = time_s
        self._kept: OrderedDict[str, _Entry] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def knows(self, token: str) -> bool:
        """Tell whether the key is here, so that nobody is guessing."""
        entry = self._kept.get(id_of(token) or "")
        return bool(entry and entry.grant and _matches(entry.grant, token))

    async def grant(self, token: str) -> Grant:
        """Return what a key allows.

        Raises
        ------
        KeyRefused
            If it is unknown, expired or revoked.
        StoreUnavailable
            If the store is away, and has not confirmed the key for a minute.
        """
        grant_id = id_of(token)
        if grant_id is None:
            raise _refused()
        entry = self._kept.get(grant_id) or await self._look_up(grant_id)
        matches = _matches(entry.grant if entry else None, token)
        if entry is None or not matches:
            raise _refused()
        await self._confirm(grant_id, entry)
        grant = entry.grant
        if grant is None or 0 < grant.expires_ms <= self._time_s() * 1000:
            self._kept.pop(grant_id, None)
            raise _refused()
        return grant

    async def close(self) -> None:
        """Stop checks that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look_up(self, grant_id: str) -> _Entry | None:
        begun = self._clock()
        grant = await self._source.get(grant_id)
        return _Entry(grant, begun) if grant else None

    async def _confirm(self, grant_id: str, entry: _Entry) -> None:
        """Check an entry again when it is old, and keep it if it is new."""
        if grant_id not in self._kept:
            self._keep(grant_id, entry)
        else:
            self._kept.move_to_end(grant_id)
        age_s = self._clock() - entry.checked
        if age_s > FRESH_S and entry.checking is None:
            entry.checking = self._start(grant_id, entry)
        if age_s > STALE_S and entry.checking:
            await asyncio.wait([entry.checking], timeout=CHECK_S)
        if self._clock() - entry.confirmed > CONFIRMED_S:
            raise StoreUnavailable("The store must confirm the key, it is away; try again later.")

    def _keep(self, grant_id: str, entry: _Entry) -> None:
        self._kept[grant_id] = entry
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        entry.checking = self._start(grant_id, entry)

    def _start(self, grant_id: str, entry: _Entry) -> asyncio.Task[None]:
        task = asyncio.create_task(self._check(grant_id, entry))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _check(self, grant_id: str, entry: _Entry) -> None:
        begun = self._clock()
        try:
            entry.grant = await self._source.get(grant_id)
            entry.confirmed = begun
            await self._note_use(entry)
        except StoreUnavailable:
            pass  # A key that is here goes on working for a while.
        finally:
            entry.checked = begun
            entry.checking = None
        if entry.grant is None:
            self._kept.pop(grant_id, None)

    async def _note_use(self, entry: _Entry) -> None:
        now_ms = int(self._time_s() * 1000)
        if entry.grant and now_ms - entry.grant.used_ms > NOTED_MS:
            entry.grant = await self._source.note_use(entry.grant, now_ms)


def _matches(grant: Grant | None, token: str) -> bool:
    kept = grant.digest if grant else _NOBODYS
    return hmac.compare_digest(kept, digest_of(token))


def _refused() -> KeyRefused:
    return KeyRefused(
        "The key must be known, and neither expired nor revoked; it is not.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )
