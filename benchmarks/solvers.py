"""`solver: "auto"` beside always lbfgs: `python -m benchmarks.solvers`.

Columns are of one scale (`std`), or of scales from 0.01 to 100 and correlated (`raw`).
One BLAS thread, C=1, tol 1e-4, at most 1,000 iterations; about a minute.
"""

import json
import time
from dataclasses import replace
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
from workers.training import fit

SHAPES = ((150, 4, 3), (1_000, 10, 2), (10_000, 30, 3), (50_000, 30, 2), (5_000, 300, 2))


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


def run(dataset: Dataset, solver: Any) -> tuple[float, str, float]:
    """Return seconds, the solver and its iterations, and the log loss."""
    n, p = dataset.X.shape
    params = resolve(Params(solver=solver, max_iter=1000), list(dataset.classes), shape=(n, p))
    begun = time.perf_counter()
    fitted, told = fit(replace(dataset, params=params, is_automatic=solver == "auto"))
    seconds = time.perf_counter() - begun
    loss = log_loss(dataset.y, fitted.predict_proba(dataset.X))
    stopped = " (stopped)" if any(each.code == "not-converged" for each in told) else ""
    return seconds, f"{fitted.solver}, {max(fitted.n_iter_)}{stopped}", float(loss)


@click.command()
def main() -> None:
    """Compare the rule with always lbfgs on a handful of shapes."""
    click.echo(
        "| rows x columns x classes | lbfgs, ms | iterations | auto, ms | ended with | loss |"
    )
    click.echo("|---|---|---|---|---|---|")
    with threadpool_limits(1):
        for kind, shape in product(("std", "raw"), SHAPES):
            dataset = dataset_of(*shape, kind)
            lbfgs, auto = run(dataset, "lbfgs"), run(dataset, "auto")
            name = " x ".join(map(str, shape))
            click.echo(
                f"| {kind} {name} | {lbfgs[0] * 1e3:.0f} | {lbfgs[1]} | {auto[0] * 1e3:.0f} "
                f"| {auto[1]} | {lbfgs[2]:.6f} -> {auto[2]:.6f} |"
            )


if __name__ == "__main__":
    main()
