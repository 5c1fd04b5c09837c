"""Where the microseconds of one row go: `python -m benchmarks.single`.

All in one process and without sockets: requests are fed to 32 connections as bytes,
and their answers counted. Floor and service are asked in turn, round by round, and
the least of all rounds is told: what else runs only adds to it. System calls, which are
the same for both, are not in it. Between them the service's own code takes longer than
here, where it runs again at once: `python -m benchmarks` tells how much.
"""

import asyncio
import json
import math
import timeit
from collections.abc import Callable
from contextlib import AsyncExitStack
from time import perf_counter

import click
import numpy as np
import psutil
import uvloop
from aiohttp import web
from sklearn.linear_model import LogisticRegression

from benchmarks import floor
from benchmarks.measure import JSON, ROOT, store
from benchmarks.protocols import asked
from mlservice.app import create_app, share_processor
from mlservice.cache import CACHE
from mlservice.catalogue import Params
from mlservice.model import Model, encode
from mlservice.params import resolve
from mlservice.preparation import Preparation
from mlservice.profile import profile_of
from mlservice.reply import Reply
from mlservice.schemas import Feature
from mlservice.scoring import Scorer
from mlservice.server import Runner
from mlservice.settings import Settings
from mlservice.store.keys import ANONYMOUS

ID = "0f6ae6e2-6f5c-4b0e-9a40-8e3d1a5c7f10"
ROW = [5.9, 3.0, 5.1, 1.8]
CONNECTIONS, REQUESTS = 32, 1600


def iris() -> Model:
    """Return the README's model, with what its rows were like."""
    document = json.loads((ROOT / "train.json").read_bytes())
    table, target = document["data"], document["target"]
    labels = table.pop(target)
    columns = {name: np.array(values, dtype=np.float64) for name, values in table.items()}
    features = tuple(Feature(name=name) for name in columns)
    classes, y = np.unique(labels, return_inverse=True)
    fitted = LogisticRegression(max_iter=1000).fit(np.column_stack([*columns.values()]), labels)
    names = classes.tolist()
    return Model(
        features=features,
        target=target,
        classes=tuple(names),
        coef=fitted.coef_,
        intercept=fitted.intercept_,
        n_iter=tuple(fitted.n_iter_.tolist()),
        params=resolve(Params(), names, shape=fitted.coef_.shape),
        profile=profile_of(columns.values(), Preparation(features), y, n_classes=len(names)),
    )


class Source:
    """One model, as a tenant's models in the store."""

    tenant = ANONYMOUS

    def __init__(self, model: Model) -> None:
        self._file = encode(model)

    async def load(self, model_id: str) -> bytes:  # noqa: ARG002  # there is one
        """Return its file."""
        return self._file

    async def is_ready(self, model_id: str) -> bool:  # noqa: ARG002  # there is one
        """Tell that it is there."""
        return True


class Wire(asyncio.Transport):
    """Tells when an answer is written to it."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take an answer, which is written at once."""
        if not bytes(data[:12]).endswith(b"200"):
            raise click.ClickException(bytes(data).decode())
        self._tell()

    def is_closing(self) -> bool:
        """Tell that it stays open."""
        return False

    def close(self) -> None:
        """Do nothing."""


