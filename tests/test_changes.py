"""`Prefer: wait`: who waits is woken by a change, and at the latest by the next reading."""

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web
from redis import Redis

from mlservice.settings import Settings
from mlservice.store import changes
from mlservice.wire import CHANGES
from tests.support import Client, create, endless_request, get, make_request, until, work

WAIT = {"Prefer": "wait=20"}


async def _is_listening(redis: "Redis") -> bool:
    return bool(dict(redis.pubsub_numsub("mls:changes"))[b"mls:changes"])  # type: ignore[arg-type]


async def test_a_training_that_is_waited_for_is_answered_finished(
    client: Client, settings: Settings
) -> None:
    """With `Prefer: wait` the answer is 201 and the finished document."""
    request = asyncio.create_task(client.post("/models", json=make_request(), headers=WAIT))

    async def is_queued() -> Any:
        return (await get(client, "/models"))["models"]

    await until(is_queued, within_s=5)
    await work(settings)

    response = await asyncio.wait_for(request, 10)
    document = await response.json()
    assert (response.status, document["state"]) == (201, "ready")
    assert response.headers["Location"] == f"/models/{document['id']}"
    assert response.headers["Preference-Applied"] == "wait=20"


async def test_a_wait_that_was_too_short_is_answered_as_queued(client: Client) -> None:
    """After N seconds the answer is 202, and says that it waited."""
    begun = time.monotonic()
    response = await client.post("/models", json=make_request(), headers={"Prefer": "wait=1"})

    assert response.status == 202
    assert (await response.json())["state"] == "queued"
    assert response.headers["Preference-Applied"] == "wait=1"
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("step", ["cancel", "delete"])
async def test_who_waits_is_woken_by_the_change_itself(
    client: Client, redis: "Redis", monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Without any reading in between, the end of a training is told at once."""
    monkeypatch.setattr(changes, "READ_AGAIN_S", 60)
    await until(lambda: _is_listening(redis), within_s=5)
    model_id = await create(client, make_request())
    waiting = asyncio.create_task(client.get(f"/models/{model_id}", headers=WAIT))
    await until(lambda: _is_watched(client, model_id), within_s=5)

    if step == "cancel":
        await client.post(f"/models/{model_id}/cancel")
    else:
        await client.delete(f"/models/{model_id}")

    response = await asyncio.wait_for(waiting, 2)
    answer = await response.json()
    expected = (200, "cancelled") if step == "cancel" else (404, None)
    assert (response.status, answer.get("state")) == expected


async def _is_watched(client: Client, model_id: str) -> bool:
    app = client.app
    assert app is not None
    return model_id in app[CHANGES]._watches  # nothing else shows that it waits


async def test_a_lost_message_costs_a_second(client: Client, redis: "Redis") -> None:
    """While nothing is heard, the record is read again, and the subscription comes back."""
    await until(lambda: _is_listening(redis), within_s=5)
    model_id = await create(client, make_request())
    waiting = asyncio.create_task(client.get(f"/models/{model_id}", headers=WAIT))
    await until(lambda: _is_watched(client, model_id), within_s=5)

    redis.client_kill_filter(_type="pubsub")
    await client.post(f"/models/{model_id}/cancel")

    response = await asyncio.wait_for(waiting, 3)
    assert (await response.json())["state"] == "cancelled"
    await until(lambda: _is_listening(redis), within_s=5)


async def test_a_message_that_is_no_text_deafens_nobody(
    client: Client, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever others send on the channel, the next change is heard."""
    monkeypatch.setattr(changes, "READ_AGAIN_S", 60)
    await until(lambda: _is_listening(redis), within_s=5)
    model_id = await create(client, make_request())
    waiting = asyncio.create_task(client.get(f"/models/{model_id}", headers=WAIT))
    await until(lambda: _is_watched(client, model_id), within_s=5)

    redis.publish("mls:changes", b"\xff")
    await client.post(f"/models/{model_id}/cancel")

    response = await asyncio.wait_for(waiting, 2)
    assert (await response.json())["state"] == "cancelled"


async def test_a_model_that_has_ended_is_not_waited_for(client: Client) -> None:
    """The document of an ended training is answered at once."""
    model_id = await create(client, make_request())
    await client.post(f"/models/{model_id}/cancel")

    response = await asyncio.wait_for(client.get(f"/models/{model_id}", headers=WAIT), 2)

    assert (await response.json())["state"] == "cancelled"
    assert response.headers["Preference-Applied"] == "wait=20"


async def test_who_waits_is_let_go_when_the_process_stops(
    client: Client, app: web.Application
) -> None:
    """A stop answers those who wait with the document as it is."""
    model_id = await create(client, endless_request())
    waiting = asyncio.create_task(client.get(f"/models/{model_id}", headers=WAIT))
    await until(lambda: _is_watched(client, model_id), within_s=5)

    await app.shutdown()

    response = await asyncio.wait_for(waiting, 2)
    assert (await response.json())["state"] == "queued"


async def test_who_has_waited_leaves_nothing(client: Client, app: web.Application) -> None:
    """After the answer nobody is watched for."""
    model_id = await create(client, make_request())

    await client.get(f"/models/{model_id}", headers={"Prefer": "wait=0"})

    assert app[CHANGES]._watches == {}


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        (["wait=0"], 0),
        (["WAIT = 0"], 0),
        (['wait="0"'], 0),
        (["wait=0; x=y"], 0),
        (["respond-async, wait=0"], 0),
        (['handling="a, wait=5", wait=0, wait=7'], 0),
        (["respond-async", "wait=0"], 0),
        (["wait"], None),
        (["wait=x"], None),
        (["wait=-1"], None),
        (["wait=x, wait=0"], None),
        (["wait=1.5"], None),
        (["wait=٣"], None),
        (['wait="0'], None),
        ([",,;="], None),
        (["return=minimal"], None),
    ],
)
async def test_a_preference_is_read_as_rfc_7240_says(
    client: Client, prefer: list[str], wait_s: int | None
) -> None:
    """The first `wait` counts, and one that is malformed is ignored."""
    model_id = await create(client, make_request())

    response = await client.get(f"/models/{model_id}", headers=[("Prefer", p) for p in prefer])

    expected = None if wait_s is None else f"wait={wait_s}"
    assert response.status == 200
    assert response.headers.get("Preference-Applied") == expected


async def test_nobody_waits_longer_than_a_minute(client: Client) -> None:
    """A longer wait is cut to 60 s, and the answer says so."""
    model_id = await create(client, make_request())
    await client.post(f"/models/{model_id}/cancel")

    response = await client.get(f"/models/{model_id}", headers={"Prefer": "wait=3600"})

    assert response.headers["Preference-Applied"] == "wait=60"
