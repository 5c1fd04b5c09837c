"""The trainings that clients ask for, and rows to ask their models about."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_iris, load_wine


@dataclass(frozen=True)
class Task:
    """A training's request, and queries of one row each."""

    name: str
    request: dict[str, object]
    queries: list[str]


def tasks() -> list[Task]:
    """Return trainings of some milliseconds, and one of a second that is worth a kill."""
    quick: dict[str, object] = {"solver": "lbfgs", "max_iter": 1000}
    slow: dict[str, object] = {"solver": "saga", "max_iter": 30_000, "tol": 0, "random_state": 1}
    return [
        _task("iris", load_iris(return_X_y=True), quick),
        _task("wine", load_wine(return_X_y=True), {"solver": "newton-cholesky", "C": 0.1}),
        _task("slow", load_iris(return_X_y=True), slow),
    ]


def _task(
    name: str, data: tuple[NDArray[np.float64], NDArray[np.int64]], params: dict[str, object]
) -> Task:
    X, y = data
    features = [f"x{place}" for place in range(X.shape[1])]
    table: dict[str, Any] = {each: X[:, place].tolist() for place, each in enumerate(features)}
    request: dict[str, object] = {
        "name": name,
        "data": table | {"y": y.tolist()},
        "target": "y",
        "params": params,
        "evaluation": {"test_size": 0},
    }
    return Task(name, request, [_query(features, row) for row in X[::29].tolist()])


def _query(features: list[str], row: list[float]) -> str:
    return "&".join(f"{name}={value!r}" for name, value in zip(features, row, strict=True))
