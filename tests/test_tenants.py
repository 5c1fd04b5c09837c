"""Tenants: what belongs to another does not exist, and is not touched."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from mlservice import jobs
from mlservice.errors import MlserviceError, ModelNotFound
from mlservice.settings import Settings
from mlservice.store import Link, Once, Tenant, Tenants, open_redis
from mlservice.store import tenants as room
from tests.support import make_model, store_model


@pytest.fixture
async def tenants(settings: Settings) -> AsyncIterator[Tenants]:
    """Return the tenants of an empty store."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    yield Tenants(link, settings, jobs.entry)
    await link.close()


async def _queue(tenant: Tenant, key: str = "") -> str:
    """Queue a training of a tenant; return the id that it is answered with."""
    model_id = str(uuid.uuid4())
    await tenant.models.append(model_id, b"{}")
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
