"""What happens when workers and their children die: real processes, real signals."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from subprocess import Popen
from typing import Any

import msgspec
import psutil
import pytest
from aiohttp.test_utils import TestClient
from redis import Redis

from mlservice.app import create_app
from mlservice.embedded.valkey import command, socket_path
from mlservice.settings import Settings
from tests.checker import Checker
from tests.conftest import Spawn
from tests.support import (
    Client,
    Server,
    create,
    endless_request,
    get,
    make_request,
    stopped,
    until,
)

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]

ENTRIES = {
    "python -m workers": [sys.executable, "-m", "workers"],
    "arq": [str(Path(sys.executable).parent / "arq"), "workers.settings.WorkerSettings"],
}
MODULE = ENTRIES["python -m workers"]
# Short times, so that a lost worker is noticed soon; one test keeps the defaults.
SHORT = {"MLSERVICE_LEASE_S": "1.5", "MLSERVICE_SWEEP_S": "0.3"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings whose own sweeper is as quick as the workers'."""
    return msgspec.structs.replace(settings, lease_s=1.5, sweep_s=0.3)


def _fits(worker: "Popen[str]") -> list[psutil.Process]:
    """Return the worker's children that have been fitting for a while."""
    try:
        children = psutil.Process(worker.pid).children(recursive=True)
        return [child for child in children if _cpu_s(child) > 0.3 and _is_fork(child)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _is_fork(process: psutil.Process) -> bool:
    parent = process.parent()
    return parent is not None and parent.cmdline() == process.cmdline()


async def _is_gone(process: psutil.Process) -> bool:
    """Tell whether a process runs no more; one whose parent died may wait to be reaped."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def _fitting(*workers: "Popen[str]") -> "tuple[Popen[str], psutil.Process]":
    """Wait until a worker's child fits; return both."""

    async def ask() -> Any:
        return next(((worker, fit) for worker in workers for fit in _fits(worker)), None)

    found: tuple[Popen[str], psutil.Process] = await until(ask, within_s=20)
    return found


async def _state(client: Client, model_id: str, state: str, *, within_s: float) -> dict[str, Any]:
    """Wait for a state; return the document."""

    async def ask() -> Any:
        document = await get(client, f"/models/{model_id}")
        return document if document["state"] == state else None

    document: dict[str, Any] = await until(ask, within_s=within_s)
    return document


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
async def test_a_worker_trains_from_either_command(
    client: Client, spawn: Spawn, redis: "Redis", entry: list[str]
) -> None:
    """arq's own command line and the module start the same worker."""
    model_id = await create(client, make_request())

    worker = spawn(*entry, **SHORT)

    await _state(client, model_id, "ready", within_s=20)

    # arq's own worker ends with 1 when it is stopped before it has noted a job's end.
    async def is_noted() -> bool:
        keys: Any = redis.keys("arq:queue:health-check:*")
        said: list[Any] = [redis.get(key) or b"" for key in keys]
        return any(b"j_complete=1" in each and b"j_ongoing=0" in each for each in said)

    await until(is_noted, within_s=5)
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 10) == 0


async def test_arqs_health_check_knows_a_worker_that_lives(client: Client, spawn: Spawn) -> None:
    """`arq --check` ends with 0 beside a worker, and with 1 without one."""
    check = [*ENTRIES["arq"], "--check"]
    alone = await asyncio.to_thread(spawn(*check).wait, 20)
    model_id = await create(client, make_request())
    spawn(*MODULE, **SHORT)
    await _state(client, model_id, "ready", within_s=20)

    beside = await asyncio.to_thread(spawn(*check).wait, 20)

    assert (alone, beside) == (1, 0)


@pytest.mark.alone
async def test_a_killed_workers_training_is_taken_up_within_20_seconds(
    client: Client, spawn: Spawn
) -> None:
    """With the default lease and sweep, another worker has it in time; no orphan is left."""
    model_id = await create(client, endless_request())
    workers = [spawn(*MODULE), spawn(*MODULE)]
    worker, fit = await _fitting(*workers)

    worker.kill()

    async def is_second_attempt() -> bool:
        document = await get(client, f"/models/{model_id}")
        return bool(document["state"] == "training" and document["attempts"] == 2)

    await until(lambda: _is_gone(fit), within_s=1)
    await until(is_second_attempt, within_s=20)


