"""A large table beside a plain script: `python -m benchmarks.large`.

A CSV of 1,000,000 rows and 20 columns is trained on without a held-out part,
from POST to ready; a script reads it with `pandas.read_csv`, its default engine,
and fits it with the same solver; its imports are not counted. Both have one BLAS
thread, and the same numbers to the last bit. The memory is that of the worker
and of all its children, what they share counted once; it is looked at in one more
training, since looking takes a fifth of a core and holds the child up.
"""

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import click
import numpy as np
import psutil
import pyarrow as pa
from pyarrow import csv

from benchmarks.training import Client, serving

SCRIPT = """
import time
begun = time.perf_counter()
import pandas
from sklearn.linear_model import LogisticRegression
imported = time.perf_counter()
table = pandas.read_csv({path!r})
read = time.perf_counter()
X = table.drop(columns="y").to_numpy()
LogisticRegression(solver={solver!r}).fit(X, table["y"].to_numpy())
print(imported - begun, read - imported, time.perf_counter() - read)
"""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
SAMPLE_S = 0.02


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write rows of numbers with 6 decimals, and two classes that overlap."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(rows, columns)).round(6)
    y = (X[:, :5].sum(axis=1) + generator.logistic(size=rows) > 0).astype(np.int8)
    table = pa.table({**{f"f{i}": X[:, i] for i in range(columns)}, "y": y})
    csv.write_csv(table, path)


def plain(path: Path, solver: str) -> tuple[float, float, float]:
    """Return the seconds that a plain script takes to import, to read and to fit."""
    script = SCRIPT.format(path=str(path), solver=solver)
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=ONE_THREAD)
    imports, read, fit = map(float, said.stdout.split())
    return imports, read, fit


class Memory:
    """The most memory that a worker and its children have had together."""

    def __init__(self, worker: psutil.Process) -> None:
        self._worker = worker
        self.most_bytes = 0
        self.idle_bytes = self._now()
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_done.wait(SAMPLE_S):
            self.most_bytes = max(self.most_bytes, self._now())

    def _now(self) -> int:
        return sum(map(_share, [self._worker, *self._worker.children(recursive=True)]))


def _share(process: psutil.Process) -> int:
    """Return a process's memory, what it shares with others divided among them."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def worker_of_this_process() -> psutil.Process:
    """Return the worker that the service has started."""
    everybody = psutil.Process().children(recursive=True)
    return next(each for each in everybody if each.cmdline()[1:3] == ["-m", "workers"])


def train(port: int, body: bytes, solver: str) -> float:
    """Post the table, wait until the model is ready, and return the seconds it took."""
    path = f"/models?target=y&evaluation.test_size=0&params.solver={solver}"
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", path, body, {"Content-Type": "text/csv", "Prefer": "wait=60"})
    document = json.loads(connection.getresponse().read())
    while document["state"] in ("queued", "training"):
        document = Client(port).ask("GET", f"/models/{document['id']}", Prefer="wait=60")
    if document["state"] != "ready":
        raise click.ClickException(str(document["error"]))
    return time.perf_counter() - begun


def post(port: int, path: str) -> float:
    """Post a table from a file, and return the seconds until its model is ready."""
    return train(port, Path(path).read_bytes(), "lbfgs")


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--columns", default=20, show_default=True)
@click.option("--solver", default="lbfgs", show_default=True)
@click.option("--times", default=3, show_default=True, help="Of both, in turn; medians are told.")
def main(rows: int, columns: int, solver: str, times: int) -> None:
    """Compare a training with a plain script."""
    table_bytes = 8 * rows * columns
    plains, ours = [], []
    with tempfile.TemporaryDirectory() as folder, serving() as port:
        path = Path(folder) / "table.csv"
        write_table(path, rows, columns)
        body = path.read_bytes()
        click.echo(f"{rows} x {columns}: {len(body) / 1e6:.0f} MB of CSV")
        worker = worker_of_this_process()
        for _ in range(times):
            imports, read, fit = plain(path, solver)
            plains.append(read + fit)
            ours.append(train(port, body, solver))
            click.echo(
                f"plain: read {read:.2f} s, fit {fit:.2f} s (imports {imports:.2f} s); "
                f"POST to ready: {ours[-1]:.2f} s"
            )
        with Memory(worker) as memory:
            train(port, body, solver)
    click.echo(
        f"worker and children: {memory.most_bytes / 1e6:.0f} MB at most, "
        f"{memory.idle_bytes / 1e6:.0f} MB idle"
    )
    ratio, least = statistics.median(ours) / statistics.median(plains), min(ours) / min(plains)
    peak = memory.most_bytes / table_bytes
    click.echo(f"ratio {ratio:.2f} (of the least {least:.2f}), peak {peak:.1f} times the table")


if __name__ == "__main__":
    main()
