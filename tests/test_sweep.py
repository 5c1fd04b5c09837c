"""Trainings that were lost are found by whoever looks, whatever else stands in the store."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from redis import Redis

from mlservice import jobs
from mlservice.schemas import Description
from mlservice.settings import Settings
from mlservice.store import Link, Models, Trainings, keep_swept, open_redis
from tests.conftest import Serve
from tests.support import Client, get, make_model, make_request, store_model, until
from workers.patience import PatientWorker
from workers.settings import worker_options

# It is the checker's to find such records.
BREAKS = pytest.mark.unchecked("store", "answers", reason="records are broken on purpose")
LEASE_S = 0.3
Break = Callable[["Redis", str], object]
# What somebody who writes to the store might make of a record.
BROKEN: dict[str, Break] = {
    "no state": lambda redis, key: redis.hdel(key, "state"),
    "no state that there is": lambda redis, key: redis.hset(key, "state", "asleep"),
    "no attempt": lambda redis, key: redis.hdel(key, "attempt"),
    "no number": lambda redis, key: redis.hset(key, "attempt", "first"),
    "no tenant": lambda redis, key: redis.hdel(key, "tenant"),
    "no name": lambda redis, key: redis.hdel(key, "name"),
    "no time": lambda redis, key: redis.hset(key, "created", "yesterday"),
    "no record": lambda redis, key: redis.delete(key),
    "no hash": lambda redis, key: redis.set(key, "text"),
}
# Those that are seen through the record alone; the others are none's, or the store refuses.
SEEN = {"no state that there is", "no attempt", "no number", "no name", "no time", "no state"}


class Store:
    """Both sides of the store."""

    def __init__(self, link: Link, settings: Settings) -> None:
        self.models = Models(link, settings, jobs.entry)
        self.trainings = Trainings(link, settings, jobs.entry)

    async def create(self) -> str:
        """Queue a training; return its model's id."""
        model_id = str(uuid.uuid4())
        await self.models.append(model_id, msgspec.json.encode(make_request()))
        description = msgspec.json.encode(Description())
        await self.models.create(model_id, name="n", description=description)
        return model_id

    async def lose(self) -> str:
        """Queue a training and claim it for a worker that then does nothing."""
        model_id = await self.create()
        assert await self.trainings.claim(model_id, 1, "gone") == "ok"
        return model_id


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings with a short lease, and nobody who sweeps."""
    return msgspec.structs.replace(settings, lease_s=LEASE_S, sweep_s=3600.0)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    """Return the store, closed at the end."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    yield Store(link, settings)
    await link.close()


async def _is(client: Client, model_id: str, state: str) -> bool:
    return bool((await get(client, f"/models/{model_id}"))["state"] == state)


async def test_a_sweep_that_fails_is_not_the_last_one(
    store: Store, settings: Settings, redis: "Redis"
) -> None:
    """Whatever it fails of, the next one does what is to be done."""
    attempts = 0

    def entry(model_id: str, attempt: int) -> jobs.Entry:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise LookupError("no words for this entry")
        return jobs.entry(model_id, attempt)

    model_id = await store.create()
    redis.zrem("arq:queue", f"{model_id}:1")
    link = Link(open_redis(settings), settings.store_timeout_s)
    often = msgspec.structs.replace(settings, sweep_s=0.05)
    sweeper = asyncio.create_task(keep_swept(Trainings(link, often, entry), often))

    async def is_put_back() -> bool:
        return redis.zscore("arq:queue", f"{model_id}:1") is not None

    try:
        await until(is_put_back, within_s=5)
    finally:
        sweeper.cancel()
        await asyncio.wait([sweeper])
        await link.close()
    assert attempts == 2


async def test_a_client_that_asks_finds_a_lost_training_without_a_sweep(
    client: Client, store: Store
) -> None:
    """Though no process sweeps, a training whose worker is gone is queued again when read."""
    model_id = await store.lose()
    assert await _is(client, model_id, "training")

    await until(lambda: _is(client, model_id, "queued"), within_s=5 * LEASE_S)


async def test_a_client_that_asks_ends_what_has_waited_too_long_without_a_sweep(
    serve: Serve, store: Store
) -> None:
    """Though no process sweeps, a training that nobody takes is failed when read."""
    client = await serve(queue_timeout_s=0.2)
    async with client.post("/models", json=make_request()) as response:
        model_id = (await response.json())["id"]

    await until(lambda: _is(client, model_id, "failed"), within_s=5)

    problem = (await get(client, f"/models/{model_id}"))["error"]
    assert problem["type"] == "/problems/queue-timeout"
    assert (await store.models.record(model_id)).state == "failed"


@BREAKS
@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN)
async def test_a_record_that_is_broken_keeps_no_other_from_being_swept(
    store: Store, redis: "Redis", break_it: Break
) -> None:
    """Lost leases, deadlines and entries of others are seen beyond it."""
    broken = [await store.lose(), await store.create()]
    lost, unheard = await store.lose(), await store.create()
    for model_id in broken:
        break_it(redis, f"mls:model:{model_id}")
    redis.delete(f"arq:job:{unheard}:1")
    await asyncio.sleep(2 * LEASE_S)

    await store.trainings.sweep()

    assert (await store.models.record(lost)).state == "queued"
    assert redis.exists(f"arq:job:{unheard}:1")


@BREAKS
@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN)
async def test_a_record_that_is_broken_harms_no_other(
    client: Client, settings: Settings, redis: "Redis", break_it: Break
) -> None:
    """It is no traceback, and another model goes on predicting."""
    model_id, other = [await store_model(settings, make_model()) for _ in range(2)]
    break_it(redis, f"mls:model:{model_id}")

    async with client.get(f"/models/{model_id}") as response:
        problem = (await response.json())["type"]

    assert (response.status, problem) in {
        (500, "/problems/broken-model"),
        (404, "/problems/model-not-found"),
        (503, "/problems/store-unavailable"),
    }
    assert (await get(client, f"/models/{other}?a=1&b=2"))["prediction"] == "yes"


@BREAKS
@pytest.mark.parametrize("kind", sorted(SEEN))
async def test_a_record_that_is_broken_is_told_and_the_lists_go_on(
    client: Client, settings: Settings, redis: "Redis", kind: str
) -> None:
    """The model is `broken-model`, or what can be told of it; a list has the others."""
    model_id, other = [await store_model(settings, make_model()) for _ in range(2)]
    BROKEN[kind](redis, f"mls:model:{model_id}")

    async with client.get(f"/models/{model_id}") as response:
        assert response.status == 500
        assert (await response.json())["type"] == "/problems/broken-model"
    for query in ("", "?state=ready", "?name=x"):
        async with client.get(f"/models{query}") as response:
            listed = [each["id"] for each in (await response.json())["models"]]
            assert response.status == 200
            assert (other in listed) is (query != "?name=x")


@BREAKS
async def test_records_that_are_broken_hold_up_no_worker(
    client: Client, store: Store, settings: Settings, redis: "Redis"
) -> None:
    """More of them than a worker has slots, before a training that it makes at once."""
    for break_it in BROKEN.values():
        break_it(redis, f"mls:model:{await store.create()}")
    model_id = await store.create()
    patient = msgspec.structs.replace(settings, lease_s=15.0)
    worker = PatientWorker(handle_signals=False, **worker_options(patient))
    run = asyncio.create_task(worker.async_run())

    await until(lambda: _is(client, model_id, "ready"), within_s=10)

    assert not run.done()
    await worker.close()
    await asyncio.gather(run, return_exceptions=True)
