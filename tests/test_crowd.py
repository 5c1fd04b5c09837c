"""Crowds of slow clients, of connections, of large bodies: a process of its own, real sockets."""

import asyncio
import resource
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest
from aiohttp import ClientError, ClientSession

from mlservice.settings import Settings
from tests.conftest import Spawn
from tests.support import make_model, store_model, until

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.timeout(120)]

SLOW = 500
MOST_P99_MS = 100
CLOSED_S = RECOVERY_S = 15.0
FEW_FILES = 256
LARGE_BYTES = 10_000_000
MOST_LAG_MS = 50
# Another client's process: posts a table to be trained on, and does so again.
UPLOAD = """
import http.client, sys
port, size = int(sys.argv[1]), int(sys.argv[2])
row = b'{"a": 1.25, "b": 2.5, "target": "yes"}'
table = b"[" + b",".join([row] * (size // len(row))) + b"]"
while True:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/models", table, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status in (202, 429), response.status
    response.read()
    print("posted", file=sys.stderr, flush=True)
"""


@dataclass
class Api:
    """An API of its own process, and a model that it has."""

    process: "Popen[str]"
    port: int
    path: str

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    async def is_well(self) -> bool:
        """Tell whether a new client gets a prediction."""
        try:
            async with ClientSession() as session, session.get(self.url + self.path) as response:
                return response.status == 200
        except ClientError:
            return False


Begin = Callable[..., Awaitable[Api]]


@pytest.fixture
async def begin(spawn: Spawn, settings: Settings) -> Begin:
    """Return what starts an API by a command before its own, with settings by keyword."""

    async def start(*command: str, **variables: str) -> Api:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        serve = [sys.executable, "-m", "mlservice", "serve", "--api-only", "--port", str(port)]
        model_id = await store_model(settings, make_model())
        api = Api(spawn(*command, *serve, **variables), port, f"/models/{model_id}?a=1&b=2")
        await until(api.is_well, within_s=30)
        return api

    return start


@pytest.fixture
def many_files() -> Iterator[int]:
    """Let the test open as many files as it may; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
async def opened() -> AsyncIterator["Connections"]:
    """Return connections, all closed at the end."""
    connections = Connections()
    yield connections
    await connections.close()


class Connections:
    """Many connections to one port."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []
        self._ends: list[asyncio.Task[bytes]] = []

    async def open(self, port: int, count: int, sent: bytes = b"") -> None:
        """Open some more, and say something on each."""
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            self._writers.append(writer)
            self._ends.append(asyncio.create_task(reader.read()))

    def trickle(self) -> None:
        """Send one more byte on each."""
        for writer in self._writers:
            if not writer.is_closing():
                writer.write(b"a")

    async def are_ended(self) -> bool:
        """Tell whether the other side has ended them all."""
        return all(end.done() for end in self._ends)

    async def close(self) -> None:
        """End them all."""
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._ends, return_exceptions=True)


async def _times_ms(api: Api, seconds: float) -> list[float]:
    """Return how long predictions take, one after the other, for some seconds."""
    found, end = [], time.monotonic() + seconds
    async with ClientSession() as session:
        while time.monotonic() < end:
            begun = time.perf_counter()
            async with session.get(api.url + api.path) as response:
                assert response.status == 200
                await response.read()
            found.append((time.perf_counter() - begun) * 1e3)
            await asyncio.sleep(0.005)
    return found


async def test_a_thousand_slow_clients_are_closed_and_slow_nobody_down(
    begin: Begin, opened: Connections, many_files: int
) -> None:
    """500 heads and 500 bodies at a byte a second: closed in time; others wait 100 ms at most."""
    assert many_files > 2 * SLOW
    limits = {"MLSERVICE_HEADER_TIMEOUT_S": "5", "MLSERVICE_SLOW_CLIENT_S": "5"}
    api = await begin(**limits)
    head = b"POST /models HTTP/1.1\r\nHost: localhost\r\n"
    await opened.open(api.port, SLOW, head + b"X-Slow: ")
    await opened.open(api.port, SLOW, head + b"Content-Length: 1000\r\n\r\n")
    predicting = asyncio.create_task(_times_ms(api, 7.0))

    while not predicting.done():
        opened.trickle()
        await asyncio.sleep(1)

    await until(opened.are_ended, within_s=CLOSED_S - 7)
    assert statistics.quantiles(await predicting, n=100)[98] < MOST_P99_MS
    assert api.process.poll() is None


async def test_ten_thousand_connections_end_no_process(
    begin: Begin, opened: Connections, many_files: int
) -> None:
    """More than there may be are closed at once; when they are gone all is well again."""
    count = min(10_000, many_files - 500)
    api = await begin(MLSERVICE_MAX_CONNECTIONS=str(count - 1000))

    await opened.open(api.port, count)
    await opened.close()

    await until(api.is_well, within_s=RECOVERY_S)
    assert api.process.poll() is None


async def test_a_process_that_may_open_few_files_outlives_a_crowd(
    begin: Begin, opened: Connections
) -> None:
    """Beyond what the system lets it open it takes no more, and goes on when some are closed."""
    api = await begin("prlimit", f"--nofile={FEW_FILES}:{FEW_FILES}")

    await opened.open(api.port, 2 * FEW_FILES)
    await asyncio.sleep(1)
    await opened.close()

    await until(api.is_well, within_s=RECOVERY_S)
    assert api.process.poll() is None


async def test_large_uploads_hold_up_no_prediction(
    begin: Begin, spawn: Spawn, tmp_path: Path
) -> None:
    """Beside bodies of 10 MB that are to be trained on, at full speed, answers take 50 ms."""
    api = await begin(MLSERVICE_UPLOAD_BYTES_PER_S="0")
    uploading = spawn(sys.executable, "-c", UPLOAD, str(api.port), str(LARGE_BYTES))

    times = await _times_ms(api, 8.0)

    assert uploading.poll() is None
    uploading.kill()
    posted = (tmp_path / "log1.txt").read_text()
    assert posted.count("posted") > 10, posted
    assert statistics.quantiles(times, n=100)[98] < MOST_LAG_MS
