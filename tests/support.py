"""The smallest valid things, every argument by keyword."""

import asyncio
import contextlib
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import aiohttp
import msgspec
import numpy as np
import psutil
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from arq.worker import Worker
from redis import Redis
from redis.exceptions import ConnectionError  # noqa: A004  # redis-py's own
from sklearn.datasets import load_iris

from mlservice import jobs
from mlservice.model import Model, encode
from mlservice.schemas import Description, Feature, Label
from mlservice.server import Runner
from mlservice.settings import Settings
from mlservice.store import Link, Models, Trainings, open_redis
from workers.settings import worker_options

Client = TestClient[Request, Application]

JSON = {"Content-Type": "application/json"}
IRIS_FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
DEFAULT_PARAMS: dict[str, Any] = {
    "C": 1.0,
    "l1_ratio": 0.0,
    "solver": "lbfgs",
    "dual": False,
    "tol": 1e-4,
    "fit_intercept": True,
    "intercept_scaling": 1.0,
    "class_weight": None,
    "random_state": 0,
    "max_iter": 100,
}


class Server(TestServer):
    """A test server that serves as the real one does, parser errors included."""

    async def _make_runner(self, **kwargs: Any) -> Runner:
        return Runner(self.app, **kwargs)


def make_model(
    *,
    classes: tuple[Label, ...] = ("no", "yes"),
    features: tuple[str, ...] = ("a", "b"),
    described: tuple[Feature, ...] = (),
    coef: Any = None,
    intercept: Any = None,
    params: dict[str, Any] | None = None,
) -> Model:
    """Return a small model with made-up coefficients."""
    rows = 1 if len(classes) == 2 else len(classes)
    size = rows * len(features)
    return Model(
        features=described or tuple(Feature(name=name) for name in features),
        target="target",
        classes=classes,
        coef=np.arange(1.0, size + 1).reshape(rows, -1) if coef is None else np.array(coef),
        intercept=np.linspace(-1, 1, rows) if intercept is None else np.array(intercept),
        n_iter=(7,),
        params=params or DEFAULT_PARAMS,
        provenance={"rows": 3},
    )


def iris_columns() -> dict[str, list[Any]]:
    """Return scikit-learn's iris as a columns table with the target `species`."""
    iris = load_iris()
    table = {name: iris.data[:, i].tolist() for i, name in enumerate(IRIS_FEATURES)}
    table["species"] = [str(iris.target_names[code]) for code in iris.target]
    return table


def make_request(**members: Any) -> dict[str, Any]:
    """Return the body of a training on iris, members replaced or added."""
    return {"data": iris_columns(), "target": "species", "params": {"max_iter": 1000}} | members


@contextlib.contextmanager
def running_valkey(command: Sequence[str], url: str) -> Iterator[None]:
    """Run a Valkey that answers at `url`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with Redis.from_url(url) as client:
            while not _answers(client):
                assert process.poll() is None, "Valkey ended at its start"
        yield
    finally:
        process.terminate()
        process.wait(10)


def _answers(client: "Redis") -> bool:
    try:
        return bool(client.ping())
    except ConnectionError:
        return False


async def work(settings: Settings) -> None:
    """Run a real arq worker until its queue is empty."""
    worker = Worker(burst=True, handle_signals=False, **worker_options(settings))
    try:
        await worker.async_run()
    finally:
        await worker.close()


async def create(client: Client, body: dict[str, Any]) -> str:
    """Post a training and return its model's id."""
    async with client.post("/models", json=body) as response:
        document = await response.json()
        assert response.status == 202, document
    return str(document["id"])


async def get(client: Client | aiohttp.ClientSession, path: str) -> Any:
    """Return the JSON that a path answers with, whatever its status."""
    async with client.get(path) as response:
        return await response.json()


async def until(
    holds: Callable[[], Awaitable[Any]], *, within_s: float, every_s: float = 0.02
) -> Any:
    """Ask again until the answer is true, and return it; fail at the deadline."""
    deadline = time.monotonic() + within_s
    while not (answer := await holds()):
        assert time.monotonic() < deadline, f"did not happen within {within_s} s"
        await asyncio.sleep(every_s)
    return answer


async def store_model(settings: Settings, model: Model, tenant: str = "anonymous") -> str:
    """Store a model as a worker would have, without a fit; return its id."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    try:
        models = Models(link, settings, jobs.entry, tenant)
        trainings = Trainings(link, settings, jobs.entry)
        model_id = str(uuid.uuid4())
        await models.append(model_id, b"{}")
        description = msgspec.json.encode(Description(features=list(model.features)))
        await models.create(model_id, name=None, description=description)
        assert await trainings.claim(model_id, 1, "test") == "ok"
        assert await trainings.finish(model_id, 1, encode(model), description) == "ok"
    finally:
        await link.close()
    return model_id


def endless_request() -> dict[str, Any]:
    """Return a training that runs for minutes, in a solver that checks for no signal."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(2000, 20))
    table: dict[str, Any] = {f"f{i}": X[:, i].tolist() for i in range(20)}
    table["y"] = (generator.random(2000) < 0.5).astype(int).tolist()
    params = {"solver": "saga", "tol": 0, "max_iter": 1_000_000}
    return {"data": table, "target": "y", "params": params}


def fit_processes() -> list[psutil.Process]:
    """Return the processes that fit, or wait to."""
    servers = [
        child
        for child in psutil.Process().children()
        if any("forkserver" in word for word in child.cmdline())
    ]
    return [child for server in servers for child in server.children()]


@contextlib.contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """Stop a process: it ends if it is killed and never by itself; kill it in any case."""
    process.suspend()
    try:
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


async def busy_process() -> psutil.Process:
    """Return the process that has used the most CPU, once it fits."""

    async def ask() -> psutil.Process | None:
        times = [(sum(child.cpu_times()[:2]), child) for child in fit_processes()]
        most, child = max(times, key=lambda pair: pair[0], default=(0.0, None))
        return child if most > 0.15 else None

    child: psutil.Process = await until(ask, within_s=10)
    return child


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process has not ended; who has ended may wait to be noticed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


async def busy_crew() -> list[psutil.Process]:
    """Return a fit's process and the two that it has forked, once these fit."""

    async def ask() -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in fit_processes():
                crew = list(filter(is_alive, child.children()))
                if len(crew) == 2 and all(sum(each.cpu_times()[:2]) > 0.1 for each in crew):
                    return [child, *crew]
        return []

    found: list[psutil.Process] = await until(ask, within_s=20)
    return found
