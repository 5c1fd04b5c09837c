"""What scikit-learn itself makes of a training's body, offline."""

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

TOLERANCE = 1e-12
# A request of these members alone is a plain fit of all rows.
_PLAIN = {"data", "target", "name", "params", "evaluation"}
_PARAMS = {"C", "solver", "max_iter", "tol", "random_state"}


@dataclass(frozen=True)
class Oracle:
    """A fit of the same rows, beside the service.

    Attributes
    ----------
    features : list of str
        Names of the columns, in the estimator's order.
    rows : ndarray of shape (n_samples, n_features)
        What it was fitted on.
    """

    features: list[str]
    rows: NDArray[np.float64]
    fitted: LogisticRegression

    def differs(self, rows: NDArray[np.float64], probabilities: Sequence[Any]) -> bool:
        """Tell whether probabilities of rows are others than the estimator's."""
        expected = self.fitted.predict_proba(rows)
        told = np.asarray(probabilities, dtype=np.float64)
        return told.shape != expected.shape or bool(np.abs(told - expected).max() > TOLERANCE)

    def read(self, query: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return the one row that a query has."""
        values = dict(query)
        return np.array([[float(values[name]) for name in self.features]])


@functools.lru_cache(maxsize=64)
def oracle(body: bytes) -> Oracle | None:
    """Fit what a JSON body asks for; None if it asks for more than a plain fit of numbers."""
    try:
        request = msgspec.json.decode(body)
        columns, params = dict(request["data"]), dict(request.get("params") or {})
        y = np.array(columns.pop(request["target"]))
        X = np.array(list(columns.values()), dtype=np.float64).T.copy()
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None
    if request.keys() - _PLAIN or params.keys() - _PARAMS or np.isnan(X).any():
        return None
    if not (request.get("evaluation") or {}).get("refit", True):
        return None
    estimator = LogisticRegression(**{"random_state": 0} | params)
    with (
        threadpool_limits(1),
        warnings.catch_warnings(action="ignore", category=ConvergenceWarning),
    ):
        return Oracle(list(columns), X, estimator.fit(X, y))
