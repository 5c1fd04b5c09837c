"""A service in use: `python -m benchmarks.load --minutes 10`.

Starts the whole service in a folder of its own. 1,000 connections predict once a second each,
20 small trainings are posted a minute, and 50 MB of CSV are uploaded again as soon as the
training of the last ones is ready. A prediction's time counts from when it was to be sent,
not from when it was. Every answer is compared with the first.

Exits with 1 if anything was refused, answered wrongly, or lost.
"""

import asyncio
import gc
import itertools
import json
import math
import re
import resource
import statistics
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.__main__ import ROW
from benchmarks.large import write_table
from benchmarks.measure import ROOT
from benchmarks.training import Client, serving

HOST = "127.0.0.1"
PERIOD_S = 1.0
PATIENCE_S = 60
LOOK_EVERY_S = 2.0
# Of a table of 20 columns.
BYTES_A_ROW = 190
PIECE_BYTES = 1 << 16
PROGRAMS = {"api": "--api-only", "worker": "workers", "valkey": "valkey-server"}
_length = re.compile(rb"content-length: (\d+)", re.IGNORECASE).search


@dataclass
class Tally:
    """What was asked, and what came of it."""

    predictions_ms: "array[float]" = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)
    trainings: Counter[str] = field(default_factory=Counter)
    uploads_s: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the lines of a report."""
        times = self.predictions_ms
        shares = statistics.quantiles(times, n=1000)
        told = ", ".join(f"{count} × {kind}" for kind, count in self.errors.items())
        upload = f"{statistics.median(self.uploads_s):.2f}" if self.uploads_s else "-"
        told_ms = f"p50 {shares[499]:.1f} ms, p99 {shares[989]:.1f} ms, most {max(times):.0f} ms"
        lines = [
            f"predictions {len(times)}: {told_ms}",
            f"trainings   {self.trainings['asked']} asked, {self.trainings['ready']} ready",
            f"uploads     {len(self.uploads_s)} of these, taken after {upload} s (median)",
            f"errors      {self.errors.total()}" + (f": {told}" if told else ""),
            *(f"memory, MB  {name:<7}{_course(found)}" for name, found in self.memory.items()),
        ]
        return "\n".join(lines)

    @property
    def is_good(self) -> bool:
        """Whether nothing was refused, wrong or lost."""
        return not self.errors and self.trainings["asked"] == self.trainings["ready"]


def _course(found: list[float]) -> str:
    """Return the medians of the first tenth, the middle one and the last."""
    tenth = max(1, len(found) // 10)
    begins = (0, (len(found) - tenth) // 2, len(found) - tenth)
    parts = [statistics.median(found[begin : begin + tenth]) for begin in begins]
    return "start {:6.0f}, middle {:6.0f}, end {:6.0f}".format(*parts)


class Predictor(asyncio.Protocol):
    """One connection that asks for a prediction once a second.

    Parameters
    ----------
    request, answer : bytes
        What is sent, and the body that must come back.
    tally : Tally
        Takes the times and the errors.
    first_s, end_s : float
        When the first request is to be sent, and when none is any more, by the loop's clock.
    """

    def __init__(
        self, request: bytes, answer: bytes, tally: Tally, *, first_s: float, end_s: float
    ) -> None:
        self._request, self._answer, self._tally = request, answer, tally
        self._planned_s, self._end_s = first_s, end_s
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override]  # of a stream
    ) -> None:
        """Wait for the first request's time."""
        self._transport = transport
        self._loop.call_at(self._planned_s, self._send)

    def _send(self) -> None:
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is whole."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or (length := _length(head)) is None or len(body) < int(length[1]):
            return
        self._received = b""
        # The loop's clock; uvloop reads it once a turn, in whole milliseconds.
        self._tally.predictions_ms.append((time.monotonic() - self._planned_s) * 1e3)
        if body != self._answer:
            self._tally.errors[f"prediction {head[9:12].decode()}"] += 1
        self._planned_s += PERIOD_S
        if self._planned_s >= self._end_s:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._loop.call_at(self._planned_s, self._send)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        """Note that the service has ended the connection."""
        if not self.done.done():
            self._tally.errors["connection lost"] += 1
            self.done.set_result(None)


