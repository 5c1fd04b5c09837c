"""`solver: "auto"` beside always lbfgs: `python -m benchmarks.solvers`.

Ten shapes, 2, 3 and 10 classes. Columns are of one scale (`std`), or of scales
from 0.01 to 100 and correlated (`raw`). One BLAS thread, C=1, tol 1e-4, at most
1,000 iterations, and a bound on the time of each fit, which is CPU time. A fit
that has not converged by then is unfinished. Some minutes.
"""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from mlservice.catalogue import Params
from mlservice.dataset import Dataset, prepare
from mlservice.params import resolve
from mlservice.schemas import read_training
from mlservice.settings import Settings
from workers.fitting import fit

SHAPES = (
    (150, 4),
    (1_000, 10),
    (1_000, 100),
    (10_000, 30),
    (10_000, 100),
    (500, 2_000),
    (10_000, 1_000),
    (2_000, 5_000),
    (100_000, 30),
    (1_000_000, 20),
)
# Of these, raw columns are fitted with two classes only.
BIG = SHAPES[-2:]


def samples(n: int, p: int, k: int, kind: str) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return made-up rows whose classes overlap."""
    random = np.random.default_rng(0)
    X = random.normal(size=(n, p))
    logits = X @ random.normal(size=(p, k)) / np.sqrt(p) + random.gumbel(size=(n, k))
    if kind == "raw":
        X = (X + X[:, :1] * random.normal(size=p)) * np.logspace(-2, 2, p) + 10
    return np.ascontiguousarray(X), logits.argmax(axis=1)


def dataset_of(n: int, p: int, k: int, kind: str) -> Dataset:
    """Return a dataset of such rows, as a worker has it."""
    X, y = samples(n, p, k, kind)
    data: dict[str, Any] = {"x": list(range(4)), "y": [0, 1, 0, 1]}
    body = json.dumps({"data": data, "target": "y", "evaluation": {"test_size": 0}}).encode()
    small = prepare(read_training(body), Settings())
    return replace(small, X=X, y=y, classes=tuple(range(k)))


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What became of a fit."""

    seconds: float
    said: str
    loss: float | None
    is_finished: bool


def run(dataset: Dataset, solver: Any, longest_s: float) -> Fit:
    """Fit within a bound on CPU time."""
    n, p = dataset.X.shape
    params = resolve(Params(solver=solver, max_iter=1000), list(dataset.classes), shape=(n, p))
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, longest_s)
    try:
        fitted, told = fit(replace(dataset, params=params, is_automatic=solver == "auto"))
    except TimeoutError:
        return Fit(seconds=longest_s, said="too long", loss=None, is_finished=False)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - begun
    stopped = any(each.code == "not-converged" for each in told)
    return Fit(
        seconds=seconds,
        said=f"{fitted.solver}, {max(fitted.n_iter_)}" + " (stopped)" * stopped,
        loss=float(log_loss(dataset.y, fitted.predict_proba(dataset.X))),
        is_finished=not stopped,
    )


def _overrun(*_: object) -> None:
    raise TimeoutError


def cases(most_cells: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield kind, rows, columns and classes of each case."""
    for kind, (n, p), k in product(("std", "raw"), SHAPES, (2, 3, 10)):
        if n * p <= most_cells and not (kind == "raw" and (n, p) in BIG and k > 2):
            yield kind, n, p, k


def row(name: str, lbfgs: Fit, auto: Fit) -> str:
    """Return a line of the table."""
    losses = " -> ".join(f"{each.loss:.6f}" if each.loss else "-" for each in (lbfgs, auto))
    return (
        f"| {name} | {lbfgs.seconds * 1e3:.0f} | {lbfgs.said} "
        f"| {auto.seconds * 1e3:.0f} | {auto.said} | {losses} |"
    )


def total(name: str, fits: list[Fit]) -> str:
    """Return how long fits took together, and how many did not end."""
    unfinished = sum(not each.is_finished for each in fits)
    return f"{name}: {sum(each.seconds for each in fits):.1f} s, {unfinished} unfinished"


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="Longest fit.")
@click.option("--cells", default=20_000_000, show_default=True, help="Most cells of a table.")
def main(seconds: float, cells: int) -> None:
    """Compare the rule with always lbfgs."""
    signal.signal(signal.SIGPROF, _overrun)
    click.echo(
        "| rows x columns x classes | lbfgs, ms | iterations | auto, ms | ended with | loss |"
    )
    click.echo("|---|---|---|---|---|---|")
    pairs: dict[str, list[tuple[Fit, Fit]]] = {"std": [], "raw": []}
    with threadpool_limits(1):
        for kind, n, p, k in cases(cells):
            dataset = dataset_of(n, p, k, kind)
            pair = run(dataset, "lbfgs", seconds), run(dataset, "auto", seconds)
            pairs[kind].append(pair)
            click.echo(row(f"{kind} {n} x {p} x {k}", *pair))
    for kind, found in pairs.items():
        lbfgs, auto = zip(*found, strict=True)
        click.echo(f"{kind}, {len(found)} cases: " + total("lbfgs", list(lbfgs)), nl=False)
        click.echo("; " + total("auto", list(auto)))


if __name__ == "__main__":
    main()
