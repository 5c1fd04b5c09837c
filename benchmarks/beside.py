"""Predictions while a large table is trained: `python -m benchmarks.beside`.

One client asks for single rows, one after the other: first alone, then while
another one uploads 100 MB of CSV and the worker trains on it, some times. What
that costs the other client is told too: POST to ready, with and without predictions.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.__main__ import ROW
from benchmarks.large import post, write_table
from benchmarks.measure import ROOT
from benchmarks.training import Client, serving

UPLOAD = "import sys; from benchmarks.large import post; print(post(int(sys.argv[1]), sys.argv[2]))"
# As a client that thinks now and then, and not one that takes a core for itself.
PAUSE_S = 0.001


def predict(client: Client, path: str, goes_on: Callable[[], bool]) -> list[float]:
    """Return how many milliseconds each prediction took."""
    found = []
    while goes_on():
        begun = time.perf_counter()
        client.ask("GET", path)
        found.append((time.perf_counter() - begun) * 1e3)
        time.sleep(PAUSE_S)
    return found


def predict_beside(client: Client, url: str, port: int, path: Path) -> tuple[list[float], float]:
    """Return what `predict` does while a table is trained, and the seconds from POST to ready."""
    command = [sys.executable, "-c", UPLOAD, str(port), str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as upload:
        found = predict(client, url, lambda: upload.poll() is None)
        said = upload.communicate()[0]
    return found, float(said)


def line(name: str, found: list[float]) -> str:
    """Return a line of the table."""
    shares = statistics.quantiles(found, n=1000)
    figures = (shares[499], shares[989], shares[998], max(found))
    return f"| {name} | {len(found)} | " + " | ".join(f"{each:.2f}" for each in figures) + " |"


@click.command()
@click.option("--rows", default=550_000, show_default=True, help="Of 20 columns: 190 bytes each.")
@click.option("--seconds", default=10, show_default=True, help="Of predictions alone.")
@click.option("--times", default=3, show_default=True, help="Uploads and trainings.")
def main(rows: int, seconds: int, times: int) -> None:
    """Time predictions alone, and beside an upload and a training."""
    with tempfile.TemporaryDirectory() as folder, serving() as port:
        path = Path(folder) / "table.csv"
        write_table(path, rows, 20)
        client = Client(port)
        body = (ROOT / "train.json").read_bytes()
        model = client.ask("POST", "/models", body, Prefer="wait=30")["id"]
        url = f"/models/{model}?{ROW}"
        end = time.perf_counter() + seconds
        alone = predict(client, url, lambda: time.perf_counter() < end)
        unhurried = post(port, str(path))
        beside, took = [], []
        for _ in range(times):
            found, seconds_taken = predict_beside(client, url, port, path)
            beside += found
            took.append(seconds_taken)
        size = path.stat().st_size / 1e6
    click.echo("| one prediction, ms | times | p50 | p99 | p99.9 | most |")
    click.echo("|---|---|---|---|---|---|")
    click.echo(line("alone", alone))
    click.echo(line(f"beside {size:.0f} MB", beside))
    ratio = statistics.quantiles(beside, n=100)[98] / statistics.quantiles(alone, n=100)[98]
    click.echo(f"p99 beside to alone: {ratio:.2f}")
    each = ", ".join(f"{taken:.2f}" for taken in took)
    click.echo(f"POST to ready: {each} s; while nobody predicts {unhurried:.2f} s")


if __name__ == "__main__":
    main()
