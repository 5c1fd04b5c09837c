"""The store's clock goes forward and back, and is another than everybody else's."""

import asyncio
import importlib.util
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient
from redis import Redis

from mlservice import jobs
from mlservice.app import create_app
from mlservice.embedded.valkey import command, socket_path
from mlservice.schemas import Description
from mlservice.settings import Settings
from mlservice.store import Link, Models, Trainings, keys, open_redis
from tests.conftest import Serve, Spawn
from tests.support import Client, Server, create, endless_request, get, make_request, until

HOUR_MS = 3_600_000
# Of the extra `clock`, which needs a compiler.
FAKETIME = importlib.util.find_spec("libfaketime")


@pytest.fixture
async def link(settings: Settings) -> AsyncIterator[Link]:
    """Return a link to the store, closed at the end."""
    found = Link(open_redis(settings), settings.store_timeout_s)
    yield found
    await found.close()


async def _queue(link: Link, settings: Settings) -> str:
    """Queue a training; return its model's id."""
    models, model_id = Models(link, settings, jobs.entry), str(uuid.uuid4())
    await models.append(model_id, b"body")
    await models.create(model_id, name=None, description=msgspec.json.encode(Description()))
    return model_id


def _state(redis: "Redis", model_id: str) -> bytes:
    found: Any = redis.hget(keys.record(model_id), "state")
    return bytes(found)


def _put_ahead(redis: "Redis", key: str, member: str) -> None:
    """Leave a time as a clock wrote it that has gone back by an hour since."""
    seconds: Any = redis.time()
    assert redis.zadd(key, {member: seconds[0] * 1000 + HOUR_MS}, xx=True, ch=True) == 1


async def test_a_lease_from_before_the_clock_went_back_ends_in_time(
    link: Link, settings: Settings, redis: "Redis"
) -> None:
    """A worker that died just before is noticed as any other, not an hour later."""
    settings = msgspec.structs.replace(settings, lease_s=0.3)
    trainings = Trainings(link, settings, jobs.entry)
    model_id = await _queue(link, settings)
    assert await trainings.claim(model_id, 1, "gone") == "ok"
    _put_ahead(redis, keys.LEASES, model_id)

    async def is_queued_again() -> bool:
        await trainings.sweep()
        return _state(redis, model_id) == b"queued"

    await until(is_queued_again, within_s=5)


async def test_a_deadline_from_before_the_clock_went_back_comes_in_time(
    link: Link, settings: Settings, redis: "Redis"
) -> None:
    """A training that no worker takes waits as long as it may, not an hour longer."""
    settings = msgspec.structs.replace(settings, queue_timeout_s=0.3)
    trainings = Trainings(link, settings, jobs.entry)
    model_id = await _queue(link, settings)
    _put_ahead(redis, keys.DEADLINES, model_id)

    async def has_failed() -> bool:
        await trainings.sweep()
        return _state(redis, model_id) == b"failed"

    await until(has_failed, within_s=5)


async def test_a_worker_seen_before_the_clock_went_back_is_not_counted(
    link: Link, settings: Settings, redis: "Redis"
) -> None:
    """It may have died since; one that lives announces itself with the time that it is now."""
    trainings = Trainings(link, settings, jobs.entry)
    await trainings.announce("here")
    seconds: Any = redis.time()
    redis.zadd(keys.WORKERS, {"gone": seconds[0] + 3600})

    assert await trainings.workers() == 1


async def test_a_rate_from_before_the_clock_went_back_holds_up_nobody(
    serve: Serve, redis: "Redis"
) -> None:
    """Who had used up a rate is let in, and counted from then on as ever."""
    client = await serve(train_rate=2)
    seconds: Any = redis.time()
    redis.set("mls:rate:anonymous", seconds[0] * 1000 + HOUR_MS)

    statuses = []
    for _ in range(3):
        async with client.post("/models", json=make_request()) as response:
            statuses.append(response.status)

    assert statuses == [202, 202, 429]


class Watched:
    """A store whose clock a test moves, and what happens to a training on it."""

    def __init__(self, clock: Path, client: Client, model_id: str) -> None:
        self._clock = clock
        self._client = client
        self.model_id = model_id

    def move(self, seconds: int) -> None:
        """Let the store's clock be ahead of the machine's, or behind."""
        self._clock.write_text(f"{seconds:+d}")

    async def attempts(self) -> int:
        """Return how many workers have taken the endless training, which goes on."""

        async def ask() -> Any:
            document = await get(self._client, f"/models/{self.model_id}")
            return document["state"] == "training" and document["attempts"]

        found: int = await until(ask, within_s=20)
        return found

    async def trains(self) -> None:
        """Train a small model to its end."""
        model_id = await create(self._client, make_request())

        async def is_ready() -> bool:
            return bool((await get(self._client, f"/models/{model_id}"))["state"] == "ready")

        await until(is_ready, within_s=20)


@pytest.mark.faults
@pytest.mark.timeout(120)
class TestMovedClock:
    """A real store's own clock."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        """Return settings for a store in the test's folder; lost workers are found soon."""
        return Settings(redis_url=f"unix://{socket_path(tmp_path)}", lease_s=3.0, sweep_s=0.3)

    @pytest.fixture
    def clock(self, tmp_path: Path, spawn: Spawn) -> Path:
        """Start the store; return the file that says how far its clock is ahead."""
        if FAKETIME is None or FAKETIME.submodule_search_locations is None:
            pytest.skip("the extra `clock` is not installed: `make faults` does it")
        [library] = Path(FAKETIME.submodule_search_locations[0]).rglob("libfaketime.so*")
        clock = tmp_path / "clock"
        clock.write_text("+0")
        spawn(
            *command(tmp_path, appendfsync="everysec"),
            LD_PRELOAD=str(library),
            FAKETIME_TIMESTAMP_FILE=str(clock),
            FAKETIME_NO_CACHE="1",
            DONT_FAKE_MONOTONIC="1",
        )
        return clock

    async def test_a_stores_clock_that_jumps_loses_no_training(
        self, clock: Path, settings: Settings, spawn: Spawn
    ) -> None:
        """Two hours forward, four back: at most one more attempt, and a lost worker is found."""
        environ = {"MLSERVICE_LEASE_S": "3", "MLSERVICE_SWEEP_S": "0.3"}
        # Where it is known, a worker does not start.
        environ["MLSERVICE_ACCEPT_STORE_RISKS"] = "clock"
        worker = spawn(sys.executable, "-m", "workers", **environ)
        async with TestClient(Server(create_app(settings))) as client:
            await until(lambda: _has_workers(client), within_s=20)
            watched = Watched(clock, client, await create(client, endless_request()))
            assert await watched.attempts() == 1

            watched.move(+7200)
            with Redis.from_url(settings.redis_url) as redis:
                seconds: Any = redis.time()
                assert seconds[0] - time.time() > 7000
            await watched.trains()
            ahead = await watched.attempts()
            assert ahead <= 2

            watched.move(-7200)
            await watched.trains()
            assert await watched.attempts() == ahead

            worker.kill()
            await asyncio.to_thread(worker.wait, 10)
            watched.move(-14400)
            spawn(sys.executable, "-m", "workers", **environ)

            async def is_taken_up() -> bool:
                return await watched.attempts() > ahead

            await until(is_taken_up, within_s=20)
            await watched.trains()
            async with client.post(f"/models/{watched.model_id}/cancel") as response:
                assert response.status == 202


async def _has_workers(client: Client) -> bool:
    return bool((await get(client, "/health/ready"))["workers"])
