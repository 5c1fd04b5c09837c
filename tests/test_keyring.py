"""Keys that a process knows: checked again, forgotten within a second, kept for a minute."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mlservice import keyring as room
from mlservice.errors import KeyRefused, StoreUnavailable
from mlservice.keyring import Keyring
from mlservice.store import Grant
from mlservice.store.grants import digest_of
from tests.support import until

TOKEN = "mls_0123456789ab_" + "s" * 43
OTHER = "mls_0123456789ab_" + "t" * 43
ID = "0123456789ab"
GRANT = Grant(id=ID, tenant="a", scope="train", created_ms=1, digest=digest_of(TOKEN))


class Shelf:
    """A source of grants in memory, at the boundary that the keyring owns."""

    def __init__(self) -> None:
        self.grants = {ID: GRANT}
        self.looks = 0
        self.is_away = False
        self.used: list[str] = []

    async def get(self, grant_id: str) -> Grant | None:
        """Return a grant."""
        self.looks += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return self.grants.get(grant_id)

    async def note_use(self, grant: Grant, now_ms: int) -> Grant:
        """Note a use."""
        self.used.append(grant.id)
        self.grants[grant.id] = replace(grant, used_ms=now_ms)
        return self.grants[grant.id]


class Clock:
    """The real clock, that a test can set forward."""

    ahead_s = 0.0

    def __call__(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic() + self.ahead_s


@pytest.fixture
def shelf() -> Shelf:
    """Return a shelf with one grant."""
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
async def keyring(shelf: Shelf, clock: Clock) -> AsyncIterator[Keyring]:
    """Return a keyring over the shelf, closed at the end."""
    keyring = Keyring(shelf, clock)
    yield keyring
    await keyring.close()


async def test_a_key_that_works_is_looked_up_once_while_it_is_used(shelf: Shelf) -> None:
    """What is known is not asked again at each request."""
    keyring = Keyring(shelf, clock=lambda: 1000.0)

    for _ in range(50):
        assert (await keyring.grant(TOKEN)).tenant == "a"
    await keyring.close()

    # Once to find it, and once beside the answer, where its use is noted.
    assert shelf.looks <= 2


@pytest.mark.parametrize(
    "token", [OTHER, TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "mls_" + "f" * 12 + "_" + "s" * 43, ""]
)
async def test_what_is_not_the_key_is_refused(keyring: Keyring, token: str) -> None:
    """Another secret, another id, or no key at all; also when the true one is known."""
    with pytest.raises(KeyRefused):
        await keyring.grant(token)
    await keyring.grant(TOKEN)

    with pytest.raises(KeyRefused):
        await keyring.grant(token)

    assert keyring.knows(TOKEN)
    assert not keyring.knows(token)


async def test_a_revoked_key_stops_working_within_a_second(keyring: Keyring, shelf: Shelf) -> None:
    """While it is used it is checked in the background."""
    await keyring.grant(TOKEN)
    del shelf.grants[ID]
    revoked = time.monotonic()

    await until(lambda: _is_refused(keyring), within_s=room.STALE_S + 0.5)

    assert time.monotonic() - revoked < room.STALE_S + 0.5


async def _is_refused(keyring: Keyring) -> bool:
    try:
        await keyring.grant(TOKEN)
    except KeyRefused:
        return True
    return False


async def test_a_key_revoked_while_it_was_not_used_does_not_work_once_more(
    keyring: Keyring, shelf: Shelf, clock: Clock
) -> None:
    """After a pause the check comes before the answer."""
    await keyring.grant(TOKEN)
    del shelf.grants[ID]
    clock.ahead_s = room.STALE_S + 1

    with pytest.raises(KeyRefused):
        await keyring.grant(TOKEN)


@pytest.mark.parametrize(("away_s", "works"), [(55.0, True), (65.0, False)])
async def test_a_known_key_goes_on_for_a_minute_while_the_store_is_away(
    keyring: Keyring, shelf: Shelf, clock: Clock, *, away_s: float, works: bool
) -> None:
    """After that nobody can say whether it was revoked."""
    await keyring.grant(TOKEN)
    shelf.is_away = True
    clock.ahead_s = away_s

    if works:
        assert (await keyring.grant(TOKEN)).tenant == "a"
    else:
        with pytest.raises(StoreUnavailable):
            await keyring.grant(TOKEN)


async def test_a_key_that_is_not_known_needs_the_store(keyring: Keyring, shelf: Shelf) -> None:
    """While the store is away nobody new is let in, and it is not the key's fault."""
    shelf.is_away = True

    with pytest.raises(StoreUnavailable):
        await keyring.grant(TOKEN)


async def test_an_expired_key_is_refused(shelf: Shelf) -> None:
    """It works until the moment that was set, also when it is known."""
    now = [100.0]
    keyring = Keyring(shelf, time_s=lambda: now[0])
    shelf.grants[ID] = replace(GRANT, expires_ms=101_000)
    await keyring.grant(TOKEN)
    now[0] = 101.0

    with pytest.raises(KeyRefused):
        await keyring.grant(TOKEN)

    await keyring.close()


async def test_a_use_is_noted_once_a_minute(shelf: Shelf) -> None:
    """`keys list` tells to a minute when a key was used, at the cost of one write a minute."""
    now = [1000.0]
    clock = Clock()
    keyring = Keyring(shelf, clock, time_s=lambda: now[0])

    for _ in range(3):
        await keyring.grant(TOKEN)
        clock.ahead_s += room.STALE_S + 0.1
    now[0] += 61
    await keyring.grant(TOKEN)
    await asyncio.sleep(0)

    assert shelf.used == [ID, ID]
    await keyring.close()


async def test_the_least_recently_used_key_is_dropped(
    keyring: Keyring, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of keys is bounded."""
    monkeypatch.setattr(room, "MOST_KEPT", 1)
    other = "mls_" + "f" * 12 + "_" + "u" * 43
    shelf.grants["f" * 12] = replace(GRANT, id="f" * 12, digest=digest_of(other))
    await keyring.grant(TOKEN)

    await keyring.grant(other)

    assert (keyring.knows(TOKEN), keyring.knows(other)) == (False, True)
