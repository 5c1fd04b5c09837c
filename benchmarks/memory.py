"""The memory that a training takes, beside its estimate: `python -m benchmarks.memory`.

Each training is a process of its own, forked from one that has trained before, as
a worker's children are; what it takes is the peak of its memory over what it had.
"""

import json
import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from mlservice.estimate import memory_of
from mlservice.intake import check_early
from mlservice.sent import Sent
from mlservice.settings import Settings
from workers.training import train


def table(
    rows: int, columns: int, *, classes: int = 2, categories: int = 0, **options: Any
) -> dict[str, Any]:
    """Return the body of a training: numbers, perhaps a text, and a target."""
    random = np.random.default_rng(0)
    data = {f"f{i}": random.normal(size=rows).round(2).tolist() for i in range(columns)}
    if categories:
        data["t"] = [f"c{code}" for code in random.integers(0, categories, rows)]
    data["y"] = random.integers(0, classes, rows).tolist()
    return {"data": data, "target": "y", **options}


NEWTON = {"solver": "newton-cholesky"}
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "150 x 4, 3 classes": partial(table, 150, 4, classes=3),
    "100,000 x 1": partial(table, 100_000, 1),
    "20,000 x 8": partial(table, 20_000, 8),
    "200 x 800": partial(table, 200, 800),
    "200 x 800, newton-cholesky": partial(table, 200, 800, params=NEWTON),
    "1,000 x 60, 10 classes, newton-cholesky": partial(table, 1_000, 60, classes=10, params=NEWTON),
    "3,000 x 30, 100 classes": partial(table, 3_000, 30, classes=100),
    "20,000 x 1 and 1,000 categories": partial(table, 20_000, 1, categories=1_000),
    "2,000 x 1 and 900 categories": partial(table, 2_000, 1, categories=900),
    "20,000 x 8, standardised": partial(table, 20_000, 8, preprocessing={"scale": "standard"}),
    "20,000 x 8, 5 folds": partial(table, 20_000, 8, evaluation={"folds": 5}),
    "5,000 x 20, no penalty": partial(table, 5_000, 20, params={"C": None}),
}


def _memory(member: str) -> int:
    """Return a line of the process's status, in bytes."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(member))


def _take(body: bytes, answers: Any) -> None:
    # Forgets the peak that the process was forked with.
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    before = _memory("VmRSS")
    train(bytearray(body), Settings())
    answers.put(_memory("VmHWM") - before)


def measure(body: bytes) -> int:
    """Return how many bytes a training takes at its peak."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_take, args=(body, answers))
    process.start()
    taken: int = answers.get()
    process.join()
    return taken


def warm() -> None:
    """Train once, so that what a fit imports is there."""
    request = table(50, 3, classes=3, categories=3, evaluation={"folds": 2})
    train(json.dumps(request).encode(), Settings())


def estimate(body: bytes) -> int:
    """Return what a dry run tells of a training."""
    return memory_of(check_early(Sent(body=body), Settings())[1], len(body))


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CASES)), help="All if left out.")
def main(only: tuple[str, ...]) -> None:
    """Print a table of peaks and estimates."""
    warm()
    click.echo("| training | body | peak | estimate | ratio |\n|---|---|---|---|---|")
    for name in only or CASES:
        body = json.dumps(CASES[name]()).encode()
        told, taken = estimate(body), measure(body)
        sizes = " | ".join(f"{size / 1e6:.1f} MB" for size in (len(body), taken, told))
        click.echo(f"| {name} | {sizes} | {told / taken:.2f} |")


if __name__ == "__main__":
    main()
