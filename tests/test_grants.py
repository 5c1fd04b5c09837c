"""Keys in the store: made, listed, revoked, and never to be read again."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import Redis

from mlservice.errors import BadSetting
from mlservice.settings import Settings
from mlservice.store import Grants, Link, open_redis


@pytest.fixture
async def grants(settings: Settings) -> AsyncIterator[Grants]:
    """Return the keys of an empty store."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    yield Grants(link)
    await link.close()


async def test_a_key_is_made_and_found_by_its_id(grants: Grants) -> None:
    """It has its tenant, scope, label and times, and 256 random bits."""
    token, made = await grants.create(tenant="a", scope="train", label="laptop", days=1)

    assert re.fullmatch(r"mls_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", token)
    assert await grants.get(made.id) == made
    assert (made.tenant, made.scope, made.label) == ("a", "train", "laptop")
    assert made.expires_ms - made.created_ms == 86_400_000


async def test_two_keys_of_a_tenant_work_at_once_until_one_is_revoked(grants: Grants) -> None:
    """A key is replaced without a gap: make the new one, then revoke the old one."""
    (_, old), (_, new) = [await grants.create(tenant="a", scope="admin") for _ in range(2)]

    assert {each.id for each in await grants.all()} == {old.id, new.id}
    assert await grants.revoke(old.id)
    assert not await grants.revoke(old.id)
    assert await grants.get(old.id) is None
    assert [each.id for each in await grants.all()] == [new.id]


async def test_no_key_is_in_the_store(grants: Grants, redis: "Redis") -> None:
    """Whoever reads the store, or its files, finds digests."""
    token, made = await grants.create(tenant="a", scope="admin")
    secret = token.rpartition("_")[2].encode()

    found: Any = redis.keys("*")
    stored = repr([redis.dump(key) for key in found]).encode()
    told: Any = redis.hgetall(f"mls:grant:{made.id}")

    assert secret not in stored
    assert all(secret not in value for value in told.values())
    assert token not in repr(made)
    assert made.digest not in repr(made)


@pytest.mark.parametrize("tenant", ["", "A", "a:b", "a b", "x" * 65, ".a"])
async def test_a_tenant_that_is_no_name_is_refused(grants: Grants, tenant: str) -> None:
    """A tenant's name stands in keys of the store, where a colon separates."""
    with pytest.raises(BadSetting, match="tenant must be"):
        await grants.create(tenant=tenant, scope="train")


async def test_a_label_that_is_too_long_or_not_printable_is_refused(grants: Grants) -> None:
    """A label is one line of a list."""
    for label in ("x" * 201, "a\nb"):
        with pytest.raises(BadSetting, match="label must have"):
            await grants.create(tenant="a", scope="train", label=label)


async def test_noting_a_use_does_not_bring_a_revoked_key_back(
    grants: Grants, redis: "Redis"
) -> None:
    """A use that is noted late leaves nothing behind."""
    _, made = await grants.create(tenant="a", scope="train")
    noted = await grants.note_use(made, 5)
    await grants.revoke(made.id)

    await grants.note_use(made, 6)

    assert noted.used_ms == 5
    assert redis.keys("mls:grant:*") == []


async def test_all_processes_share_a_rate(grants: Grants, redis: "Redis") -> None:
    """A tenant's requests are counted in the store, and the count expires by itself."""
    standings = [await grants.take("a", 3, 60) for _ in range(4)]

    assert [each.left for each in standings] == [2, 1, 0, 0]
    assert [each.wait_s > 0 for each in standings] == [False, False, False, True]
    assert 10 < standings[-1].wait_s <= 20
    assert (await grants.take("b", 3, 60)).left == 2
    expires_ms: Any = redis.pttl("mls:rate:a")
    assert 0 < expires_ms <= 60_000
