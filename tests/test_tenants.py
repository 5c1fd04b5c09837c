"""Tenants: what belongs to another does not exist, and is not touched."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from redis import Redis

from mlservice import jobs
from mlservice.errors import MlserviceError, ModelNotFound
from mlservice.settings import Settings
from mlservice.store import Link, Once, Tenant, Tenants, open_redis
from mlservice.store import tenants as room
from tests.support import make_model, make_request, store_model, work


@pytest.fixture
async def tenants(settings: Settings) -> AsyncIterator[Tenants]:
    """Return the tenants of an empty store."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    yield Tenants(link, settings, jobs.entry)
    await link.close()


async def _queue(tenant: Tenant, key: str = "", body: bytes = b"{}") -> str:
    """Queue a training of a tenant; return the id that it is answered with."""
    model_id = str(uuid.uuid4())
    await tenant.models.append(model_id, body)
    record = await tenant.models.create(model_id, name=None, description=b"{}", once=Once(key))
    return record.id


Deed = Callable[[Tenant, str], Awaitable[object]]
DEEDS: dict[str, Deed] = {
    "describe": lambda tenant, model_id: tenant.models.record(model_id),
    "load": lambda tenant, model_id: tenant.models.load(model_id),
    "cancel": lambda tenant, model_id: tenant.models.cancel(model_id),
    "delete": lambda tenant, model_id: tenant.models.delete(model_id),
    "alias": lambda tenant, model_id: tenant.aliases.move("x", model_id),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
@pytest.mark.parametrize("state", ["queued", "ready"])
async def test_a_foreign_model_cannot_be_told_from_none(
    tenants: Tenants, settings: Settings, deed: Deed, state: str
) -> None:
    """Whatever is done with another's id fails as with an id that nobody has."""
    own, other = tenants.of("anonymous"), tenants.of("other")
    model_id = await (store_model(settings, make_model()) if state == "ready" else _queue(own))
    absent = str(uuid.uuid4())

    refusals = [await _refusal(deed, other, each) for each in (model_id, absent)]

    assert refusals[0].replace(model_id, "") == refusals[1].replace(absent, "")
    assert (await own.models.record(model_id)).state == state


async def _refusal(deed: Deed, tenant: Tenant, model_id: str) -> str:
    with pytest.raises(ModelNotFound) as raised:
        await deed(tenant, model_id)
    return str(raised.value)


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
async def test_the_same_is_not_absent_for_its_owner(
    tenants: Tenants, settings: Settings, deed: Deed
) -> None:
    """The check above is the tenant's, not the id's: the owner is not told that there is none."""
    model_id = await store_model(settings, make_model())

    try:
        await deed(tenants.of("anonymous"), model_id)
    except MlserviceError as error:
        assert not isinstance(error, ModelNotFound)  # noqa: PT017  # some succeed


async def test_a_list_has_the_tenants_own_models(tenants: Tenants) -> None:
    """Neither a page nor ids that were learnt elsewhere lead to another's records."""
    own, other = tenants.of("own"), tenants.of("other")
    model_id = await _queue(own)

    assert [record.id for record in (await own.models.page(limit=9))[0]] == [model_id]
    assert await other.models.page(limit=9) == ([], None)
    assert await other.models.records([model_id]) == []


async def test_an_alias_is_its_tenants_own(tenants: Tenants, settings: Settings) -> None:
    """Two tenants have a name each, and neither sees the other's."""
    own, other = tenants.of("anonymous"), tenants.of("other")
    model_id = await store_model(settings, make_model())
    await own.aliases.move("iris", model_id)

    with pytest.raises(ModelNotFound):
        await other.aliases.resolve("iris")

    assert await own.aliases.resolve("iris") == model_id
    assert await other.aliases.all() == []


async def test_a_repeatable_requests_key_is_its_tenants_own(tenants: Tenants) -> None:
    """The same key of another tenant makes another training."""
    own, other = tenants.of("own"), tenants.of("other")

    first, again, others = [await _queue(each, "key") for each in (own, own, other)]

    assert first == again
    assert first != others


async def test_tenants_that_are_not_seen_are_dropped(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of tenants is bounded; the least recently seen goes."""
    monkeypatch.setattr(room, "MOST_KEPT", 2)
    first, second = tenants.of("first"), tenants.of("second")

    assert tenants.of("first") is first
    tenants.of("third")

    assert tenants.of("first") is first
    assert tenants.of("second") is not second


async def _order(redis: "Redis", tenants: Tenants, names: str) -> str:
    """Queue a training for each letter, its tenant; return the letters as workers take them."""
    letter_of = {await _queue(tenants.of(name)): name for name in names}
    queued: Any = redis.zrange("arq:queue", 0, -1)
    return "".join(letter_of[entry.decode().partition(":")[0]] for entry in queued)


@pytest.mark.parametrize(
    ("sent", "taken"),
    [("aaaab", "abaaa"), ("aaabbb", "ababab"), ("aaabc", "abcaa"), ("aaaa", "aaaa"), ("ab", "ab")],
)
async def test_tenants_that_wait_take_turns(
    tenants: Tenants, redis: "Redis", sent: str, taken: str
) -> None:
    """One who has nothing waiting comes before the rest of another's flood."""
    assert await _order(redis, tenants, sent) == taken


async def test_a_tenants_own_trainings_are_taken_as_they_came(
    tenants: Tenants, redis: "Redis"
) -> None:
    """However many wait, none overtakes an earlier one of its tenant, and none is in the future."""
    own = tenants.of("own")

    ids = [await _queue(own) for _ in range(100)]

    queued: Any = redis.zrange("arq:queue", 0, -1, withscores=True)
    places = {entry.decode().partition(":")[0]: place for entry, place in queued}
    seconds: Any = redis.time()
    assert [places[each] for each in ids] == sorted(places.values())
    assert max(places.values()) <= seconds[0] * 1000 - 29_000


async def test_a_tenant_with_nothing_waiting_begins_in_front_again(
    tenants: Tenants, redis: "Redis", settings: Settings
) -> None:
    """What has been taken or cancelled does not count against who queued it."""
    busy, other = tenants.of("busy"), tenants.of("other")
    ids = [await _queue(busy) for _ in range(3)]
    for each in ids:
        await busy.models.cancel(each)
    first = await _queue(other)
    again = await _queue(busy)
    later = await _queue(other)

    queued: Any = redis.zrange(settings.queue_name, 0, -1)
    assert [entry.decode().partition(":")[0] for entry in queued] == [first, again, later]


async def test_a_flood_does_not_hold_up_another_tenants_training(
    tenants: Tenants, settings: Settings
) -> None:
    """A worker that fits one at a time takes the other tenant's second, though it came last."""
    busy, other = tenants.of("busy"), tenants.of("other")
    body = msgspec.json.encode(make_request())
    flood = [await _queue(busy, body=body) for _ in range(4)]
    last = await _queue(other, body=body)

    await work(msgspec.structs.replace(settings, worker_slots=1))

    started = {each: (await busy.models.record(each)).started_ms or 0 for each in flood}
    started[last] = (await other.models.record(last)).started_ms or 0
    assert sorted(started, key=lambda each: started[each]) == [flood[0], last, *flood[1:]]
