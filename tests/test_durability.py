"""What was acknowledged is there after `kill -9`: of the store, and of everything."""

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest

from mlservice import jobs
from mlservice.embedded.valkey import command, socket_path
from mlservice.errors import StoreUnavailable
from mlservice.model import encode
from mlservice.settings import Settings
from mlservice.store import Link, Models, open_redis
from tests.checker import Checker
from tests.conftest import Spawn
from tests.support import get, iris_columns, make_model, make_request, store_model, until

pytestmark = pytest.mark.processes

MODEL = make_model()


@pytest.fixture(params=["everysec", "always"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Return the command that starts a store, with each setting."""
    return command(tmp_path, appendfsync=request.param)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings for that store."""
    return Settings(redis_url=f"unix://{socket_path(tmp_path)}")


async def test_every_acknowledged_model_survives_the_killed_store(
    spawn: Spawn, settings: Settings, start: list[str]
) -> None:
    """Killed in the midst of commits and started again, the store has each that was answered."""
    store = spawn(*start)
    link = Link(open_redis(settings), settings.store_timeout_s)
    await until(lambda: _answers(link), within_s=10)
    acknowledged: list[str] = []

    async def commit() -> None:
        while True:
            try:
                acknowledged.append(await store_model(settings, MODEL))
            except StoreUnavailable:
                return
            if len(acknowledged) == 40:
                store.kill()

    await asyncio.gather(*(commit() for _ in range(4)))
    spawn(*start)
    await until(lambda: _answers(link), within_s=10)

    models = Models(link, settings, jobs.entry)
    assert len(acknowledged) >= 40
    for model_id in acknowledged:
        assert await models.load(model_id) == encode(MODEL)
    await link.close()


async def _answers(link: Link) -> bool:
    try:
        return bool(await link.call("TIME"))
    except StoreUnavailable:
        return False


@pytest.mark.faults
@pytest.mark.timeout(180)
async def test_everything_is_killed_and_every_training_that_was_accepted_becomes_a_model(
    spawn: Spawn, tmp_path: Path, checked: Checker
) -> None:
    """Service, worker, children and store get SIGKILL under load; the next start goes on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = [sys.executable, "-m", "mlservice", "serve", "--port", f"{port}"]
    serve += ["--data-dir", str(tmp_path / "data")]
    await asyncio.to_thread(checked.starts_again, tmp_path / "data")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        accepted: list[str] = []
        for _ in range(3):
            service = spawn(*serve, MLSERVICE_REDIS_URL="")
            await until(lambda: _is_ready(session), within_s=60, every_s=0.1)
            await asyncio.gather(*(_post(session, accepted, len(accepted) + 10) for _ in range(3)))
            parent = psutil.Process(service.pid)
            for process in [parent, *parent.children(recursive=True)]:
                # A child may have died with its parent.
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            await asyncio.to_thread(service.wait, 10)

        spawn(*serve, MLSERVICE_REDIS_URL="")
        await until(lambda: _is_ready(session), within_s=60, every_s=0.1)
        query = "&".join(f"{name}={cells[0]}" for name, cells in list(iris_columns().items())[:4])
        for model_id in accepted:

            async def is_trained(model_id: str = model_id) -> bool:
                return bool((await get(session, f"/models/{model_id}"))["state"] == "ready")

            await until(is_trained, within_s=100)
            answer = await get(session, f"/models/{model_id}?{query}")
            assert answer["prediction"] == "setosa"
    assert len(accepted) >= 30


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/health/ready?for=training") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _post(session: aiohttp.ClientSession, accepted: list[str], enough: int) -> None:
    while len(accepted) < enough:
        async with session.post("/models", json=make_request()) as response:
            assert response.status == 202
            accepted.append((await response.json())["id"])
