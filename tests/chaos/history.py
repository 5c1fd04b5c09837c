"""What was acknowledged, and the checker: what must be true when all is well again."""

import warnings
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from redis import Redis
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

# Ends that a training may come to because of what was done to it.
EXCUSED = {"worker-lost", "trainer-killed", "training-timeout"}
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Task:
    """A training, and the estimator that it must be equal to."""

    name: str
    request: dict[str, object]
    features: list[str]
    rows: NDArray[np.float64]
    probabilities: NDArray[np.float64]


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
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        fitted = LogisticRegression(**params).fit(X, y)
    features = [f"x{place}" for place in range(X.shape[1])]
    table = {feature: X[:, place].tolist() for place, feature in enumerate(features)}
    request: dict[str, object] = {
        "data": table | {"y": y.tolist()},
        "target": "y",
        "params": params,
        "evaluation": {"test_size": 0},
    }
    rows = X[::29]
    return Task(name, request, features, rows, fitted.predict_proba(rows))


@dataclass
class History:
    """Every answer that promised something, and every wrong one."""

    accepted: dict[str, Task] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    cancelling: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    predictions: int = 0

    def accept(self, key: str, model_id: str, task: Task) -> None:
        """Note a 202; one key must never name two models."""
        if self.keys.setdefault(key, model_id) != model_id:
            self.wrong.append(f"key {key} made {self.keys[key]} and {model_id}")
        self.accepted[model_id] = task

    def compare(self, model_id: str, row: int, probabilities: dict[str, float]) -> None:
        """Note a prediction, and whether it is scikit-learn's."""
        self.predictions += 1
        expected = self.accepted[model_id].probabilities[row]
        if np.abs(np.array(list(probabilities.values())) - expected).max() > TOLERANCE:
            self.wrong.append(f"model {model_id} predicts {probabilities}, not {expected}")

    def judge(self, model_id: str, state: str, problem: str) -> None:
        """Note what is wrong with a model's end, or that it is lost."""
        if state == "gone" and model_id not in self.deleting | self.deleted:
            self.lost.append(f"{model_id} is gone")
        elif wrong := self._misfit(model_id, state, problem):
            self.wrong.append(wrong)

    def _misfit(self, model_id: str, state: str, problem: str) -> str:
        if model_id in self.deleted:
            return "" if state == "gone" else f"{model_id} was deleted and is {state}"
        if state == "gone":
            return ""
        if model_id in self.cancelled:
            return "" if state == "cancelled" else f"{model_id} was cancelled and is {state}"
        if state == "cancelled":
            return "" if model_id in self.cancelling else f"{model_id} was cancelled by nobody"
        if state == "failed":
            return "" if problem in EXCUSED else f"{model_id} failed: {problem}"
        return "" if state == "ready" else f"{model_id} is {state}"


def leftovers(store: "Redis") -> list[str]:
    """Return what stands in the store although no training is open and no upload under way."""
    sets = ("mls:open", "mls:leases", "mls:deadlines", "arq:queue")
    found = [f"{name} has {store.zcard(name)} members" for name in sets if store.zcard(name)]
    for pattern in ("arq:job:*", "arq:in-progress:*", "arq:retry:*", "mls:staged:*", "mls:data:*"):
        # What expires by itself was begun by a process that was killed.
        found += [
            f"{key.decode()} stays" for key in store.scan_iter(pattern) if store.ttl(key) == -1
        ]
    return found
