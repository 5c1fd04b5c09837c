"""The bell that tells workers of new entries, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from mlservice import jobs
from mlservice.settings import Settings
from mlservice.store import open_redis
from tests.support import Client, create, get, make_request, until
from workers.bell import Bell
from workers.patience import PatientWorker
from workers.settings import worker_options


@pytest.fixture
async def bell(settings: Settings) -> AsyncIterator[Bell]:
    """Return a bell that has rung for its subscription, and is quiet."""
    bell, redis = Bell(), open_redis(settings)
    listening = asyncio.create_task(bell.listen(redis))
    await until(bell.wait, within_s=5)
    yield bell
    listening.cancel()
    await asyncio.wait([listening])
    await redis.aclose()


async def test_an_entry_rings(bell: Bell, client: Client) -> None:
    """Whoever queues a training is heard by the workers that wait."""
    await create(client, make_request())

    assert await bell.wait()


async def test_without_an_entry_the_queue_is_looked_at_now_and_then(bell: Bell) -> None:
    """The wait ends by itself, for an entry whose message was lost."""
    assert not await asyncio.wait_for(bell.wait(), 5)


async def test_a_bell_that_is_not_heard_does_not_wait() -> None:
    """Without a connection the worker looks as often as arq's does."""
    bell = Bell()

    assert not await asyncio.wait_for(bell.wait(), 0.1)


async def test_a_lost_connection_is_made_again(bell: Bell, redis: "Redis") -> None:
    """An entry rings after the store has cut the subscriber off."""
    redis.client_kill_filter(_type="pubsub")
    await until(bell.wait, within_s=10)

    redis.publish("mls:queued", "an entry")

    assert await until(bell.wait, within_s=5)


async def test_a_worker_takes_what_comes_while_it_waits(client: Client, settings: Settings) -> None:
    """A worker that waits for the bell trains, and stops when it is told to."""
    worker = PatientWorker(handle_signals=False, **worker_options(settings))
    run = asyncio.create_task(worker.async_run())
    model_id = await create(client, make_request())

    async def is_ready() -> bool:
        return bool((await get(client, f"/models/{model_id}"))["state"] == "ready")

    await until(is_ready, within_s=20)
    run.cancel()
    await asyncio.wait([run])
    await worker.close()

    assert run.cancelled()
    assert jobs.entry_id(model_id, 1) not in worker.tasks
