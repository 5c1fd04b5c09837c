"""Cancel a training wherever it is, through HTTP, with a real worker."""

import asyncio
import io
import random
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from redis import Redis

from mlservice.settings import Settings
from tests.support import (
    Client,
    busy_crew,
    busy_process,
    create,
    endless_request,
    get,
    is_alive,
    make_request,
    until,
    work,
)


async def _cancel(client: Client, model_id: str) -> tuple[int, Any]:
    async with client.post(f"/models/{model_id}/cancel") as response:
        return response.status, await response.json()


async def test_a_queued_training_that_is_cancelled_is_never_fitted(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """It is cancelled at once, leaves the queue, and keeps its record only."""
    model_id = await create(client, make_request(name="iris"))

    status, document = await _cancel(client, model_id)

    await asyncio.wait_for(work(settings), 10)
    assert (status, document["state"], document["name"]) == (202, "cancelled", "iris")
    assert document["finished_at"] >= document["created_at"]
    assert (await get(client, f"/models/{model_id}")) == document
    assert {key.decode() for key in redis.scan_iter()} == {
        f"mls:model:{model_id}",
        f"mls:events:{model_id}",
        "mls:models:anonymous",
        "mls:expiries",
        "mls:sequence",
    }


async def test_a_fit_that_is_cancelled_ends_within_a_second(
    client: Client, settings: Settings
) -> None:
    """Its process is gone, and its worker's only slot goes to the next training."""
    settings = msgspec.structs.replace(settings, worker_slots=1)
    endless = await create(client, endless_request())
    following = await create(client, make_request())
    worker = asyncio.create_task(work(settings))
    process = await busy_process()

    async def is_gone() -> bool:
        return not process.is_running()

    status, document = await _cancel(client, endless)
    await until(is_gone, within_s=1)

    await asyncio.wait_for(worker, 10)
    assert (status, document["state"]) == (202, "cancelled")
    assert (await get(client, f"/models/{endless}"))["state"] == "cancelled"
    assert (await get(client, f"/models/{following}"))["state"] == "ready"


def _endless_search() -> tuple[str, bytes]:
    body = endless_request() | {"search": {"C": [0.1, 1, 10]}}
    return "/models", msgspec.json.encode(body)


def _long_folds() -> tuple[str, bytes]:
    """Return a training whose folds are fitted side by side, for ten times as long as its model."""
    chance = np.random.default_rng(0)
    rows = np.column_stack([chance.integers(0, 9, (50_000, 20)), chance.integers(0, 2, 50_000)])
    head = ",".join(f"f{place}" for place in range(20)) + ",y\n"
    body = head + "\n".join(",".join(map(str, row)) for row in rows.tolist())
    query = "target=y&evaluation.test_size=0&evaluation.folds=20&params.solver=saga"
    return f"/models?{query}&params.tol=0&params.max_iter=60", body.encode()


@pytest.mark.alone
@pytest.mark.parametrize("long", [_endless_search, _long_folds])
async def test_fits_side_by_side_that_are_cancelled_are_gone_within_a_second(
    client: Client, settings: Settings, long: Callable[[], tuple[str, bytes]]
) -> None:
    """Each process of a search's or of folds' fits, and its memory; the next training is served."""
    settings = msgspec.structs.replace(settings, worker_slots=1, search_processes=2)
    path, body = long()
    headers = {"Content-Type": "application/json" if path == "/models" else "text/csv"}
    async with client.post(path, data=io.BytesIO(body), headers=headers) as response:
        cancelled = (await response.json())["id"]
    following = await create(client, make_request())
    worker = asyncio.create_task(work(settings))
    processes = await busy_crew()

    status, document = await _cancel(client, cancelled)

    async def are_gone() -> bool:
        return not any(map(is_alive, processes))

    await until(are_gone, within_s=1)
    await asyncio.wait_for(worker, 10)
    assert (status, document["state"]) == (202, "cancelled")
    assert (await get(client, f"/models/{cancelled}"))["state"] == "cancelled"
    assert (await get(client, f"/models/{following}"))["state"] == "ready"


async def test_a_cancelled_model_says_so_when_it_is_asked_to_predict(client: Client) -> None:
    """A prediction is refused with the state, and without a time to ask again."""
    model_id = await create(client, make_request())
    await _cancel(client, model_id)

    response = await client.get(f"/models/{model_id}?sepal_length=1")

    document = await response.json()
    assert response.status == 409
    assert (document["type"], document["state"]) == ("/problems/model-not-ready", "cancelled")
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize("end", ["ready", "failed", "cancelled"])
async def test_a_training_that_has_ended_cannot_be_cancelled(
    client: Client, settings: Settings, end: str
) -> None:
    """After its end the answer is 409 with the state, and nothing changes."""
    data = {"x": [1e200, 2e200, -3e200, 4e200], "y": [0, 1, 0, 1]}
    body = {"data": data, "target": "y"} if end == "failed" else make_request()
    model_id = await create(client, body)
    if end == "cancelled":
        await _cancel(client, model_id)
    await work(settings)
    before = await get(client, f"/models/{model_id}")

    status, document = await _cancel(client, model_id)

    assert (status, document["type"], document["state"]) == (409, "/problems/model-ended", end)
    assert await get(client, f"/models/{model_id}") == before


@pytest.mark.parametrize("path", ["nope", "00000000-0000-4000-8000-000000000000"])
async def test_a_model_that_is_not_there_cannot_be_cancelled(client: Client, path: str) -> None:
    """An unknown id is 404."""
    status, document = await _cancel(client, path)

    assert (status, document["type"]) == (404, "/problems/model-not-found")


async def test_every_training_ends_in_the_state_that_was_asked_for(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """60 trainings, half cancelled at random moments, half of those endless: none is lost."""
    chance = random.Random(3)  # moments, no secrets
    bodies = [endless_request() if i % 4 == 0 else make_request() for i in range(60)]
    ids = [await create(client, body) for body in bodies]
    chosen = [*ids[::4], *chance.sample([m for i, m in enumerate(ids) if i % 4], 15)]
    wanted = dict.fromkeys(ids, "ready")

    async def cancel_some_time(model_id: str) -> None:
        await asyncio.sleep(chance.uniform(0, 2))
        status, document = await _cancel(client, model_id)
        wanted[model_id] = document["state"]
        assert (status, document["state"]) in {(202, "cancelled"), (409, "ready")}

    await asyncio.gather(work(settings), *map(cancel_some_time, chosen))

    found = {model_id: (await get(client, f"/models/{model_id}"))["state"] for model_id in ids}
    assert found == wanted
    assert {wanted[model_id] for model_id in ids[::4]} == {"cancelled"}
    ready = {model_id for model_id in ids if wanted[model_id] == "ready"}
    assert {key.decode() for key in redis.scan_iter()} == {
        *(f"mls:model:{model_id}" for model_id in ids),
        *(f"mls:events:{model_id}" for model_id in ids),
        *(f"mls:artifact:{model_id}" for model_id in ready),
        "mls:models:anonymous",
        "mls:expiries",
        "mls:sequence",
        "mls:pace",
    }
    assert redis.zcard("mls:expiries") == 60 - len(ready)
