"""Server-Sent Events of a training, through HTTP, with a real worker."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from redis import Redis
from sklearn.datasets import load_breast_cancer

from mlservice.settings import Settings
from mlservice.wire import CHANGES
from tests.support import Client, create, endless_request, get, make_request, until, work

Event = tuple[str, str, Any]


def _slow_request() -> dict[str, Any]:
    """Return a training whose lbfgs takes thousands of iterations."""
    cancer = load_breast_cancer()
    table = {f"f{i}": cancer.data[:, i].tolist() for i in range(30)}
    table["y"] = cancer.target.tolist()
    return {"data": table, "target": "y", "params": {"max_iter": 100_000, "C": 1e6, "tol": 1e-9}}


def _read(text: str) -> list[Event]:
    """Return the id, the kind and the data of each event."""
    events = []
    for block in filter(None, text.split("\r\n\r\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\r\n"))
        if "data" in fields:
            events.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return events


async def _events(client: Client, model_id: str, after: str = "") -> list[Event]:
    """Return all events until the stream ends by itself."""
    headers = {"Last-Event-ID": after} if after else {}
    async with client.get(f"/models/{model_id}/events", headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        return _read(await asyncio.wait_for(response.text(), 20))


async def _first_line(response: ClientResponse) -> bytes:
    return await asyncio.wait_for(response.content.readline(), 5)


async def test_a_late_reader_sees_all_from_the_beginning_to_the_end(
    client: Client, settings: Settings
) -> None:
    """After the end the stream still tells each state and phase, in order, and ends."""
    model_id = await create(client, make_request())
    await work(settings)

    events = await _events(client, model_id)

    told = [data.get("state") or data["phase"] for _, _, data in events]
    assert told == ["queued", "training", "reading", "fitting", "evaluating", "storing", "ready"]
    assert [kind for _, kind, _ in events] == ["state"] * 2 + ["progress"] * 4 + ["state"]
    assert events[-1][2] == {"state": "ready", "attempts": 1}


async def test_a_reader_who_follows_hears_the_end(client: Client, settings: Settings) -> None:
    """A stream that was opened before the training ends with the last state."""
    model_id = await create(client, make_request())
    reading = asyncio.create_task(_events(client, model_id))

    await work(settings)

    assert (await reading)[-1][2] == {"state": "ready", "attempts": 1}


async def test_lbfgs_tells_its_iterations(client: Client, settings: Settings) -> None:
    """Iterations grow, stay below their limit, and come about five times a second at most."""
    model_id = await create(client, _slow_request())
    await work(settings)

    events = await _events(client, model_id)

    iterations = [(d["iteration"], i) for i, _, d in events if d.get("iteration") is not None]
    assert len(iterations) >= 2
    assert sorted(iterations) == iterations
    assert {d["max_iter"] for _, _, d in events if d.get("iteration") is not None} == {100_000}
    times = [int(i.partition("-")[0]) for _, i in iterations]
    assert len(times) <= 2 + (times[-1] - times[0]) / 180


async def test_the_document_tells_how_far_a_fit_is(client: Client, settings: Settings) -> None:
    """`progress` has the phase while a model trains, and is null before and after."""
    model_id = await create(client, endless_request())
    before = await get(client, f"/models/{model_id}")
    worker = asyncio.create_task(work(settings))

    async def is_fitting() -> Any:
        progress = (await get(client, f"/models/{model_id}"))["progress"]
        return progress if progress and progress["phase"] == "fitting" else None

    progress = await until(is_fitting, within_s=10)
    await client.post(f"/models/{model_id}/cancel")
    await worker
    after = await get(client, f"/models/{model_id}")
    assert progress == {
        "phase": "fitting",
        "iteration": None,
        "max_iter": None,
        "loss": None,
    }
    assert (before["progress"], after["progress"]) == (None, None)


async def test_a_reader_who_comes_back_gets_the_rest(client: Client, settings: Settings) -> None:
    """`Last-Event-ID` resumes after each event; after the last one there is nothing."""
    model_id = await create(client, make_request())
    await work(settings)
    events = await _events(client, model_id)

    for i, (place, _, _) in enumerate(events[:-1]):
        assert await _events(client, model_id, place) == events[i + 1 :]

    path, headers = f"/models/{model_id}/events", {"Last-Event-ID": events[-1][0]}
    assert (await client.get(path, headers=headers)).status == 204


@pytest.mark.parametrize("after", ["x", "1", "-", "1-2-3", "٣-1", "9" * 30 + "-0"])
async def test_a_malformed_event_id_begins_at_the_beginning(client: Client, after: str) -> None:
    """What is no id of an event is taken as none."""
    model_id = await create(client, make_request())
    await client.post(f"/models/{model_id}/cancel")

    events = await _events(client, model_id, after)

    assert [data["state"] for _, _, data in events] == ["queued", "cancelled"]


async def test_events_that_expired_leave_the_last_state(client: Client, redis: "Redis") -> None:
    """After ten minutes the end is all that is told, and once only."""
    model_id = await create(client, make_request())
    await client.post(f"/models/{model_id}/cancel")
    assert 0 < redis.pttl(f"mls:events:{model_id}") <= 600_000  # type: ignore[operator]
    redis.delete(f"mls:events:{model_id}")

    [(place, kind, data)] = await _events(client, model_id)

    assert (kind, data) == ("state", {"state": "cancelled", "attempts": 0})
    again = await client.get(f"/models/{model_id}/events", headers={"Last-Event-ID": place})
    assert again.status == 204
    assert await _events(client, model_id, "1-0") == [(place, kind, data)]


async def test_a_reader_who_goes_away_costs_nothing(
    client: Client, app: web.Application, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is watched for soon after, and the log has no error."""
    model_id = await create(client, endless_request())
    response = await client.get(f"/models/{model_id}/events")
    await _first_line(response)

    response.close()

    async def is_forgotten() -> bool:
        return not app[CHANGES]._watches

    await until(is_forgotten, within_s=5)
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


