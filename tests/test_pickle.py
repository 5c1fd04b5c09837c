"""Nothing is pickled on its way through the store, and nothing is unpickled from it."""

import asyncio
import io
import pickle
import pickletools
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from redis import Redis

from mlservice import jobs
from tests.conftest import Spawn
from tests.support import Client, create, endless_request, get, make_request, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(60)]

# Runs a module as __main__ and notes every class or function that unpickling looks up.
WATCHED = """
import runpy, sys
out = open(sys.argv.pop(1), "a", buffering=1)
sys.addaudithook(lambda event, args: event == "pickle.find_class" and out.write(f"{args}\\n"))
module = sys.argv.pop(1)
sys.argv[0] = module
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def is_pickle(value: bytes) -> bool:
    """Tell whether bytes are a pickle, from their first to their last."""
    try:
        last = [opcode.name for opcode, _, _ in pickletools.genops(io.BytesIO(value))][-1]
    except (ValueError, IndexError, UnicodeDecodeError):
        return False
    return last == "STOP" and len(value) > 3


def _values(redis: "Redis") -> dict[str, list[bytes]]:
    """Return every value of every key, whatever its type."""
    readers: dict[bytes, Any] = {
        b"string": lambda key: [redis.get(key) or b""],
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"hash": lambda key: list(redis.hgetall(key).values()),  # type: ignore[union-attr]
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"stream": lambda key: [v for _, e in redis.xrange(key) for v in e.values()],  # type: ignore[union-attr]
        b"none": lambda _: [],
    }
    return {key.decode(): readers[redis.type(key)](key) for key in redis.scan_iter()}  # type: ignore[index]


def test_the_check_knows_a_pickle() -> None:
    """Each protocol's pickle of a job is seen as one; msgpack is not."""
    job: dict[str, Any] = {"t": None, "f": "train", "a": ("id", 1), "k": {}, "et": 0}

    assert all(is_pickle(pickle.dumps(job, protocol)) for protocol in range(6))
    assert not is_pickle(jobs.pack(job))


async def test_no_key_holds_a_pickle_before_during_and_after_a_training(
    client: Client, spawn: Spawn, redis: "Redis"
) -> None:
    """Queued, training and ready: every value is text, JSON, msgpack or the client's bytes."""
    running = await create(client, endless_request())
    queued = _values(redis)
    spawn(sys.executable, "-m", "workers")

    async def state_of(model_id: str, state: str) -> bool:
        return bool((await get(client, f"/models/{model_id}"))["state"] == state)

    await until(lambda: state_of(running, "training"), within_s=20)
    training = _values(redis)
    done = await create(client, make_request())
    await until(lambda: state_of(done, "ready"), within_s=20)
    ready = _values(redis)

    assert jobs.unpack(queued[f"arq:job:{running}:1"][0]) == {
        "t": None,
        "f": "train",
        "a": [running, 1],
        "k": {},
        "et": 0,
    }
    assert f"arq:in-progress:{running}:1" in training
    assert f"mls:artifact:{done}" in ready
    for snapshot in (queued, training, ready):
        found = [key for key, values in snapshot.items() if any(map(is_pickle, values))]
        assert found == []


async def test_neither_the_api_nor_a_worker_unpickles_anything(
    spawn: Spawn, tmp_path: Path
) -> None:
    """An audit hook on `pickle.find_class` in both processes counts zero."""
    watched = [sys.executable, "-c", WATCHED]
    api, worker = tmp_path / "api", tmp_path / "worker"
    spawn(*watched, str(api), "mlservice", "serve", "--api-only", "--port", "0")
    spawn(*watched, str(worker), "workers")

    async def listens() -> str | None:
        found = re.search(r"listening at (http://[\d.:]+)", (tmp_path / "log0.txt").read_text())
        return found[1] if found else None

    async with ClientSession(await until(listens, within_s=20)) as session:
        headers = {"Prefer": "wait=20"}
        async with session.post("/models", json=make_request(), headers=headers) as response:
            model = await response.json()
        row = dict.fromkeys((each["name"] for each in model["features"]), "1")
        async with session.get(f"/models/{model['id']}", params=row) as response:
            predicted = await response.json()

    assert model["state"] == "ready"
    assert predicted["prediction"] in model["classes"]
    assert api.read_text() == ""
    assert worker.read_text() == ""


async def test_the_audit_hook_would_see_a_pickle(spawn: Spawn, tmp_path: Path) -> None:
    """The same hook counts one where something is unpickled."""
    module = tmp_path / "unpickles.py"
    data = pickle.dumps(Path("x"))
    module.write_text(f"import pickle\npickle.loads({data!r})\n")
    counted = tmp_path / "counted"

    process = spawn(
        sys.executable, "-c", WATCHED, str(counted), "unpickles", PYTHONPATH=str(tmp_path)
    )

    assert await asyncio.to_thread(process.wait, 10) == 0
    assert "pathlib" in counted.read_text()
