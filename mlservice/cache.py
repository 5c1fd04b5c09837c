"""Reconstructed models kept in this process: one load at a time per model.

A stored model never changes, so all that the cache must hear of is its
deletion. An entry is checked again in the background while it is used, and
before it is used when that is longer than a second ago: a model that was
deleted anywhere predicts nowhere a second later. While the store does not
answer, what is here goes on predicting.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from aiohttp import web

from mlservice.counts import Counts
from mlservice.drift import Watch
from mlservice.errors import StoreUnavailable
from mlservice.model import decode
from mlservice.scoring import Scorer

T = TypeVar("T")
# A tenant and the id of one of its models: what belongs to another is never found here.
Key = tuple[str, str]

FRESH_S = 0.5
STALE_S = 1.0
CHECK_S = 0.1


class Source(Protocol):
    """Where one tenant's models come from: `store.Models`, or anything with these."""

    tenant: str

    async def load(self, model_id: str) -> bytes:
        """Return a ready model's artifact."""

    async def is_ready(self, model_id: str) -> bool:
        """Tell whether the model is still there."""


class _Entry:
    __slots__ = ("checked", "checking", "scorer", "source")

    def __init__(self, scorer: Scorer, source: Source, checked: float) -> None:
        self.scorer = scorer
        self.source = source
        self.checked = checked
        self.checking: asyncio.Task[None] | None = None


class ModelCache:
    """Scorers by model, the least recently used dropped first.

    Parameters
    ----------
    most_bytes : int
        Memory that the models may take together; one always stays.
    clock : callable
        Seconds that only grow.
    counts : Counts, optional
        Where the models' rows are counted.
    watches : bool
        Whether the values of their features are counted too.

    Attributes
    ----------
    hits, loads : int
        How often a model was here, and how often it was loaded.
    """

    def __init__(
        self,
        most_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        counts: Counts | None = None,
        *,
        watches: bool = True,
    ) -> None:
        self._watches = watches
        self.hits = self.loads = 0
        self._clock = clock
        self._counts = counts or Counts()
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._loads: dict[Key, asyncio.Task[Scorer]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def peek(self, model_id: str, source: Source) -> Scorer | None:
        """Return a model's scorer if it is here and need not be checked before it is used.

        It counts no hit: whoever answers by it does.
        """
        key = source.tenant, model_id
        entry = self._entries.get(key)
        age_s = self._clock() - entry.checked if entry else math.inf
        if entry is None or age_s > STALE_S:
            return None
        if age_s > FRESH_S:
            self._check(key, entry)
            # Once in half a second is often enough to tell which was used least recently.
            self._entries.move_to_end(key)
        return entry.scorer

    async def get(self, model_id: str, source: Source) -> Scorer:
        """Return a model's scorer, loading it if it is not here.

        Parameters
        ----------
        source : Source
            The models of the tenant who asks.

        Raises
        ------
        ModelNotFound, ModelNotReady, BrokenModel, StoreUnavailable
            As `Source.load` and `model.decode` do.
        """
        key = source.tenant, model_id
        entry = self._entries.get(key)
        if entry is None:
            return await self._load_once(key, source)
        age_s = self._clock() - entry.checked
        if age_s > FRESH_S:
            checking = self._check(key, entry)
            if age_s > STALE_S:
                await asyncio.wait([checking], timeout=CHECK_S)
            if key not in self._entries:
                return await self._load_once(key, source)
        self.hits += 1
        self._entries.move_to_end(key)
        return entry.scorer

    def levels(self) -> dict[str, int]:
        """Return how many models are here, and about what they take."""
        return {"cache_models": len(self._entries), "cache_bytes": self._bytes}

    def drop(self, model_id: str, source: Source) -> None:
        """Forget a model."""
        self._drop((source.tenant, model_id))

    def _drop(self, key: Key) -> None:
        if entry := self._entries.pop(key, None):
            self._bytes -= entry.scorer.size_bytes

    async def close(self) -> None:
        """Stop loads and checks that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _load_once(self, key: Key, source: Source) -> Scorer:
        task = self._loads.get(key)
        if task is None:
            task = self._loads[key] = self._start(self._load(key, source))
            task.add_done_callback(lambda _: self._loads.pop(key, None))
        # Shielded: a client that leaves must not end the load that others wait for.
        return await asyncio.shield(task)

    async def _load(self, key: Key, source: Source) -> Scorer:
        begun = self._clock()
        scorer = Scorer(decode(await source.load(key[1])))
        self.loads += 1
        scorer.counts = self._counts.of(*key, scorer.label_names)
        if self._watches:
            _watch(scorer)
        self._entries[key] = _Entry(scorer, source, begun)
        self._bytes += scorer.size_bytes
        while self._bytes > self._most_bytes and len(self._entries) > 1:
            self._drop(next(iter(self._entries)))
        return scorer

    def _check(self, key: Key, entry: _Entry) -> asyncio.Task[None]:
        if entry.checking is None:
            entry.checking = self._start(self._revalidate(key, entry))
        return entry.checking

    async def _revalidate(self, key: Key, entry: _Entry) -> None:
        begun = self._clock()
        try:
            if not await entry.source.is_ready(key[1]):
                self._drop(key)
        except StoreUnavailable:
            pass  # What is here goes on predicting.
        finally:
            entry.checked = begun
            entry.checking = None

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _watch(scorer: Scorer) -> None:
    """Count what the model is asked, if it is known what it was trained on."""
    counts, features = scorer.counts, scorer.table.preparation.features
    if scorer.profile and counts.watch is None:
        counts.watch = Watch(features, scorer.profile)
    if counts.watch:
        scorer.table.watch = counts.watch.look


CACHE = web.AppKey("cache", ModelCache)
