"""Names that point at models and can be moved, through HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import Redis

from mlservice.errors import ModelNotFound, StoreUnavailable
from mlservice.settings import Settings
from mlservice.store import Aliases, Link, open_redis
from mlservice.store import aliases as room
from tests.support import Client, create, get, make_model, make_request, store_model


async def _put(client: Client, alias: str, model_id: str, **headers: str) -> tuple[int, Any, str]:
    """Move an alias; return status, document and ETag."""
    response = await client.put(
        f"/aliases/{alias}",
        json={"model": model_id},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    return response.status, await response.json(), response.headers.get("ETag", "")


async def test_an_alias_stands_wherever_an_id_may(client: Client, settings: Settings) -> None:
    """Described, predicted with and downloaded by its name, the model is the same."""
    model_id = await store_model(settings, make_model())

    status, document, _ = await _put(client, "churn", model_id)

    assert (status, document["model"], document["previous"]) == (200, model_id, None)
    assert (await get(client, "/models/churn"))["id"] == model_id
    assert (await get(client, "/models/churn?a=1&b=2"))["model"] == model_id
    assert (await client.get("/models/churn/artifact")).status == 200


async def test_a_moved_alias_predicts_with_the_new_model_at_once(
    client: Client, settings: Settings
) -> None:
    """The process that moved it knows at once; history and previous tell where it was."""
    first = await store_model(settings, make_model(intercept=[-100.0]))
    second = await store_model(settings, make_model(intercept=[100.0]))
    await _put(client, "a", first)
    before = await get(client, "/models/a?a=0&b=0")

    _, document, _ = await _put(client, "a", second)

    after = await get(client, "/models/a?a=0&b=0")
    assert (before["prediction"], after["prediction"]) == ("no", "yes")
    assert document["previous"] == first
    assert [target["model"] for target in document["history"]] == [second, first]
    assert document["warnings"] == []


async def test_other_features_are_warned_of(client: Client, settings: Settings) -> None:
    """A move that changes what a row must have says so."""
    await _put(client, "a", await store_model(settings, make_model(features=("x", "y"))))

    other = await store_model(settings, make_model(features=("x", "z")))
    _, document, _ = await _put(client, "a", other)

    assert document["warnings"] == [
        "The features differ from those of the model before: no longer y (number); now z (number)."
    ]


async def test_if_match_moves_an_alias_only_from_where_it_was_seen(
    client: Client, settings: Settings
) -> None:
    """Of two who saw the same, one moves it; the other hears that it was moved."""
    models = [await store_model(settings, make_model()) for _ in range(3)]
    _, _, seen = await _put(client, "a", models[0], If_None_Match="*")

    won, _, _ = await _put(client, "a", models[1], If_Match=seen)
    lost, problem, _ = await _put(client, "a", models[2], If_Match=seen)
    again, _, _ = await _put(client, "a", models[2], If_None_Match="*")

    assert (won, lost, again) == (200, 412, 412)
    assert problem["type"] == "/problems/alias-moved"
    assert (await get(client, "/aliases/a"))["model"] == models[1]


async def test_an_etag_of_a_deleted_alias_moves_none_that_has_its_name(
    client: Client, settings: Settings
) -> None:
    """Who saw an alias that is gone has not seen the one that was made since."""
    models = [await store_model(settings, make_model()) for _ in range(3)]
    _, _, seen = await _put(client, "a", models[0])
    await client.delete("/aliases/a")
    await _put(client, "a", models[1])

    status, _, _ = await _put(client, "a", models[2], If_Match=seen)

    assert status == 412
    assert (await get(client, "/aliases/a"))["model"] == models[1]


async def test_if_match_takes_several_tags_and_any(client: Client, settings: Settings) -> None:
    """One of those listed suffices, a weak one does not; `*` is any alias that is there."""
    models = [await store_model(settings, make_model()) for _ in range(3)]
    absent, _, _ = await _put(client, "a", models[0], If_Match="*")
    _, _, seen = await _put(client, "a", models[0])

    weak, _, _ = await _put(client, "a", models[1], If_Match=f"W/{seen}")
    listed, _, _ = await _put(client, "a", models[1], If_Match=f'"1-1", {seen}')
    there, _, _ = await _put(client, "a", models[2], If_Match="*")

    assert (absent, weak, listed, there) == (412, 412, 200, 200)


async def test_a_move_that_is_asked_for_twice_is_one_move(
    client: Client, settings: Settings
) -> None:
    """A client that repeats a move whose answer was lost can still roll it back."""
    first, second = [await store_model(settings, make_model()) for _ in range(2)]
    await _put(client, "a", first)
    _, once, tag = await _put(client, "a", second)

    status, twice, same_tag = await _put(client, "a", second)

    assert (status, twice, same_tag) == (200, once, tag)
    assert twice["previous"] == first


async def test_who_has_an_alias_already_is_told_so(client: Client, settings: Settings) -> None:
    """`304` with its ETag until it is moved."""
    first, second = [await store_model(settings, make_model()) for _ in range(2)]
    _, _, seen = await _put(client, "a", first)

    same = await client.get("/aliases/a", headers={"If-None-Match": seen})
    await _put(client, "a", second)
    moved = await client.get("/aliases/a", headers={"If-None-Match": seen})

    assert (same.status, same.headers["ETag"], await same.read()) == (304, seen, b"")
    assert moved.status == 200
    assert moved.headers["ETag"] != seen


@pytest.mark.parametrize("tag", ["x", '"x"', "W/1", '"1", "2"'])
async def test_an_etag_that_is_none_of_ours_matches_nothing(
    client: Client, settings: Settings, tag: str
) -> None:
    """What the alias never had cannot be what it has."""
    status, _, _ = await _put(client, "a", await store_model(settings, make_model()), If_Match=tag)

    assert status == 412


async def test_an_alias_points_at_ready_models_only(client: Client, settings: Settings) -> None:
    """A queued model is 409, an unknown one 404, and the alias stays where it was."""
    ready = await store_model(settings, make_model())
    await _put(client, "a", ready)
    queued = await create(client, make_request())

    not_ready, _, _ = await _put(client, "a", queued)
    unknown, _, _ = await _put(client, "a", "00000000-0000-4000-8000-000000000000")

    assert (not_ready, unknown) == (409, 404)
    assert (await get(client, "/aliases/a"))["model"] == ready


async def test_an_alias_can_be_given_the_model_of_another(
    client: Client, settings: Settings
) -> None:
    """A model may be named by an alias in a move, and have two of them."""
    model_id = await store_model(settings, make_model())
    await _put(client, "staging", model_id)

    await _put(client, "default", "staging")

    listed = (await get(client, "/aliases"))["aliases"]
    assert [(each["alias"], each["model"]) for each in listed] == [
        ("default", model_id),
        ("staging", model_id),
    ]


@pytest.mark.parametrize(
    "name", ["A", "-a", "a b", "é", "x" * 65, "00000000-0000-4000-8000-000000000000", "a:b"]
)
async def test_a_name_that_cannot_be_an_alias_is_refused(
    client: Client, settings: Settings, name: str
) -> None:
    """Names that could be taken for ids or for something else are told as wrong."""
    status, problem, _ = await _put(client, name, await store_model(settings, make_model()))

    assert (status, problem["type"]) == (422, "/problems/invalid-alias")


async def test_a_model_with_an_alias_is_not_deleted(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """Only when its last alias has gone the model can go, and leaves nothing."""
    model_id = await store_model(settings, make_model())
    await _put(client, "a", model_id)

    refused = await client.delete(f"/models/{model_id}")
    removed = await client.delete("/aliases/a")
    deleted = await client.delete(f"/models/{model_id}")

    assert (refused.status, removed.status, deleted.status) == (409, 204, 204)
    assert (await refused.json())["type"] == "/problems/model-aliased"
    assert {key.decode() for key in redis.scan_iter()} <= {"mls:sequence", "mls:pace"}


async def test_an_unknown_alias_is_not_found(client: Client) -> None:
    """As a model and as an alias, it is 404."""
    assert (await client.get("/models/nobody")).status == 404
    assert (await client.get("/aliases/nobody")).status == 404
    assert (await client.delete("/aliases/nobody")).status == 404
    assert await get(client, "/aliases") == {"aliases": []}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model": 1}', b'{"model": "x", "y": 1}'])
async def test_a_body_that_names_no_model_is_refused(client: Client, body: bytes) -> None:
    """What is not `{"model": id}` is told."""
    response = await client.put(
        "/aliases/a", data=body, headers={"Content-Type": "application/json"}
    )

    assert response.status in {400, 422}


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


@pytest.fixture
async def aliases(settings: Settings) -> AsyncIterator[Aliases]:
    """Return another process's view of the aliases."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    yield Aliases(link, "anonymous", Clock())
    await link.close()