class Trainer:
    """A client that trains, waits until the model is ready, and deletes it."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._port, self._tally = port, tally

    async def train(self, path: str, body: bytes, media_type: str) -> float:
        """Train once; return after how many seconds the training was taken."""
        self._tally.trainings["asked"] += 1
        begun = time.perf_counter()
        status, document = await self._ask("POST", path, body, media_type)
        took_s = time.perf_counter() - begun
        if status != 202:
            self._tally.errors[f"training {status}"] += 1
            return took_s
        model = f"/models/{document['id']}"
        status, document = await self._ask("GET", model)
        if status == 200 and document["state"] == "ready":
            self._tally.trainings["ready"] += 1
        status, _ = await self._ask("DELETE", model)
        if status != 204:
            self._tally.errors[f"delete {status}"] += 1
        return took_s

    async def _ask(
        self, method: str, path: str, body: bytes = b"", media_type: str = "application/json"
    ) -> tuple[int, Any]:
        """Return status and document; a training is waited for."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        wait = f"prefer: wait={PATIENCE_S}\r\n" if method == "GET" else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n{wait}"
            f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode())
        # Piece by piece, so that the predictions beside it are sent in time.
        for begin in range(0, len(body), PIECE_BYTES):
            writer.write(body[begin : begin + PIECE_BYTES])
            await writer.drain()
        answered, _, document = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(answered[9:12] or 0), json.loads(document or b"null")


async def post_evenly(trainer: Trainer, body: bytes, *, a_minute: int, end_s: float) -> None:
    """Post small trainings, each at its time."""
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    async with asyncio.TaskGroup() as trainings:
        for number in itertools.count():
            planned_s = begun_s + number * 60 / a_minute
            if planned_s >= end_s:
                break
            await asyncio.sleep(planned_s - loop.time())
            trainings.create_task(trainer.train("/models", body, "application/json"))


async def upload(trainer: Trainer, body: bytes, tally: Tally, *, end_s: float) -> None:
    """Upload a large table, again as soon as its model is ready."""
    while asyncio.get_running_loop().time() < end_s:
        tally.uploads_s.append(await trainer.train("/models?target=y", body, "text/csv"))


def resident_mb() -> Iterator[tuple[str, float]]:
    """Yield the resident memory of each program of the service."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            words = [*process.cmdline(), process.name()]
            for name, mark in PROGRAMS.items():
                if mark in words:
                    yield name, process.memory_info().rss / 2**20


async def watch(tally: Tally) -> None:
    """Note each program's memory, for ever."""
    while True:
        for name, megabytes in await asyncio.to_thread(lambda: list(resident_mb())):
            tally.memory.setdefault(name, []).append(megabytes)
        await asyncio.sleep(LOOK_EVERY_S)


async def run(port: int, table: bytes, *, connections: int, a_minute: int, end_s: float) -> Tally:
    """Put the load on the service for some seconds; return what came of it."""
    loop, tally = asyncio.get_running_loop(), Tally()
    example = (ROOT / "train.json").read_bytes()
    request, answer = await asyncio.to_thread(prepare, port, example)
    # All connections are there before the first request is to be sent.
    first_s = loop.time() + 2.0
    end_s += first_s

    def predictor(number: int) -> Callable[[], Predictor]:
        at_s = first_s + PERIOD_S * number / connections
        return lambda: Predictor(request, answer, tally, first_s=at_s, end_s=end_s)

    made = [
        await loop.create_connection(predictor(number), HOST, port) for number in range(connections)
    ]
    trainer = Trainer(port, tally)
    watching = asyncio.create_task(watch(tally))
    async with asyncio.TaskGroup() as load:
        load.create_task(post_evenly(trainer, example, a_minute=a_minute, end_s=end_s))
        load.create_task(upload(trainer, table, tally, end_s=end_s))
        await asyncio.wait([each.done for _, each in made], timeout=end_s - loop.time() + 60)
    watching.cancel()
    tally.errors["prediction unanswered"] += sum(not each.done.done() for _, each in made)
    tally.errors += Counter()
    return tally


def prepare(port: int, example: bytes) -> tuple[bytes, bytes]:
    """Train a model; return the request for a prediction, and its answer."""
    client = Client(port)
    path = f"/models/{client.ask('POST', '/models', example, Prefer='wait=30')['id']}?{ROW}"
    answer = json.dumps(client.ask("GET", path), separators=(",", ":")).encode() + b"\n"
    return f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode(), answer


def new_loop() -> asyncio.AbstractEventLoop:
    """Return the cheapest event loop that is installed."""
    with suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--connections", default=1000, show_default=True)
@click.option("--trainings", default=20, show_default=True, help="Small ones, a minute.")
@click.option("--megabytes", default=50, show_default=True, help="Of each upload.")
def main(minutes: float, connections: int, trainings: int, megabytes: int) -> None:
    """Put load on a whole service, and tell what it made of it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_table(path, math.ceil(megabytes * 1e6 / BYTES_A_ROW), 20)
        table = path.read_bytes()
    gc.freeze()
    with serving() as port, asyncio.Runner(loop_factory=new_loop) as runner:
        tally = runner.run(
            run(port, table, connections=connections, a_minute=trainings, end_s=minutes * 60)
        )
    click.echo(f"{connections} connections, {minutes:g} minutes, {len(table) / 1e6:.0f} MB a table")
    click.echo(tally)
    sys.exit(not tally.is_good)


if __name__ == "__main__":
    main()
