"""Large bodies that a worker reads while their upload runs, with a real pool and store."""

import asyncio
import gzip
import io
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import msgspec
import psutil
import pytest
from redis import Redis

from mlservice import jobs
from mlservice.schemas import Description
from mlservice.sent import CSV, Sent
from mlservice.settings import Settings
from mlservice.store import Link, Models, Trainings, open_redis
from tests.support import Client, fit_processes, until
from workers.ahead import Reading
from workers.patience import PatientWorker
from workers.pool import Pool
from workers.settings import worker_options
from workers.tasks import Trainer

ROWS = b"1,2,0\n4,3,1\n2,5,0\n7,1,1\n" * 5000
HEADER = Sent(media_type=CSV, options=[("evaluation.test_size", "0")], body=b"").header()
PIECES = [HEADER + b"a,b,y\n" + ROWS, ROWS, ROWS]
SIZE = sum(map(len, PIECES))


class Bench:
    """Uploads, and a trainer that may read them ahead."""

    def __init__(self, link: Link, settings: Settings, pool: Pool) -> None:
        self.models = Models(link, settings, jobs.entry)
        self.trainings = Trainings(link, settings, jobs.entry)
        self.trainer = Trainer(self.trainings, pool, settings, "worker-1")
        self.other = Trainer(self.trainings, pool, settings, "worker-2")

    async def upload(self, *, most: int | None = None) -> str:
        """Append pieces to a new body; return the id of its model."""
        model_id = str(uuid.uuid4())
        for piece in PIECES[:most]:
            await self.models.append(model_id, piece)
        return model_id

    async def create(self, model_id: str, piece: bytes = b"") -> None:
        """Queue a training, its last piece with it."""
        await self.models.create(
            model_id, name=None, description=msgspec.json.encode(Description()), piece=piece
        )

    async def read_ahead(self, model_id: str) -> psutil.Process:
        """Let the trainer read a body, until it waits for more of it; return the child."""
        before = fit_processes()
        await self.trainer.read_ahead(model_id, SIZE)
        # A child that reads is no spare any more: there is a new one.
        await until(lambda: _are_more(before), within_s=5)
        return before[0]

    async def train(self, model_id: str) -> bytes:
        """Train, and return the stored model."""
        await self.trainer.run(model_id, 1)
        return await self.models.load(model_id)


async def _are_more(before: list[psutil.Process]) -> bool:
    return bool(set(fit_processes()) - set(before))


def gone(process: psutil.Process) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether a process has ended."""

    async def ask() -> bool:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    return ask


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings of a worker with one slot."""
    return msgspec.structs.replace(settings, renew_s=0.05, lease_s=2.0, worker_slots=1)


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    """Return a trainer with a started pool."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    pool = Pool(settings)
    await pool.start()
    bench = Bench(link, settings, pool)
    yield bench
    await bench.trainer.close()
    await bench.other.close()
    await pool.close()
    await link.close()


async def test_what_was_read_ahead_gives_the_same_model(bench: Bench, redis: "Redis") -> None:
    """Of pieces that were taken before the claim the model is made, bit for bit the usual one."""
    usual = await bench.upload()
    await bench.create(usual)
    model_id = await bench.upload(most=2)

    await bench.read_ahead(model_id)
    redis.lset(f"mls:data:{model_id}", 0, "taken")
    await bench.create(model_id, piece=PIECES[2])

    assert await bench.train(model_id) == await bench.train(usual)


async def test_an_upload_that_is_cut_off_leaves_nothing_of_its_reading(
    bench: Bench, redis: "Redis"
) -> None:
    """When no piece comes for a while the child ends; the store has the upload's own key only."""
    model_id = await bench.upload(most=2)
    child = await bench.read_ahead(model_id)

    await until(gone(child), within_s=5)

    assert set(redis.scan_iter()) == {f"mls:data:{model_id}".encode()}


async def test_an_upload_that_was_given_up_is_trained_on_when_it_is_whole(bench: Bench) -> None:
    """What came too slowly to be read ahead is read as ever."""
    model_id = await bench.upload(most=2)
    child = await bench.read_ahead(model_id)
    await until(gone(child), within_s=5)

    await bench.create(model_id, piece=PIECES[2])

    assert await bench.train(model_id)


async def test_a_training_that_waits_gets_the_slot(bench: Bench) -> None:
    """With one slot the reading ends as soon as another training is taken."""
    model_id, other = await bench.upload(most=2), await bench.upload()
    await bench.create(other)
    child = await bench.read_ahead(model_id)

    run = asyncio.create_task(bench.train(other))
    await until(gone(child), within_s=1)

    assert await run


async def test_pieces_that_are_there_are_asked_for_at_once_and_given_in_order(
    bench: Bench,
) -> None:
    """One that comes after those behind it is still read before them."""
    behind = asyncio.Event()

    async def piece(index: int) -> tuple[bytes | None, int]:
        if index == 1:
            await behind.wait()
        else:
            behind.set()
        return PIECES[index], len(PIECES)

    async def in_order() -> AsyncGenerator[bytes, None]:
        for each in PIECES:
            yield each

    pool = bench.trainer._pool
    first = PIECES[0], len(PIECES)
    reading = Reading(pool, piece, timeout_s=20, first=first)
    reading.claim(lambda _: None)

    found = await reading.fit

    assert found["artifact"] == (await pool.run(in_order))["artifact"]


async def test_of_pieces_that_are_not_there_one_is_asked_for(bench: Bench) -> None:
    """So that how long it is waited for begins when the one before it has come."""
    asked: list[int] = []

    async def piece(index: int) -> tuple[bytes | None, int]:
        asked.append(index)
        return (PIECES[index] if index < 2 else None), 2

    reading = Reading(bench.trainer._pool, piece, timeout_s=20)

    async def is_asked_again() -> bool:
        return asked.count(2) > 2

    await until(is_asked_again, within_s=5)
    await reading.end()

    assert set(asked) == {0, 1, 2}


