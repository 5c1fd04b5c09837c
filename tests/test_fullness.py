"""A store that is nearly full, and one that is: new work is refused, running work finishes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from mlservice import jobs
from mlservice.embedded.valkey import command, half_of_memory, socket_path
from mlservice.settings import Settings
from mlservice.store import Link, Trainings, keep_swept, keys, open_redis
from tests.conftest import Serve
from tests.support import (
    JSON,
    Client,
    create,
    get,
    make_model,
    make_request,
    running_valkey,
    store_model,
    until,
    work,
)

LIMIT = 24 << 20


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Return settings for a store of its own, with little memory."""
    url = f"unix://{socket_path(tmp_path)}"
    start = command(tmp_path, appendfsync="everysec", memory_bytes=LIMIT)
    with running_valkey(start, url):
        yield Settings(redis_url=url)


@pytest.fixture
def redis(settings: Settings) -> Iterator["Redis"]:
    """Return a client of that store."""
    with Redis.from_url(settings.redis_url) as client:
        yield client


def _fill(redis: "Redis", share: float) -> None:
    """Use this share of the store's memory; little of it in the connection, which lets it go."""
    info: Any = redis.info
    while (left := share * LIMIT - info("memory")["used_memory"]) > 20_000:
        size = min(left, 50_000)
        redis.rpush("filler", b"x" * int(size))


async def _status(client: Client) -> tuple[int, str]:
    async with client.post("/models", json=make_request()) as response:
        document = await response.json()
        assert response.status == 202 or int(response.headers["Retry-After"]) > 0
        return response.status, document.get("type", "")


async def _is_taken(client: Client) -> bool:
    return (await _status(client))[0] == 202


async def test_new_work_is_refused_early_so_that_running_work_can_finish(
    serve: Serve, settings: Settings, redis: "Redis"
) -> None:
    """Beyond 80 % no training and no import is taken; what was queued trains and predicts."""
    client = await serve()
    model_id = await store_model(settings, make_model())
    async with client.get(f"/models/{model_id}/artifact") as response:
        artifact, media_type = await response.read(), response.content_type
    queued = await create(client, make_request())
    _fill(redis, 0.85)

    await until(lambda: _is_refused(client), within_s=3)
    headers = JSON | {"Content-Type": media_type}
    async with client.post("/models", data=artifact, headers=headers) as imported:
        assert (await imported.json())["type"] == "/problems/store-full"
    await work(settings)

    assert (await get(client, f"/models/{queued}"))["state"] == "ready"
    redis.delete("filler")
    await until(lambda: _is_taken(client), within_s=3)


async def _is_refused(client: Client) -> bool:
    return await _status(client) == (503, "/problems/store-full")


async def test_the_share_that_is_left_free_is_a_setting(serve: Serve, redis: "Redis") -> None:
    """With a larger share the same store takes the same training."""
    _fill(redis, 0.85)
    client = await serve(store_share=0.95)

    assert await _status(client) == (202, "")


async def test_a_store_without_memory_refuses_and_lets_go(serve: Serve, redis: "Redis") -> None:
    """At the limit itself a training is 503; models predict, are cancelled and deleted."""
    client = await serve(store_share=1.0)
    model_id, queued = [await create(client, make_request()) for _ in range(2)]
    _fill(redis, 0.9)
    redis.config_set("maxmemory", LIMIT // 2)

    assert await _status(client) == (503, "/problems/store-full")
    async with client.post(f"/models/{queued}/cancel") as cancelled:
        assert cancelled.status == 202
    async with client.delete(f"/models/{model_id}") as deleted:
        assert deleted.status == 204


async def test_a_tenant_whose_rate_is_limited_can_make_room(serve: Serve, redis: "Redis") -> None:
    """What is counted in the store is counted at its limit too, or nobody could delete."""
    client = await serve(store_share=1.0, train_rate=1000)
    model_id = await create(client, make_request())
    _fill(redis, 0.9)
    redis.config_set("maxmemory", LIMIT // 2)

    async with client.delete(f"/models/{model_id}") as deleted:
        assert deleted.status == 204


async def test_a_sweeper_outlives_a_store_without_memory(
    settings: Settings, redis: "Redis"
) -> None:
    """What could not be announced goes on sweeping, and is seen when there is room."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    trainings = Trainings(link, settings, jobs.entry)
    _fill(redis, 0.9)
    redis.config_set("maxmemory", LIMIT // 2)
    begun = _refusals(redis)
    sweeper = asyncio.create_task(
        keep_swept(trainings, msgspec.structs.replace(settings, sweep_s=0.05), worker="patient")
    )

    async def tried_twice() -> bool:
        return _refusals(redis) >= begun + 2

    async def is_seen() -> bool:
        return redis.zscore(keys.WORKERS, "patient") is not None

    try:
        await until(tried_twice, within_s=5)
        redis.config_set("maxmemory", LIMIT)
        await until(is_seen, within_s=5)
    finally:
        sweeper.cancel()
        await asyncio.wait([sweeper])
        await link.close()


def _refusals(redis: "Redis") -> int:
    """Return how many commands the store has refused for want of memory."""
    told: Any = redis.info("errorstats")
    return int(told.get("errorstat_OOM", {}).get("count", 0))


async def test_a_store_without_a_limit_is_never_full(serve: Serve, redis: "Redis") -> None:
    """No limit, no share."""
    redis.config_set("maxmemory", 0)
    client = await serve(store_share=0.001)

    assert await _status(client) == (202, "")


def test_the_private_stores_memory_is_half_of_the_machines_unless_it_is_set(
    tmp_path: Path,
) -> None:
    """A store without a limit would take all memory, and be killed."""
    default = command(tmp_path, appendfsync="always")
    chosen = command(tmp_path, appendfsync="always", memory_bytes=123_456_789)

    assert int(default[default.index("--maxmemory") + 1]) == half_of_memory() > 100_000_000
    assert chosen[chosen.index("--maxmemory") + 1] == "123456789"


@pytest.mark.parametrize(("limit", "half"), [("1000000\n", 500_000), ("max\n", None)])
def test_a_container_that_has_less_memory_than_its_machine_counts(
    tmp_path: Path, limit: str, half: int | None
) -> None:
    """The kernel kills at the container's limit, whatever the machine has."""
    (tmp_path / "memory.max").write_text(limit)

    assert half_of_memory(tmp_path / "memory.max") == (half or half_of_memory(tmp_path / "none"))