async def test_a_training_that_kills_three_workers_is_failed_after_the_third(
    client: Client, spawn: Spawn
) -> None:
    """Poison ends; the queue behind it goes on."""
    poison = await create(client, endless_request())
    for _ in range(3):
        worker = spawn(*MODULE, **SHORT)
        await _fitting(worker)
        worker.kill()

    failed = await _state(client, poison, "failed", within_s=10)
    after = await create(client, make_request())
    spawn(*MODULE, **SHORT)

    assert failed["attempts"] == 3
    assert failed["error"]["type"] == "/problems/worker-lost"
    await _state(client, after, "ready", within_s=20)


async def test_a_worker_that_was_stopped_and_wakes_up_changes_nothing(
    client: Client, spawn: Spawn, redis: "Redis"
) -> None:
    """Frozen beyond its lease, its training is another's when it goes on."""
    model_id = await create(client, endless_request())
    first = spawn(*MODULE, **SHORT)
    _, fit = await _fitting(first)
    first.send_signal(signal.SIGSTOP)
    second = spawn(*MODULE, **SHORT)
    await _fitting(second)

    first.send_signal(signal.SIGCONT)

    await until(lambda: _is_gone(fit), within_s=2)
    document = await get(client, f"/models/{model_id}")
    assert (document["state"], document["attempts"]) == ("training", 2)
    assert redis.zcard("mls:leases") == 1


async def test_a_childs_death_costs_its_own_training_only(client: Client, spawn: Spawn) -> None:
    """The killed fit fails at once with the reason; the other one and the worker go on."""
    worker = spawn(*MODULE, **SHORT)
    doomed = await create(client, endless_request())
    _, fit = await _fitting(worker)
    other = await create(client, endless_request())
    await _state(client, other, "training", within_s=10)

    fit.kill()

    failed = await _state(client, doomed, "failed", within_s=2)
    assert failed["error"]["type"] == "/problems/trainer-killed"
    assert (await get(client, f"/models/{other}"))["state"] == "training"
    after = await create(client, make_request())
    await _state(client, after, "ready", within_s=10)


async def test_a_training_that_overruns_its_time_is_failed_and_its_process_gone(
    client: Client, spawn: Spawn
) -> None:
    """The deadline ends the fit, which does not hear of it, and not the worker."""
    worker = spawn(*MODULE, **SHORT, MLSERVICE_TRAINING_TIMEOUT_S="5")
    model_id = await create(client, endless_request())
    _, fit = await _fitting(worker)

    with stopped(fit):
        failed = await _state(client, model_id, "failed", within_s=8)

        assert failed["error"]["type"] == "/problems/training-timeout"
        assert await _is_gone(fit)
    after = await create(client, make_request())
    await _state(client, after, "ready", within_s=10)


async def test_a_training_that_overruns_its_memory_is_failed(client: Client, spawn: Spawn) -> None:
    """The child meets its limit, the worker does not notice."""
    limit = str(512 * 1024 * 1024)
    spawn(*MODULE, **SHORT, MLSERVICE_TRAINING_MEMORY_BYTES=limit)
    # The solver's Hessian has (3 x 2000)² numbers of 8 bytes: 288 MB at once.
    data = {f"f{i}": [0.5] * 600 for i in range(2000)} | {"y": [0, 1, 2] * 200}
    params = {"solver": "newton-cholesky"}
    body = msgspec.json.encode({"data": data, "target": "y", "params": params})
    model_id = await _post_large(client, body)

    failed = await _state(client, model_id, "failed", within_s=30)

    assert failed["error"]["type"] == "/problems/training-memory"
    after = await create(client, make_request())
    await _state(client, after, "ready", within_s=10)


