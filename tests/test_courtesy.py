"""Large bodies give way to other requests, and only to them."""

import asyncio
import io
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from mlservice.courtesy import Courtesy
from mlservice.settings import MEBIBYTE, Settings
from mlservice.store import keys
from tests.conftest import Serve
from tests.support import Client, get, make_model, store_model, until

SIZE = 12 * MEBIBYTE
ROWS = b"a,b,target\n" + b"1,2,yes\n" * (SIZE // 8)


async def upload(client: Client) -> str:
    """Post a large table; return its model's id."""
    headers = {"Content-Type": "text/csv"}
    async with client.post("/models", data=io.BytesIO(ROWS), headers=headers) as response:
        assert response.status == 202
        return str((await response.json())["id"])


async def test_bodies_share_a_rate_while_others_are_answered() -> None:
    """Two bodies of 1 MiB, beside requests, take as long as 2 MiB may."""
    answered = itertools.count(1)
    courtesy = Courtesy(lambda: next(answered), 20 * MEBIBYTE)
    await courtesy.give_way(0)

    async def read() -> None:
        for _ in range(4):
            await courtesy.give_way(MEBIBYTE // 4)

    begun = time.monotonic()
    await asyncio.gather(read(), read())

    # A loop's timer may ring a millisecond early.
    assert time.monotonic() - begun > 0.099


@pytest.mark.parametrize(
    ("counted", "bytes_per_s"),
    [(itertools.repeat(7), 1), (itertools.count(), 0)],
    ids=["nobody is served", "any rate"],
)
async def test_a_body_comes_as_fast_as_it_can(counted: Iterator[int], bytes_per_s: int) -> None:
    """Where nobody else is served, or no rate is set, nothing is waited for."""
    courtesy = Courtesy(lambda: next(counted), bytes_per_s)

    async with asyncio.timeout(5):
        for _ in range(100):
            await courtesy.give_way(MEBIBYTE)


async def test_a_body_gives_way_for_as_long_as_others_are_served(
    settings: Settings, serve: Serve
) -> None:
    """Beside predictions an upload is slow; after them it ends sooner than at that rate."""
    client = await serve(upload_bytes_per_s=MEBIBYTE)
    model_id = await store_model(settings, make_model())
    uploading = asyncio.create_task(upload(client))
    for _ in range(500):
        answer = await get(client, f"/models/{model_id}?a=1&b=2")
        assert answer["prediction"] == "yes"
    assert not uploading.done()

    async with asyncio.timeout(SIZE / MEBIBYTE / 2):
        await uploading


async def test_an_upload_arrives_though_others_are_served_without_pause(
    settings: Settings, serve: Serve, redis: "Redis"
) -> None:
    """Beside predictions an upload has at least a tenth of its rate, and comes as it was sent."""
    client = await serve(upload_bytes_per_s=40 * MEBIBYTE)
    model_id = await store_model(settings, make_model())
    uploading = asyncio.create_task(upload(client))

    async def predict() -> bool:
        await get(client, f"/models/{model_id}?a=1&b=2")
        return uploading.done()

    await until(predict, within_s=10 * SIZE / (40 * MEBIBYTE), every_s=0)
    model_id = await uploading
    pieces: Any = redis.lrange(keys.data(model_id), 0, -1)
    assert b"".join(pieces).endswith(ROWS)
    assert len(pieces) > 1 + len(ROWS) // MEBIBYTE
    counted: Any = redis.hget(keys.record(model_id), "bytes")
    assert int(counted) == sum(map(len, pieces))
