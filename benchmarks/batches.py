"""Predictions of tables beside the floor: `python -m benchmarks.batches`.

The service and the floor have core 0, the client has core 1. Each round measures
the floor and the service in turn, one request after the other; a ratio is the
median of the rounds' ratios. The floor parses rows with simdjson, multiplies and
dumps with orjson. Streams are sent and read at once; the memory is the process's
most above what it had idle. It needs the extras arrow, fast and bench.
"""

import http.client
import io
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import click
import msgpack
import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.measure import (
    JSON,
    alternate,
    check_tools,
    fetch,
    free_port,
    load,
    running,
    service,
)
from mlservice.catalogue import Params
from mlservice.model import MEDIA_TYPE, Model, encode
from mlservice.params import resolve
from mlservice.schemas import Feature

ROWS, COLUMNS = 10_000, 30
NAMES = [f"f{i}" for i in range(COLUMNS)]
MSGPACK, ARROW = "application/msgpack", "application/vnd.apache.arrow.stream"
STREAMED, STREAMED_COLUMNS = 1_000_000, 20
FORMS = ("JSON, split", "JSON, columns", "JSON, records", "msgpack", "Arrow")
EVERYTHING = {"with extras": (), "without extras": ("simdjson", "pyarrow")}


def model_file(columns: int) -> bytes:
    """Return the file of a model of two classes."""
    return encode(
        Model(
            features=tuple(Feature(name=f"f{i}") for i in range(columns)),
            target="y",
            classes=("no", "yes"),
            coef=np.random.default_rng(0).normal(size=(1, columns)),
            intercept=np.zeros(1),
            n_iter=(1,),
            params=resolve(Params(), ["no", "yes"], shape=(1, columns)),
        )
    )


def imported(api: str, columns: int) -> str:
    """Import such a model; return the address of its predictions."""
    sent = Request(f"{api}/models", data=model_file(columns), headers={"Content-Type": MEDIA_TYPE})
    with urlopen(sent) as response:  # our own service
        return f"{api}/models/{json.load(response)['id']}/predictions"


def arrow_of(X: NDArray[np.float64]) -> bytes:
    """Return a table as an Arrow stream."""
    table = pa.table({name: X[:, i] for i, name in enumerate(NAMES)})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def bodies(X: NDArray[np.float64]) -> dict[str, tuple[str, bytes]]:
    """Return a table in each form that is measured, with its media type."""
    columns = {name: X[:, i] for i, name in enumerate(NAMES)}
    packed = {name: {"dtype": "<f8", "data": each.tobytes()} for name, each in columns.items()}
    listed = {name: each.tolist() for name, each in columns.items()}
    records = [dict(zip(NAMES, row, strict=True)) for row in X.tolist()]
    return {
        "JSON, split": (JSON, json.dumps({"columns": NAMES, "data": X.tolist()}).encode()),
        "JSON, columns": (JSON, json.dumps(listed).encode()),
        "JSON, records": (JSON, json.dumps(records).encode()),
        "msgpack": (MSGPACK, msgpack.packb({"columns": packed})),
        "Arrow": (ARROW, arrow_of(X)),
    }


class Asker:
    """One connection, one request after the other."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._headers = dict(headers or {})
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.netloc)

    def ask(self, media_type: str, body: bytes) -> float:
        """Return how long a request takes, in ms."""
        begun = time.perf_counter()
        headers = {"Content-Type": media_type, **self._headers}
        self._connection.request("POST", self._path, body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise click.ClickException(answer[:500].decode())
        return (time.perf_counter() - begun) * 1e3

    def median(self, media_type: str, body: bytes, times: int = 9) -> float:
        """Return the median of some requests."""
        return statistics.median(self.ask(media_type, body) for _ in range(times))


def tables(floor: str, service_url: str, rounds: int, forms: list[str]) -> Iterator[str]:
    """Yield a line for each form: the floor, the service and their ratio."""
    sent = bodies(np.random.default_rng(0).normal(size=(ROWS, COLUMNS)))
    below, ours = Asker(floor), Asker(service_url)
    for form in forms:
        pairs = [
            (below.median(*sent["JSON, split"]), ours.median(*sent[form])) for _ in range(rounds)
        ]
        floors, services = zip(*pairs, strict=True)
        ratio = statistics.median(b / a for a, b in pairs)
        yield (
            f"| {form} | {statistics.median(floors):.1f} | {statistics.median(services):.1f} "
            f"| {ratio:.2f} |"
        )


def one_row(floor: str, service_url: str, rounds: int) -> str:
    """Return the ratio of requests a second of one row."""
    body = json.dumps({name: [1.25] for name in NAMES[:4]}).encode()
    found = alternate(floor, service_url, rounds=3 * rounds, connections=32, body=body)
    pairs = [(low[0], high[0]) for low, high in found]
    floors, services = zip(*pairs, strict=True)
    ratio = statistics.median(b / a for a, b in pairs)
    return (
        f"one row, POST, 32 connections: floor {statistics.median(floors):,.0f}/s, "
        f"service {statistics.median(services):,.0f}/s, ratio {ratio:.2f}"
    )


def beside(api: str, seconds: int) -> str:
    """Return how long single rows take while another client posts tables without pause."""
    url, single = imported(api, COLUMNS), imported(api, 4).removesuffix("/predictions")
    sent = bodies(np.random.default_rng(0).normal(size=(ROWS, COLUMNS)))["JSON, split"]
    stop, asker = threading.Event(), Asker(url)
    asked = []

    def post() -> None:
        while not stop.is_set():
            asked.append(asker.ask(*sent))

    other = threading.Thread(target=post)
    other.start()
    query = "&".join(f"{name}=1.25" for name in NAMES[:4])
    _, median, p99 = load(f"{single}?{query}", connections=1, seconds=seconds)
    stop.set()
    other.join()
    return (
        f"one row, GET, beside {len(asked) / seconds:.0f} tables/s: "
        f"p50 {median:.1f} ms, p99 {p99:.1f} ms"
    )


class Memory:
    """The most memory of a process above what it had, looked at every 10 ms."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._idle = self.most = self._process.memory_info().rss
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.most = max(self.most, self._process.memory_info().rss)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def mebibytes(self) -> float:
        """How much it was above."""
        return (self.most - self._idle) / 2**20


