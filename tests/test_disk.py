"""What the store's file goes through: a full disk, an end that is cut off, a broken middle."""

import asyncio
import contextlib
from pathlib import Path
from subprocess import Popen

import psutil
import pytest
from aiohttp.test_utils import TestClient

from mlservice import jobs
from mlservice.app import create_app
from mlservice.embedded.valkey import command, socket_path
from mlservice.errors import Problem, StoreUnavailable
from mlservice.model import encode
from mlservice.settings import Settings
from mlservice.store import Link, Models, open_redis
from tests.conftest import Spawn
from tests.support import Client, Server, get, make_model, make_request, store_model, until

pytestmark = pytest.mark.processes

MODEL = make_model()
# What a limit on a file's size would end the server with; a full disk only fails its writes.
PATIENT = ["env", "--ignore-signal=XFSZ"]


class Disk:
    """A store and the file that it appends to."""

    def __init__(self, folder: Path, spawn: Spawn, appendfsync: str) -> None:
        self._folder = folder
        self._spawn = spawn
        self._command = command(folder, appendfsync=appendfsync)
        self.log = folder / "valkey.log"

    @property
    def file(self) -> Path:
        """What the store appends to."""
        return next((self._folder / "appendonlydir").glob("*.incr.aof"))

    def spawn(self) -> "Popen[str]":
        """Start the store."""
        return self._spawn(*PATIENT, *self._command)

    async def start(self, settings: Settings) -> "Popen[str]":
        """Start the store, and wait until it answers."""
        store = self.spawn()
        link = Link(open_redis(settings), settings.store_timeout_s)
        await until(lambda: _answers(link), within_s=10)
        await link.close()
        return store


async def _answers(link: Link) -> bool:
    try:
        return bool(await link.call("TIME"))
    except StoreUnavailable:
        return False


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings for a store in the test's folder."""
    return Settings(redis_url=f"unix://{socket_path(tmp_path)}")


@pytest.fixture
def each_second(tmp_path: Path, spawn: Spawn) -> Disk:
    """Return a store that is synced each second."""
    return Disk(tmp_path, spawn, "everysec")


@pytest.fixture
def always(tmp_path: Path, spawn: Spawn) -> Disk:
    """Return a store that is synced before each answer."""
    return Disk(tmp_path, spawn, "always")


async def _kill(store: "Popen[str]") -> None:
    store.kill()
    await asyncio.to_thread(store.wait, 10)


def _limit(store: "Popen[str]", size: int) -> None:
    """Let the store's files grow to a size and no more."""
    psutil.Process(store.pid).rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))


async def _store_until_refused(settings: Settings) -> list[str]:
    acknowledged: list[str] = []
    with contextlib.suppress(Problem):
        while len(acknowledged) < 1000:
            acknowledged.append(await store_model(settings, MODEL))
    assert len(acknowledged) < 1000, "nothing was refused"
    return acknowledged


async def _kept(settings: Settings, model_ids: list[str]) -> list[bool]:
    """Tell of each model whether it is there as it was stored."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    models, kept = Models(link, settings, jobs.entry), []
    for model_id in model_ids:
        try:
            kept.append(await models.load(model_id) == encode(MODEL))
        except Problem:
            kept.append(False)
    await link.close()
    return kept


async def _is_taken(client: Client) -> bool:
    async with client.post("/models", json=make_request()) as response:
        assert response.status in (202, 503), await response.text()
        return response.status == 202


async def test_a_full_disk_refuses_work_until_there_is_room_again(
    each_second: Disk, settings: Settings
) -> None:
    """Synced each second: 503 while nothing can be written, models predict, then all is well.

    Fails when the limit is left out: it is the disk that refuses.
    """
    store = await each_second.start(settings)
    async with TestClient(Server(create_app(settings))) as client:
        model_id = await store_model(settings, MODEL)
        _limit(store, each_second.file.stat().st_size + 100_000)

        async def is_refused() -> bool:
            return not await _is_taken(client)

        await until(is_refused, within_s=20)
        assert (await get(client, f"/models/{model_id}?a=1&b=2"))["prediction"] == "yes"
        _limit(store, psutil.RLIM_INFINITY)
        await until(lambda: _is_taken(client), within_s=10)

        await _kill(store)
        await each_second.start(settings)
        assert await _kept(settings, [model_id]) == [True]


async def test_a_full_disk_loses_nothing_that_was_acknowledged(
    always: Disk, settings: Settings
) -> None:
    """Synced always, the store ends rather than answer what it has not written.

    Fails with a store that is synced each second, which goes on.
    """
    store = await always.start(settings)
    _limit(store, always.file.stat().st_size + 50_000)

    acknowledged = await _store_until_refused(settings)
    await asyncio.to_thread(store.wait, 10)
    await always.start(settings)

    assert acknowledged
    assert all(await _kept(settings, acknowledged))


async def test_an_end_of_the_file_that_is_cut_off_costs_the_last_step_only(
    always: Disk, settings: Settings
) -> None:
    """As after a loss of power: the store starts, and all models before the last are there."""
    store = await always.start(settings)
    model_ids = [await store_model(settings, MODEL) for _ in range(5)]
    await _kill(store)
    with always.file.open("r+b") as file:
        file.truncate(always.file.stat().st_size - 10)

    await always.start(settings)

    assert await _kept(settings, model_ids) == [True, True, True, True, False]


@pytest.mark.unchecked("store", reason="its file is destroyed on purpose")
async def test_a_file_with_a_broken_middle_is_refused_and_named(
    always: Disk, settings: Settings
) -> None:
    """The store does not start on half of its data; its log says which file and what repairs it."""
    store = await always.start(settings)
    for _ in range(5):
        await store_model(settings, MODEL)
    await _kill(store)
    whole = always.file.read_bytes()
    place = whole.index(b"*", len(whole) // 2)
    always.file.write_bytes(whole[:place] + b"\0garbage" + whole[place + 8 :])

    again = always.spawn()

    assert await asyncio.to_thread(again.wait, 10) != 0
    said = always.log.read_text()
    assert "Bad file format" in said
    assert "--fix" in said
