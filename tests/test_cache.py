"""Reconstructed models: one load at a time, bounded, forgotten within a second."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from mlservice import cache as room
from mlservice.cache import ModelCache
from mlservice.errors import BrokenModel, ModelNotFound, StoreUnavailable
from mlservice.model import encode
from mlservice.scoring import Scorer
from tests.support import make_model, until


class Shelf:
    """A source of models in memory, at the boundary that the cache owns."""

    def __init__(self, tenant: str = "anonymous") -> None:
        self.tenant = tenant
        self.artifacts = {"one": encode(make_model()), "two": encode(make_model())}
        self.loads = 0
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, model_id: str) -> bytes:
        """Return a model's artifact."""
        self.loads += 1
        await self.gate.wait()
        if self.is_away:
            raise StoreUnavailable("away")
        if model_id not in self.artifacts:
            raise ModelNotFound("none")
        return self.artifacts[model_id]

    async def is_ready(self, model_id: str) -> bool:
        """Tell whether a model is on the shelf."""
        await self.gate.wait()
        if self.is_away:
            raise StoreUnavailable("away")
        return model_id in self.artifacts


@pytest.fixture
async def shelf() -> Shelf:
    """Return a shelf with two models."""
    return Shelf()


class Clock:
    """The real clock, that a test can set forward."""

    ahead_s = 0.0

    def __call__(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic() + self.ahead_s


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
async def cache(clock: Clock) -> AsyncIterator[ModelCache]:
    """Return a cache, closed at the end."""
    cache = ModelCache(1 << 20, clock)
    yield cache
    await cache.close()


async def test_a_model_is_loaded_once_for_all_who_ask_at_the_same_time(
    cache: ModelCache, shelf: Shelf
) -> None:
    """Thirty requests for a model that is not here make one load."""
    shelf.gate.clear()
    requests = [asyncio.create_task(cache.get("one", shelf)) for _ in range(30)]
    await until(_has_begun(shelf), within_s=5)
    shelf.gate.set()

    scorers = await asyncio.gather(*requests)

    assert shelf.loads == 1
    assert len({id(scorer) for scorer in scorers}) == 1


def _has_begun(shelf: Shelf) -> Callable[[], Awaitable[bool]]:
    async def has_begun() -> bool:
        return shelf.loads > 0

    return has_begun


async def test_a_client_that_leaves_does_not_end_the_load_of_others(
    cache: ModelCache, shelf: Shelf
) -> None:
    """A cancelled request leaves the load to those who still wait."""
    shelf.gate.clear()
    leaving, staying = (asyncio.create_task(cache.get("one", shelf)) for _ in range(2))
    await until(_has_begun(shelf), within_s=5)
    leaving.cancel()
    shelf.gate.set()

    assert isinstance(await staying, Scorer)
    assert leaving.cancelled() or leaving.cancelling()


async def test_a_failed_load_is_told_and_tried_again(cache: ModelCache, shelf: Shelf) -> None:
    """An error reaches who asked, and is not kept."""
    shelf.is_away = True
    with pytest.raises(StoreUnavailable):
        await cache.get("one", shelf)

    shelf.is_away = False

    assert isinstance(await cache.get("one", shelf), Scorer)


async def test_a_broken_model_harms_no_other(cache: ModelCache, shelf: Shelf) -> None:
    """Bytes that cannot be read are an error for that model only."""
    shelf.artifacts["one"] = b"\x00broken"

    with pytest.raises(BrokenModel):
        await cache.get("one", shelf)

    assert isinstance(await cache.get("two", shelf), Scorer)


@pytest.mark.parametrize(("most_bytes", "loads"), [(1 << 20, 2), (1, 4)])
async def test_the_least_recently_used_goes_when_the_memory_is_full(
    shelf: Shelf, most_bytes: int, loads: int
) -> None:
    """Two models that fit are loaded once each; two that do not push each other out."""
    cache = ModelCache(most_bytes)

    for model_id in ("one", "two", "one", "two"):
        await cache.get(model_id, shelf)

    assert shelf.loads == loads
    await cache.close()


async def test_only_a_model_that_was_checked_of_late_is_at_hand(
    cache: ModelCache, shelf: Shelf, clock: Clock
) -> None:
    """A peek finds what is here; it neither loads nor trusts what is overdue for a check."""
    before = cache.peek("one", shelf)
    scorer = await cache.get("one", shelf)
    fresh, foreign = cache.peek("one", shelf), cache.peek("one", Shelf("other"))
    clock.ahead_s = room.FRESH_S + 0.1
    due = cache.peek("one", shelf)
    clock.ahead_s = room.STALE_S + 0.1
    stale = cache.peek("one", shelf)

    assert (before, foreign, stale) == (None, None, None)
    assert fresh is due is scorer


async def test_what_is_only_peeked_at_is_checked_too(
    cache: ModelCache, shelf: Shelf, clock: Clock
) -> None:
    """A model that was deleted elsewhere is not at hand for longer than it takes to check."""
    await cache.get("one", shelf)
    del shelf.artifacts["one"]
    clock.ahead_s = room.FRESH_S + 0.1

    async def is_gone() -> bool:
        return cache.peek("one", shelf) is None

    assert not await is_gone()
    await until(is_gone, within_s=0.3)


async def test_a_model_deleted_elsewhere_is_forgotten_within_a_second(
    cache: ModelCache, shelf: Shelf
) -> None:
    """While it is used it is checked in the background."""
    await cache.get("one", shelf)
    del shelf.artifacts["one"]
    deleted = time.monotonic()

    async def is_forgotten() -> bool:
        try:
            await cache.get("one", shelf)
        except ModelNotFound:
            return True
        return False

    await until(is_forgotten, within_s=room.STALE_S + 0.5)
    assert time.monotonic() - deleted < room.STALE_S + 0.5


async def test_a_model_deleted_while_it_was_not_used_is_not_served_once_more(
    cache: ModelCache, shelf: Shelf, clock: Clock
) -> None:
    """After a pause the check comes before the answer."""
    await cache.get("one", shelf)
    del shelf.artifacts["one"]
    clock.ahead_s = room.STALE_S + 1

    with pytest.raises(ModelNotFound):
        await cache.get("one", shelf)


@pytest.mark.parametrize("stalls", [False, True])
async def test_a_cached_model_goes_on_while_the_store_is_away_or_stalls(
    cache: ModelCache, shelf: Shelf, clock: Clock, *, stalls: bool
) -> None:
    """What is here predicts, and waits for a check only briefly."""
    scorer = await cache.get("one", shelf)
    shelf.is_away = True
    if stalls:
        shelf.gate.clear()
    clock.ahead_s = room.STALE_S + 1

    async with asyncio.timeout(room.CHECK_S + 1):
        again = await cache.get("one", shelf)

    assert again is scorer


async def test_a_cached_model_is_found_by_its_own_tenant_only(
    cache: ModelCache, shelf: Shelf
) -> None:
    """An id that is here for one tenant is asked of the store for another."""
    await cache.get("one", shelf)
    other = Shelf("other")
    other.artifacts.clear()

    with pytest.raises(ModelNotFound):
        await cache.get("one", other)

    assert (shelf.loads, other.loads) == (1, 1)


async def test_a_load_under_way_is_shared_within_its_tenant_only(
    cache: ModelCache, shelf: Shelf
) -> None:
    """Who asks for another's model while it is loaded does not get it."""
    shelf.gate.clear()
    own = asyncio.create_task(cache.get("one", shelf))
    await until(_has_begun(shelf), within_s=5)
    other = Shelf("other")
    other.artifacts.clear()

    with pytest.raises(ModelNotFound):
        await cache.get("one", other)

    shelf.gate.set()
    assert isinstance(await own, Scorer)