async def test_a_slot_that_is_taken_reads_nothing_ahead(bench: Bench) -> None:
    """While a training has the only slot an upload is not read."""
    other, model_id = await bench.upload(), await bench.upload(most=2)
    await bench.create(other)
    run = asyncio.create_task(bench.train(other))
    await asyncio.sleep(0)

    await bench.trainer.read_ahead(model_id, SIZE)

    assert not bench.trainer._ahead.take(model_id)
    assert await run


async def test_a_second_upload_is_not_read_beside_the_first(bench: Bench) -> None:
    """A worker reads one body ahead at most."""
    first, second = await bench.upload(most=2), await bench.upload(most=2)
    await bench.read_ahead(first)

    await bench.trainer.read_ahead(second, SIZE)

    assert not bench.trainer._ahead.take(second)


async def test_nothing_is_read_ahead_where_another_worker_may_claim_it(bench: Bench) -> None:
    """With two workers most of what each reads would be for nothing."""
    await bench.trainings.announce("worker-1")
    await bench.trainings.announce("worker-2")
    model_id = await bench.upload(most=2)

    await bench.trainer.read_ahead(model_id, SIZE)

    assert not bench.trainer._ahead.take(model_id)


async def test_what_another_worker_claims_is_its_own(bench: Bench) -> None:
    """The worker that read ahead finds nothing more, and ends its child."""
    model_id = await bench.upload(most=2)
    child = await bench.read_ahead(model_id)
    await bench.create(model_id, piece=PIECES[2])

    await bench.other.run(model_id, 1)

    assert (await bench.models.record(model_id)).state == "ready"
    await until(gone(child), within_s=5)


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_child_that_is_killed_while_it_reads_ahead_costs_nothing(
    bench: Bench, *, is_known: bool
) -> None:
    """Whether its death is known before the claim or not, the training is made by another."""
    model_id = await bench.upload(most=2)
    child = await bench.read_ahead(model_id)
    await bench.create(model_id, piece=PIECES[2])

    child.kill()
    if is_known:
        await until(gone(child), within_s=5)

    assert await bench.train(model_id)


async def test_a_time_limit_counts_from_the_claim(bench: Bench, settings: Settings) -> None:
    """An upload that takes longer than a training may costs the training none of its time."""
    limited = msgspec.structs.replace(settings, training_timeout_s=0.8)
    pool = Pool(limited)
    bench.trainer = Trainer(bench.trainings, pool, limited, "worker-1")
    await pool.start()
    model_id = await bench.upload(most=1)
    await bench.trainer.read_ahead(model_id, SIZE)
    for _ in range(2):
        await asyncio.sleep(0.5)  # an upload that goes on slowly
        await bench.models.append(model_id, ROWS)
    reading = bench.trainer._ahead._reading

    await bench.create(model_id, piece=ROWS)

    assert await bench.train(model_id)
    assert reading
    assert "artifact" in reading.fit.result()
    await bench.trainer.close()
    await pool.close()


def _csv(size: int) -> bytes:
    return b"a,b,y\n" + ROWS * (size // len(ROWS) + 1)


async def test_a_large_upload_is_read_by_a_worker_that_waits(
    client: Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that is told of an upload has its model ready, and no process but its spare."""
    caplog.set_level("INFO")
    worker = PatientWorker(handle_signals=False, **worker_options(settings))
    run = asyncio.create_task(worker.async_run())
    await until(lambda: _has_trainer(worker), within_s=20)
    readings = []

    async def slowly() -> AsyncIterator[bytes]:
        yield _csv(9 << 20)
        readings.append(await until(lambda: _reading_of(worker), within_s=5))
        yield ROWS

    headers = {"Content-Type": CSV, "Content-Length": str(len(_csv(9 << 20)) + len(ROWS))}
    response = await client.post(
        "/models?evaluation.test_size=0", data=slowly(), headers=headers | {"Prefer": "wait=30"}
    )
    document = await response.json()

    assert document["state"] == "ready", document
    assert "artifact" in readings[0].fit.result()
    run.cancel()
    await asyncio.wait([run])
    await worker.close()


async def _has_trainer(worker: PatientWorker) -> bool:
    return "trainer" in worker.ctx


async def _reading_of(worker: PatientWorker) -> object:
    return worker.ctx["trainer"]._ahead._reading


@pytest.mark.parametrize(
    ("body", "headers", "is_told"),
    [
        (_csv(8 << 20), {}, True),
        (_csv(2 << 20), {}, False),
        (gzip.compress(_csv(8 << 20)), {"Content-Encoding": "gzip"}, False),
    ],
    ids=["large", "small", "of unknown size"],
)
async def test_workers_are_told_of_bodies_that_are_large(
    client: Client, redis: "Redis", body: bytes, headers: dict[str, str], *, is_told: bool
) -> None:
    """They hear the model's id and the body's size as the store has it, if it is known."""
    pubsub = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py's
    pubsub.subscribe("mls:uploads")
    pubsub.get_message(timeout=1)

    response = await client.post(
        "/models", data=io.BytesIO(body), headers={"Content-Type": CSV} | headers
    )
    model_id = (await response.json())["id"]
    message = await asyncio.to_thread(pubsub.get_message, timeout=0.2)

    size = len(Sent(media_type=CSV, options=[], body=b"").header() + body)
    assert (message and message["data"]) == (f"{model_id} {size}".encode() if is_told else None)
    pubsub.close()