class Side:
    """A server with open connections.

    Attributes
    ----------
    least : float
        Microseconds of a request, in the quickest round.
    """

    def __init__(self, runner: web.AppRunner, request: bytes) -> None:
        if not runner.server:
            raise click.ClickException("The server must have been set up.")
        self.least = math.inf
        self._request, self._left, self._done = request, 0, asyncio.Event()
        self._ends = [runner.server() for _ in range(CONNECTIONS)]
        for end in self._ends:
            end.connection_made(Wire(self._note))

    def _note(self) -> None:
        self._left -= 1
        if not self._left:
            self._done.set()

    async def run(self) -> None:
        """Ask on all connections, again and again."""
        begun = perf_counter()
        for _ in range(REQUESTS // CONNECTIONS):
            self._left = CONNECTIONS
            self._done.clear()
            for end in self._ends:
                end.data_received(self._request)
            await self._done.wait()
        self.least = min(self.least, (perf_counter() - begun) / REQUESTS * 1e6)


def written(method: str, path: str, body: bytes = b"") -> bytes:
    """Return a request as it is sent."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"Content-Type: {JSON}", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ready(stack: AsyncExitStack, runner: web.AppRunner) -> web.AppRunner:
    """Return a server that is ready to be asked."""
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


async def service(stack: AsyncExitStack, redis_url: str, *, drift: bool) -> Runner:
    """Return the service, the model in its memory."""
    settings = Settings(redis_url=redis_url, drift=drift, log_level="error")
    runner = Runner(create_app(settings))
    await ready(stack, runner)
    await runner.app[CACHE].get(ID, Source(iris()))
    return runner


async def constant(_: web.Request) -> web.Response:
    """Answer what the floor answers, in the service's way."""
    reply = Reply(floor.BODY)
    reply.identify("0f6ae6e26f5c-1")
    return reply


def bare() -> web.Application:
    """Return the floor's application."""
    app = web.Application()
    app.router.add_get("/models/{id}", floor.constant)
    app.router.add_get("/replies/{id}", constant)
    app.router.add_post("/models/{id}/predictions", floor.read)
    return app


async def in_turn(rounds: int, *sides: Side) -> list[float]:
    """Ask each in turn; return the least microseconds of each."""
    for _ in range(rounds):
        for side in sides:
            await side.run()
    return [side.least for side in sides]


def line(name: str, microseconds: float, remark: str = "") -> str:
    """Return a line of the table."""
    return f"| {name} | {microseconds:.1f} | {remark} |"


def parts(scorer: Scorer, query: str) -> dict[str, Callable[[], object]]:
    """Return what a prediction does beside HTTP."""
    best, shares = scorer.score_row(ROW)
    return {
        "read the query, within the range of the training": lambda: scorer.read_plain(query),
        "score": lambda: scorer.score_row(ROW),
        "write the answer": lambda: scorer.form.fill(ID, best, shares),
        "count class and time": lambda: scorer.counts.add_row(best, 1e-5),
    }


def least(work: Callable[[], object]) -> float:
    """Return the microseconds that something takes."""
    times = 20_000
    return min(timeit.repeat(work, number=times, repeat=7)) / times * 1e6


async def compare(rounds: int, redis_url: str) -> None:
    """Print both tables."""
    async with AsyncExitStack() as stack:
        below = await ready(stack, web.AppRunner(bare(), access_log=None))
        ours, without = [await service(stack, redis_url, drift=drift) for drift in (True, False)]
        names = [feature.name for feature in iris().features]
        query = "&".join(f"{name}={value}" for name, value in zip(names, ROW, strict=True))
        get, path = written("GET", f"/models/{ID}?{query}"), f"/models/{ID}/predictions"
        asking = {
            "GET": (get, get),
            "POST": (written("POST", path, columns(names)),) * 2,
            "V2 JSON": (
                written("POST", path, v2()),
                written("POST", f"/v2/models/{ID}/infer", v2()),
            ),
        }
        click.echo("| one row, in process | floor, µs | service, µs | ratio | drift, µs |")
        click.echo("|---|---|---|---|---|")
        for name, (low, high) in asking.items():
            sides = [Side(below, low), Side(ours, high), Side(without, high)]
            base, whole, less = await in_turn(rounds, *sides)
            ratio, drift = base / whole, whole - less
            click.echo(f"| {name} | {base:.1f} | {whole:.1f} | {ratio:.2f} | {drift:.1f} |")
        await explain(rounds, below, without, get, query)


def columns(names: list[str]) -> bytes:
    """Return a table of one row."""
    return json.dumps({name: [value] for name, value in zip(names, ROW, strict=True)}).encode()


def v2() -> bytes:
    """Return the same as a tensor."""
    return asked(np.ones((1, 4)), data=ROW)


async def explain(rounds: int, below: web.AppRunner, ours: Runner, get: bytes, query: str) -> None:
    """Print where the time of a GET goes."""
    replies = get.replace(b"/models/", b"/replies/", 1)
    sides = Side(below, get), Side(below, replies), Side(ours, get)
    base, reply, whole = await in_turn(rounds, *sides)
    found = {name: least(work) for name, work in parts(Scorer(iris()), query).items()}
    click.echo("\n| a GET, without drift | µs | |\n|---|---|---|")
    click.echo(line("aiohttp: connection, task, request, router, answer", base, "the floor"))
    click.echo(line("an answer in one write instead", reply - base))
    for name, microseconds in found.items():
        click.echo(line(name, microseconds))
    rest = whole - reply - sum(found.values())
    click.echo(line("id, limits, origin, metrics, model in memory; no task, no router", rest))
    click.echo(line("all", whole))


@click.command()
@click.option("--rounds", default=40, show_default=True, help="Rounds of floor and service.")
def main(rounds: int) -> None:
    """Tell where the microseconds of one row go."""
    psutil.Process().cpu_affinity([0])
    share_processor()
    with store() as redis_url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(compare(rounds, redis_url))


if __name__ == "__main__":
    main()
