"""Models not in memory, many models in turn, and single rows beside large bodies.

`python -m benchmarks.crowds`: the service has core 0, what asks it has core 1.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import click

from benchmarks.measure import JSON, check_tools, fetch, running, service, train

ROW = "sepal_length=5.9&sepal_width=3.0&petal_length=5.1&petal_width=1.8"
_COPIES_OF_CACHE = 10


class Asker:
    """A client on one connection, which times each answer."""

    def __init__(self, api: str) -> None:
        self._connection = HTTPConnection(urlsplit(api).netloc, timeout=60)

    def ask(self, path: str, body: bytes | None = None) -> float:
        """Return how many ms an answer took."""
        begun = time.perf_counter()
        self._connection.request("POST" if body else "GET", path, body, {"Content-Type": JSON})
        response = self._connection.getresponse()
        response.read()
        if response.status >= 300:
            raise click.ClickException(f"{path} answers {response.status}")
        return (time.perf_counter() - begun) * 1e3


def copies(api: str, url: str, number: int) -> list[str]:
    """Import a model again and again; return the paths of the copies."""
    with urllib.request.urlopen(f"{url}/artifact") as response:
        artifact, media_type = response.read(), response.headers["Content-Type"]
    paths = []
    for _ in range(number):
        request = urllib.request.Request(f"{api}/models", artifact, {"Content-Type": media_type})
        with urllib.request.urlopen(request) as response:
            paths.append(f"/models/{json.load(response)['id']}")
    return paths


def memory_mb(process: int) -> float:
    """Return the memory that a process has in RAM."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def in_turn(api: str, paths: list[str], process: int) -> str:
    """Ask each model twice, then all in turn and anew, as many times as there are rounds."""
    asker = Asker(api)
    cold, warm = [], []
    for path in paths:
        cold.append(asker.ask(f"{path}?{ROW}"))
        warm.append(asker.ask(f"{path}?{ROW}"))
    before = memory_mb(process)
    for _ in range(3):
        for path in random.sample(paths, len(paths)):  # an order
            asker.ask(f"{path}?{ROW}")
    above = statistics.median(cold) - statistics.median(warm)
    return (
        f"{len(paths)} models in turn: loaded {statistics.median(cold):.2f} ms, in memory "
        f"{statistics.median(warm):.2f} ms, {above:.2f} ms above; "
        f"memory {before:.0f} MB, after three more rounds {memory_mb(process):.0f} MB"
    )


def beside(api: str, path: str, wide: str, body: bytes, *, what: str, seconds: float) -> str:
    """Ask for single rows while another client posts large bodies without pause."""
    asker, stop = Asker(api), threading.Event()
    posted: list[float] = []

    def post() -> None:
        other = Asker(api)
        while not stop.is_set():
            posted.append(other.ask(f"{wide}/predictions", body))

    poster = threading.Thread(target=post)
    poster.start()
    end, times = time.monotonic() + seconds, []
    while time.monotonic() < end:
        times.append(asker.ask(f"{path}?{ROW}"))
    stop.set()
    poster.join()
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    return (
        f"single rows beside {what}: p50 {p50:.2f} ms, p99 {p99:.2f} ms; "
        f"{len(posted)} bodies, {statistics.median(posted):.1f} ms each"
    )


def wide_table(rows: int) -> dict[str, list[float]]:
    """Return thirty columns of random numbers."""
    generator = random.Random(0)  # noqa: S311  # data
    return {f"f{i}": [generator.gauss(0, 1) for _ in range(rows)] for i in range(30)}


def large_bodies() -> Iterator[tuple[str, bytes]]:
    """Yield what is posted without pause, each with its name."""
    yield "10,000 x 30", json.dumps(wide_table(10_000)).encode()
    table = wide_table(20_000)
    rows = list(zip(*table.values(), strict=True))
    for form, sent in (
        ("records", [dict(zip(table, row, strict=True)) for row in rows]),
        ("split", {"columns": list(table), "data": rows}),
        ("columns", table),
    ):
        body = json.dumps(sent).encode()
        yield f"20,000 x 30, {form}, {len(body) / 1e6:.0f} MB", body


def train_wide(api: str) -> str:
    """Train a model of thirty features; return its path."""
    table: dict[str, list[float] | list[int]] = {**wide_table(300)}
    table["y"] = [i % 2 for i in range(300)]
    body = json.dumps({"data": table, "target": "y"}).encode()
    path = f"/models/{fetch(f'{api}/models', body)['id']}"
    while fetch(api + path)["state"] != "ready":
        time.sleep(0.01)
    return path


@click.command()
@click.option("--models", default=1000, show_default=True, help="Models that are asked in turn.")
@click.option("--seconds", default=10.0, show_default=True, help="Seconds beside large bodies.")
def main(models: int, seconds: float) -> None:
    """Measure models that are not in memory, and single rows beside large bodies."""
    check_tools()
    with service() as (api, environ):
        with running(sys.executable, "-m", "workers", core=1, **environ):
            url, wide = train(api), train_wide(api)
        path = urlsplit(url).path
        for what, body in large_bodies():
            click.echo(beside(api, path, wide, body, what=what, seconds=seconds))
    # A scorer of iris counts as about 5 kB; the cache has room for a tenth of them.
    os.environ["MLSERVICE_CACHE_BYTES"] = str(5_000 * models // _COPIES_OF_CACHE)
    with service() as (api, environ):
        with running(sys.executable, "-m", "workers", core=1, **environ):
            url = train(api)
        process = int(subprocess.check_output(["pgrep", "-f", f"[-]-port {urlsplit(api).port}"]))
        click.echo(in_turn(api, copies(api, url, models), process))


if __name__ == "__main__":
    main()
