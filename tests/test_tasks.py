"""One attempt of a training, from its claim to its end, with a real pool and store."""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import AsyncIterator

import msgspec
import psutil
import pytest
from redis import Redis

from mlservice import jobs
from mlservice.schemas import Description
from mlservice.settings import Settings
from mlservice.store import Link, Models, Record, Trainings, open_redis
from tests.chaos.tasks import tasks
from tests.support import endless_request, fit_processes, make_request, until
from workers.pool import Pool
from workers.tasks import Trainer


class Bench:
    """A trainer and its store."""

    def __init__(self, link: Link, settings: Settings, pool: Pool) -> None:
        self.models = Models(link, settings, jobs.entry)
        self.trainings = Trainings(link, settings, jobs.entry)
        self.trainer = Trainer(self.trainings, pool, settings, "worker-1")

    async def create(self, body: dict[str, object]) -> str:
        """Queue a training; return its model's id."""
        model_id = str(uuid.uuid4())
        await self.models.append(model_id, msgspec.json.encode(body))
        await self.models.create(
            model_id,
            name=None,
            description=msgspec.json.encode(Description()),
        )
        return model_id

    async def record(self, model_id: str) -> Record:
        """Return a model's record."""
        return await self.models.record(model_id)

    async def start(self, model_id: str) -> "asyncio.Task[None]":
        """Run an attempt that does not end by itself, until it is under way."""
        run = asyncio.create_task(self.trainer.run(model_id, 1))

        async def is_training() -> bool:
            return (await self.record(model_id)).state == "training"

        await until(is_training, within_s=10)
        return run


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings that renew often."""
    return msgspec.structs.replace(settings, renew_s=0.05, lease_s=2.0)


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    """Return a trainer with a started pool."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    pool = Pool(settings)
    await pool.start()
    yield Bench(link, settings, pool)
    await pool.close()
    await link.close()


async def test_an_attempt_makes_a_model(bench: Bench) -> None:
    """Claimed, fitted, committed."""
    model_id = await bench.create(make_request(name="iris"))

    await bench.trainer.run(model_id, 1)

    record = await bench.record(model_id)
    assert (record.state, record.name, record.attempt) == ("ready", "iris", 1)


async def test_an_attempt_that_another_worker_has_is_left_alone(bench: Bench) -> None:
    """A second delivery of one entry does nothing."""
    model_id = await bench.create(make_request())
    await bench.trainings.claim(model_id, 1, "other")

    await bench.trainer.run(model_id, 1)

    assert (await bench.record(model_id)).state == "training"


async def test_a_training_without_its_data_fails_at_once(bench: Bench, redis: "Redis") -> None:
    """Data that are gone before the start end the training with the reason."""
    model_id = await bench.create(make_request())
    redis.delete(f"mls:data:{model_id}")

    await bench.trainer.run(model_id, 1)

    record = await bench.record(model_id)
    assert record.state == "failed"
    assert msgspec.json.decode(record.error)["type"] == "/problems/data-lost"


async def test_a_process_that_cannot_be_forked_fails_its_training_and_no_other(
    bench: Bench,
) -> None:
    """Where each forkserver is killed at once the training ends, and the next one is well."""
    is_over = threading.Event()
    killer = threading.Thread(target=_kill_forkservers, args=(is_over,))
    doomed, after = await bench.create(make_request()), await bench.create(make_request())
    spares = fit_processes()
    for each in {*spares, *(spare.parent() for spare in spares)}:
        assert each
        each.kill()
    await asyncio.to_thread(psutil.wait_procs, spares, 5)
    killer.start()
    try:
        await bench.trainer.run(doomed, 1)
    finally:
        is_over.set()
        await asyncio.to_thread(killer.join)

    await bench.trainer.run(after, 1)

    record = await bench.record(doomed)
    assert (record.state, (await bench.record(after)).state) == ("failed", "ready")
    assert b"the process that forks does not live" in record.error


def _kill_forkservers(is_over: threading.Event) -> None:
    while not is_over.wait(0.01):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any("forkserver" in word for word in child.cmdline()):
                    child.kill()


async def test_a_model_deleted_while_it_trains_stops_its_fit_within_a_second(
    bench: Bench, redis: "Redis"
) -> None:
    """The next renewal finds nothing, the child is killed, and nothing is stored."""
    model_id = await bench.create(endless_request())
    run = await bench.start(model_id)

    await bench.models.delete(model_id)

    await asyncio.wait_for(run, 1)
    assert {key.decode() for key in redis.scan_iter()} <= {"mls:sequence", "mls:pace"}


async def test_a_training_whose_lease_was_taken_stops(bench: Bench) -> None:
    """A worker that was given up finds out, and changes nothing."""
    model_id = await bench.create(endless_request())
    run = await bench.start(model_id)
    await bench.trainings.requeue(model_id, 1)
    await bench.trainings.claim(model_id, 2, "other")

    await asyncio.wait_for(run, 1)

    record = await bench.record(model_id)
    assert (record.state, record.attempt) == ("training", 2)


async def test_a_worker_that_stops_gives_its_training_back(bench: Bench, redis: "Redis") -> None:
    """Cancelled, the attempt is queued again at once under the next number."""
    model_id = await bench.create(endless_request())
    run = await bench.start(model_id)

    run.cancel()
    await asyncio.wait([run])

    assert run.cancelled()
    assert (await bench.record(model_id)).state == "queued"
    assert redis.zscore("arq:queue", f"{model_id}:2") is not None


async def test_a_lease_is_renewed_while_the_fit_runs(bench: Bench, redis: "Redis") -> None:
    """The lease's end moves on as long as the worker lives."""
    model_id = await bench.create(endless_request())
    run = await bench.start(model_id)
    first = redis.zscore("mls:leases", model_id)

    async def has_moved() -> bool:
        return redis.zscore("mls:leases", model_id) != first

    await until(has_moved, within_s=2)
    run.cancel()
    await asyncio.wait([run])


async def test_a_fit_goes_on_while_the_store_stalls(
    bench: Bench, settings: Settings, redis: "Redis"
) -> None:
    """A store that is silent for longer than a renewal waits costs no training.

    Fails when a renewal that is not answered ends the fit.
    """
    link = Link(open_redis(settings), 0.2)
    trainings = Trainings(link, settings, jobs.entry)
    trainer = Trainer(trainings, bench.trainer._pool, settings, "worker-2")
    model_id = await bench.create(tasks()[-1].request)
    run = asyncio.create_task(trainer.run(model_id, 1))

    async def is_training() -> bool:
        return (await bench.record(model_id)).state == "training"

    async def is_away() -> bool:
        assert not run.done()
        return link.is_away

    await until(is_training, within_s=10)
    redis.client_pause(600)
    await until(is_away, within_s=5)

    await run

    record = await bench.record(model_id)
    assert (record.state, record.attempt) == ("ready", 1)
    await link.close()
