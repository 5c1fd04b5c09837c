"""What tests share: a Valkey of their own, settings for it, the app and a client."""

import contextlib
import logging
import os
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import hypothesis
import msgspec
import pytest
from aiohttp import web
from blockbuster import BlockBuster
from redis import Redis

from mlservice.app import create_app
from mlservice.embedded import valkey as embedded
from mlservice.settings import Settings
from tests import catalogue
from tests.checker import Checker, judged
from tests.support import Client, Server, running_valkey

# How long an example takes is the machine's affair; each test has a timeout.
hypothesis.settings.register_profile("mlservice", deadline=None)
hypothesis.settings.load_profile("mlservice")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Valkey on a Unix socket; return its address."""
    folder = tmp_path_factory.mktemp("valkey")
    url = f"unix://{embedded.socket_path(folder)}"
    with running_valkey(embedded.command(folder, appendfsync="everysec"), url):
        yield url


@pytest.fixture
def redis(valkey: str) -> Iterator["Redis"]:
    """Return a client of an emptied Valkey."""
    with Redis.from_url(valkey) as client:
        client.flushall()
        yield client


@pytest.fixture
def settings(valkey: str, redis: "Redis") -> Settings:  # noqa: ARG001  # emptied first
    """Return settings for the session's Valkey, emptied."""
    return Settings(redis_url=valkey)


@pytest.fixture
def app(settings: Settings) -> web.Application:
    """Return the application."""
    return create_app(settings)


@pytest.fixture
async def client(
    app: web.Application, aiohttp_client: Callable[[Server], Awaitable[Client]]
) -> Client:
    """Return a client of the application, over a real socket."""
    return await aiohttp_client(Server(app))


Serve = Callable[..., Awaitable[Client]]


@pytest.fixture
def serve(settings: Settings, aiohttp_client: Callable[[Server], Awaitable[Client]]) -> Serve:
    """Return what starts the service with other settings by keyword, and routes of the test."""

    async def start(*routes: web.RouteDef, **changed: object) -> Client:
        app = create_app(msgspec.structs.replace(settings, **changed))
        app.add_routes(routes)
        return await aiohttp_client(Server(app))

    return start


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the caller's settings out of the tests."""
    for name in list(os.environ):
        if name.startswith("MLSERVICE_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail a test whose event loop our code blocks with a file, a socket or a sleep."""
    guard = BlockBuster(scanned_modules=["mlservice", "workers"])
    # Coverage locks its data from within our frames while another thread is measured.
    guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
    guard.activate()
    yield
    guard.deactivate()


# What the tests' clients send: keys, and iris by its names and labels.
_sent = re.compile(r"mls_[0-9a-f]{12}_[\w-]{43}|sepal_length|virginica").search


class _Told(logging.Handler):
    """What is logged in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def watched(logger: logging.Logger) -> Iterator[None]:
    """Refuse what was logged if a key, or something of a table or a query, is in it."""
    told = _Told()
    logger.addHandler(told)
    yield
    logger.removeHandler(told)
    assert [line for line in told.lines if _sent(line)] == []


@pytest.fixture(autouse=True)
def nothing_sent_in_logs() -> Iterator[None]:
    """Fail a test whose service logged what a client had sent."""
    with watched(logging.getLogger()):
        yield


@pytest.fixture
def data() -> Path:
    """Return the folder of golden files."""
    return Path(__file__).parent / "data"


@pytest.fixture
async def checked(request: pytest.FixtureRequest) -> AsyncIterator[Checker]:
    """Judge, when the test is over, what was promised in it and what it leaves."""
    has_store = "settings" in request.fixturenames
    settings = request.getfixturevalue("settings") if has_store else None
    unchecked = {part for each in request.node.iter_markers("unchecked") for part in each.args}
    async with judged(Checker(settings, unchecked=unchecked)) as checker:
        yield checker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the checker judge every test that breaks something, from before its clients on."""
    for item in items:
        if isinstance(item, pytest.Function) and breaks_something(item):
            names = [each for each in item.fixturenames if each != "checked"]
            names.insert(names.index("clean_environ") + 1, "checked")
            item.fixturenames[:] = names


def breaks_something(item: pytest.Function) -> bool:
    """Tell whether a test has processes or a proxy, takes long, or is a row of the catalogue."""
    has_marker = item.get_closest_marker("faults") is not None
    uses = {"checked", "spawn", "proxy"} & set(item.fixturenames)
    return has_marker or bool(uses) or item.originalname in catalogue.CHECKED


Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn(checked: Checker, settings: Settings, tmp_path: Path) -> Iterator[Spawn]:
    """Start programs with the settings of the test; the checker ends those that still run."""
    started: list[Path] = []

    def start(*command: str, **variables: str) -> "subprocess.Popen[str]":
        environ = os.environ | {
            "MLSERVICE_REDIS_URL": settings.redis_url,
            "PYTHONFAULTHANDLER": "1",
            **variables,
        }
        started.append(tmp_path / f"log{len(started)}.txt")
        with started[-1].open("w") as log:
            process = subprocess.Popen(
                command,
                env=environ,
                stderr=log,
                text=True,
                cwd=tmp_path,
                start_new_session=True,  # a terminal of its own, as it were
            )
        checked.started(process, started[-1])
        return process

    yield start
    for log in started:
        assert not _sent(log.read_text()), log.read_text()