async def _post_large(client: Client, body: bytes) -> str:
    async def pieces() -> Any:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    headers = {"Content-Type": "application/json"}
    async with client.post("/models", data=pieces(), headers=headers) as response:
        return str((await response.json())["id"])


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
async def test_a_worker_that_is_told_to_stop_gives_its_training_back_at_once(
    client: Client, spawn: Spawn, entry: list[str]
) -> None:
    """SIGTERM: exit code 0, the fit gone, the training queued with all its attempts."""
    model_id = await create(client, endless_request())
    worker = spawn(*entry, **SHORT)
    _, fit = await _fitting(worker)

    worker.terminate()

    assert await asyncio.to_thread(worker.wait, 5) == 0
    assert await _is_gone(fit)
    document = await get(client, f"/models/{model_id}")
    assert document["state"] == "queued"


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
async def test_ctrl_c_in_a_workers_terminal_is_a_stop_in_order(
    client: Client, spawn: Spawn, redis: "Redis", tmp_path: Path, entry: list[str]
) -> None:
    """SIGINT to all of its processes: exit code 0, no word of it by any, no attempt used up."""
    model_id = await create(client, endless_request())
    worker = spawn(*entry, **SHORT)
    _, fit = await _fitting(worker)

    os.killpg(worker.pid, signal.SIGINT)

    assert await asyncio.to_thread(worker.wait, 5) == 0
    await until(lambda: _is_gone(fit), within_s=1)
    assert (await get(client, f"/models/{model_id}"))["state"] == "queued"
    attempts: Any = redis.hget(f"mls:model:{model_id}", "attempts")
    assert int(attempts) == 4
    said = (tmp_path / "log0.txt").read_text()
    assert [word for word in ("KeyboardInterrupt", "Traceback") if word in said] == []


async def test_an_api_alone_ends_what_no_worker_finishes(
    client: Client, spawn: Spawn, redis: "Redis"
) -> None:
    """The API's own sweeper notices a lost worker when no other worker lives and nobody asks."""
    model_id = await create(client, endless_request())
    worker = spawn(*MODULE, **SHORT)
    await _fitting(worker)

    worker.kill()

    # Not by a request, which would look after the training itself.
    async def is_queued() -> bool:
        state: Any = redis.hget(f"mls:model:{model_id}", "state")
        return bool(state == b"queued")

    await until(is_queued, within_s=5)


@pytest.fixture
def another_store(tmp_path: Path, checked: Checker) -> tuple[str, list[str]]:
    """Return the address of a store that does not run yet, and the command that starts it."""
    url = f"unix://{socket_path(tmp_path)}"
    checked.settings = Settings(redis_url=url, lease_s=1.5)
    return url, command(tmp_path, appendfsync="everysec")


async def test_a_worker_outlives_a_store_that_goes_away(
    another_store: tuple[str, list[str]], spawn: Spawn
) -> None:
    """Started before the store, and with the store killed under it, the worker goes on."""
    url, start_store = another_store
    worker = spawn(*MODULE, **SHORT, MLSERVICE_REDIS_URL=url)
    store = spawn(*start_store)
    settings = Settings(redis_url=url, lease_s=1.5, sweep_s=0.3)
    async with TestClient(Server(create_app(settings))) as client:
        await until(lambda: _trains(client), within_s=20)

        store.kill()
        await asyncio.to_thread(store.wait, 10)
        spawn(*start_store)

        await until(lambda: _trains(client), within_s=10)
    assert worker.poll() is None


async def test_a_store_that_pauses_forgets_and_throws_everybody_out_is_not_noticed(
    client: Client, spawn: Spawn, redis: "Redis"
) -> None:
    """Connections, subscriptions and scripts are had again, and every answer is the right one."""
    worker = spawn(*MODULE, **SHORT)
    await until(lambda: _trains(client), within_s=20)
    for _ in range(5):
        for kind in ("pubsub", "normal"):
            redis.client_kill_filter(_type=kind, skipme=True)
        redis.script_flush()
        redis.client_pause(300)

        assert await _trains(client)
        assert len((await get(client, "/models"))["models"]) > 1
    assert worker.poll() is None


async def _trains(client: Client) -> bool:
    """Tell whether a training that is posted now becomes ready."""
    async with client.post("/models", json=make_request()) as response:
        if response.status != 202:
            return False
        model_id = (await response.json())["id"]
    await _state(client, model_id, "ready", within_s=10)
    return True