def stream(url: str, pid: int, media_type: str, text: tuple[bytes, bytes], rows: int) -> str:
    """Send rows and read their answers at once; return speed and memory."""
    parts = urlsplit(url)
    head, piece = text
    times = rows // piece.count(b"\n")
    length = len(head) + times * len(piece)
    with (
        socket.create_connection((parts.hostname, parts.port)) as connection,
        Memory(pid) as memory,
    ):
        begun = time.perf_counter()
        connection.sendall(
            f"POST {parts.path}?digits=6 HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
            f"Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n".encode()
            + head
        )

        def send() -> None:
            for _ in range(times):
                connection.sendall(piece)

        sender = threading.Thread(target=send)
        sender.start()
        received = 0
        while chunk := connection.recv(1 << 20):
            received += chunk.count(b"\n")
        taken_s = time.perf_counter() - begun
        sender.join()
    if received < rows:
        raise click.ClickException(f"{received} lines came of {rows} rows.")
    return f"{rows / taken_s:,.0f} rows/s, {memory.mebibytes:.0f} MiB above idle"


def streams(url: str, pid: int, rows: int) -> Iterator[str]:
    """Yield a line for CSV and for NDJSON."""
    X = np.random.default_rng(0).normal(size=(10_000, STREAMED_COLUMNS))
    names = NAMES[:STREAMED_COLUMNS]
    out = io.BytesIO()
    np.savetxt(out, X, fmt="%.6g", delimiter=",")
    head = ",".join(names).encode() + b"\n"
    told = stream(url, pid, "text/csv", (head, out.getvalue()), rows)
    yield f"CSV in and out, {rows:,} x {STREAMED_COLUMNS}, six digits: {told}"
    out = io.BytesIO()
    np.savetxt(out, X, fmt="{" + ", ".join(f'"{name}": %.6g' for name in names) + "}")
    told = stream(url, pid, "application/x-ndjson", (b"", out.getvalue()), rows)
    yield f"NDJSON in and out, {rows:,} x {STREAMED_COLUMNS}: {told}"


@contextmanager
def floor() -> Iterator[str]:
    """Run the floor on core 0; yield its address."""
    port = free_port()
    with running(sys.executable, "-m", "benchmarks.floor", str(port), core=0):
        fetch(f"http://127.0.0.1:{port}/models/x")
        yield f"http://127.0.0.1:{port}"


def pid_of(api: str) -> int:
    """Return the process that listens at an address."""
    port = urlsplit(api).port
    for each in psutil.net_connections("tcp"):
        if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr[1] == port and each.pid:
            return int(each.pid)
    raise click.ClickException(f"Nobody listens at {api}.")


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds of floor and service.")
@click.option(
    "--seconds", default=3, show_default=True, help="Seconds of each load of single rows."
)
@click.option("--rows", default=STREAMED, show_default=True, help="Rows of a stream.")
def main(rounds: int, seconds: int, rows: int) -> None:
    """Compare tables, single rows and streams with the floor."""
    check_tools()
    psutil.Process().cpu_affinity([1])
    with floor() as below:
        for name, without in EVERYTHING.items():
            with service(*without) as (api, _):
                fetch(f"{api}/health/live")
                click.echo(f"| {ROWS:,} x {COLUMNS}, {name} | floor, ms | service, ms | ratio |")
                click.echo("|---|---|---|---|")
                forms = [form for form in FORMS if not (without and form == "Arrow")]
                for line in tables(f"{below}/multiply", imported(api, COLUMNS), rounds, forms):
                    click.echo(line)
                if not without:
                    click.echo(one_row(f"{below}/models/x/predictions", imported(api, 4), rounds))
                    click.echo(beside(api, seconds))
                for line in streams(imported(api, STREAMED_COLUMNS), pid_of(api), rows):
                    click.echo(line)


if __name__ == "__main__":
    main()