@pytest.mark.parametrize("end", ["delete", "stop"])
async def test_a_stream_ends_with_its_model_or_its_process(
    client: Client, app: web.Application, end: str
) -> None:
    """A model that is deleted, and a process that stops, end the stream at once."""
    model_id = await create(client, make_request())
    reading = asyncio.create_task(_events(client, model_id))

    async def is_watched() -> bool:
        return model_id in app[CHANGES]._watches

    await until(is_watched, within_s=5)
    if end == "delete":
        await client.delete(f"/models/{model_id}")
    else:
        await app.shutdown()

    events = await asyncio.wait_for(reading, 3)
    assert [data["state"] for _, _, data in events] == ["queued"]


async def test_a_stream_that_a_stop_ends_tells_when_to_come_back(
    client: Client, app: web.Application
) -> None:
    """Its last line is the time after which an EventSource connects again."""
    model_id = await create(client, make_request())
    response = await client.get(f"/models/{model_id}/events")
    await _first_line(response)

    await app.shutdown()

    assert (await asyncio.wait_for(response.read(), 3)).endswith(b"retry: 1000\r\n\r\n")


async def test_a_stream_names_its_request(client: Client) -> None:
    """Headers of a stream have the request's id and forbid caching, for HEAD too."""
    model_id = await create(client, make_request())
    headers = {"X-Request-ID": "me-1"}

    async with client.get(f"/models/{model_id}/events", headers=headers) as response:
        assert response.headers["X-Request-ID"] == "me-1"
        assert response.headers["Cache-Control"] == "no-cache"
    async with client.head(f"/models/{model_id}/events", headers=headers) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert response.headers["X-Request-ID"] == "me-1"


@pytest.mark.parametrize("path", ["nope", "00000000-0000-4000-8000-000000000000"])
async def test_a_model_that_is_not_there_has_no_events(client: Client, path: str) -> None:
    """An unknown id is a problem, not a stream."""
    response = await client.get(f"/models/{path}/events")

    assert response.status == 404
    assert (await response.json())["type"] == "/problems/model-not-found"
