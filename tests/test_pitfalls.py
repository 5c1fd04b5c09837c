"""What arq and redis-py do when things go wrong, and that it does no harm here."""

import asyncio
import random
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from mlservice import jobs
from mlservice.settings import Settings
from mlservice.store import Link, open_redis
from tests.support import Client, create, get, make_request, until
from workers.patience import PatientWorker
from workers.settings import worker_options

ROOT = Path(__file__).parents[1]
NOW_MS = 1


def _worker(settings: Settings, **changes: Any) -> PatientWorker:
    return PatientWorker(handle_signals=False, **worker_options(settings) | changes)


JUNK = {
    "no-msgpack": b"\xc1garbage",
    "pickle": b"\x80\x04K\x01.",
    "no-function": jobs.pack({"t": 1, "f": "os.system", "a": ["id"], "k": {}, "et": NOW_MS}),
    "no-members": jobs.pack({}),
    "no-time": jobs.pack({"t": None, "f": jobs.TASK, "a": [], "k": {}, "et": None}),
    "wrong-arguments": jobs.pack({"t": 1, "f": jobs.TASK, "a": [1, 2, 3], "k": {}, "et": NOW_MS}),
    "no-model": jobs.entry("no-model", 1).payload,
}


async def test_entries_that_are_junk_or_locked_keep_no_training_from_its_worker(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """A worker outlives every payload, and sees beyond 150 entries that others hold."""
    for name, payload in JUNK.items():
        redis.set(f"arq:job:{name}", payload)
        redis.zadd(settings.queue_name, {name: NOW_MS})
    redis.zadd(settings.queue_name, {"without-job": NOW_MS})
    for held in range(150):
        redis.set(f"arq:in-progress:held{held}", b"1", ex=60)
        redis.zadd(settings.queue_name, {f"held{held}": NOW_MS})
    model_id = await create(client, make_request())
    worker = _worker(settings, burst=True)
    run = asyncio.create_task(worker.async_run())

    async def is_ready() -> bool:
        assert not run.done()
        return bool((await get(client, f"/models/{model_id}"))["state"] == "ready")

    await until(is_ready, within_s=20)

    async def is_clean() -> bool:
        left: Any = redis.zrange("arq:queue", 0, -1)
        return not {name.encode() for name in JUNK} & set(left)

    await until(is_clean, within_s=5)
    redis.delete("arq:queue")
    await asyncio.wait_for(run, 10)
    await worker.close()


async def test_a_health_key_that_another_worker_deleted_is_written_again(
    settings: Settings, redis: "Redis"
) -> None:
    """Workers of one host share arq's key; one that stops takes it away for a moment only."""
    options = {"on_startup": None, "on_shutdown": None, "health_check_interval": 0.2}
    stays, stops = _worker(settings, **options), _worker(settings, **options)
    runs = [asyncio.create_task(each.async_run()) for each in (stays, stops)]
    key = f"{settings.queue_name}:health-check:{socket.gethostname()}"

    async def is_there() -> bool:
        return bool(redis.exists(key))

    await until(is_there, within_s=5)
    await stops.close()
    await until(is_there, within_s=5)

    await stays.close()
    await asyncio.gather(*runs, return_exceptions=True)


async def test_an_entry_is_due_on_every_clock(client: Client, redis: "Redis") -> None:
    """Its score is a day before the store's time: a worker that is behind takes it at once."""
    model_id = await create(client, make_request())

    seconds: Any = redis.time()
    score: Any = redis.zscore("arq:queue", f"{model_id}:1")
    assert seconds[0] * 1000 - score > 86_390_000


async def test_calls_that_are_cancelled_at_any_moment_mix_up_no_answers(
    settings: Settings, redis: "Redis"
) -> None:
    """Each cancellation arrives, no answer is another call's, no connection is lost."""
    redis.mset({f"k{number}": str(number) for number in range(20)})
    link = Link(open_redis(settings, connections=5), settings.store_timeout_s)
    generator = random.Random(5)  # no secret

    async def ask(number: int) -> bytes:
        answer: bytes = await link.call("GET", f"k{number}")
        assert answer == str(number).encode()
        return answer

    for _ in range(40):
        calls = [asyncio.create_task(ask(number)) for number in range(20)]
        await asyncio.sleep(generator.random() / 500)
        doomed = generator.sample(calls, 10)
        pending = [each for each in doomed if each.cancel()]
        await asyncio.gather(*calls, return_exceptions=True)
        assert all(each.cancelled() for each in pending)
        assert all(each.exception() is None for each in calls if not each.cancelled())
    await link.close()


def _rows(title: str) -> list[str]:
    text = (ROOT / "docs" / "operating.md").read_text()
    table = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line for line in table.splitlines() if line.startswith("| ")][2:]


@pytest.mark.parametrize(
    ("title", "count"), [("Promises", 7), ("What stands against what arq and redis-py do", 23)]
)
def test_each_promise_and_each_pitfall_names_a_test_that_there_is(title: str, count: int) -> None:
    """A promise without a test is one without a proof."""
    tests = "".join(file.read_text() for file in (ROOT / "tests").glob("test_*.py"))
    named = [re.findall(r"`(test_\w+)`", row) for row in _rows(title)]

    assert len(named) == count
    assert all(named)
    unknown = [name for row in named for name in row if f"def {name}(" not in tests]
    assert unknown == []