async def test_another_process_follows_a_move_within_a_second(
    client: Client, settings: Settings, aliases: Aliases
) -> None:
    """What a process keeps of an alias is looked up again when it is a second old."""
    first, second = [await store_model(settings, make_model()) for _ in range(2)]
    await _put(client, "a", first)
    assert await aliases.resolve("a") == first
    await _put(client, "a", second)

    kept = await aliases.resolve("a")
    aliases._clock.now = room.FRESH_S  # type: ignore[attr-defined]  # the test's own clock

    assert kept == first
    assert await aliases.resolve("a") == second


async def test_an_alias_goes_on_while_the_store_is_away(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """A process that knew where it points goes on predicting; one that did not says 503."""
    model_id = await store_model(settings, make_model())
    await _put(client, "a", model_id)
    link = Link(open_redis(settings), 0.5)
    known, new = Aliases(link, "anonymous", Clock()), Aliases(link, "anonymous", Clock())
    await known.resolve("a")
    known._clock.now = room.FRESH_S  # type: ignore[attr-defined]  # the test's own clock
    redis.client_pause(5000)

    async with asyncio.timeout(5):
        assert await known.resolve("a") == model_id
        with pytest.raises(StoreUnavailable):
            await new.resolve("a")

    redis.client_unpause()
    await link.close()


async def test_the_version_is_known_while_the_store_is_away_and_somebody_removes_the_alias(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """What was known is answered, whatever else begins while the store is waited for."""
    model_id = await store_model(settings, make_model())
    await _put(client, "a", model_id)
    link = Link(open_redis(settings), 0.5)
    known = Aliases(link, "anonymous", Clock())
    await known.resolve("a")
    known._clock.now = room.FRESH_S  # type: ignore[attr-defined]  # the test's own clock
    redis.client_pause(5000)

    async with asyncio.timeout(5):
        revision, removed = await asyncio.gather(
            known.revision("a"), known.remove("a"), return_exceptions=True
        )

    redis.client_unpause()
    await link.close()
    assert revision == 1
    assert isinstance(removed, StoreUnavailable)


async def test_a_removed_alias_is_forgotten(
    client: Client, settings: Settings, aliases: Aliases
) -> None:
    """Within a second no process predicts by it any more."""
    await _put(client, "a", await store_model(settings, make_model()))
    await aliases.resolve("a")
    await client.delete("/aliases/a")

    aliases._clock.now = room.FRESH_S  # type: ignore[attr-defined]  # the test's own clock

    with pytest.raises(ModelNotFound):
        await aliases.resolve("a")


async def test_many_aliases_are_listed_by_name_and_read_some_at_a_time(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """However many there are, other requests have their turn between."""
    model_id = await store_model(settings, make_model())
    names = [f"a{number:03}" for number in range(2 * room.READ_AT_ONCE + 1)]
    for name in names:
        assert (await client.put(f"/aliases/{name}", json={"model": model_id})).status == 200
    before = _round_trips(redis)

    listed = (await get(client, "/aliases"))["aliases"]

    assert [alias["alias"] for alias in listed] == names
    assert _round_trips(redis) - before >= 3


def _round_trips(redis: Any) -> int:
    return int(redis.info("commandstats")["cmdstat_exec"]["calls"])
