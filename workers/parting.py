"""Fits on some rows of a dataset, which predict its others; one may be made in another process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mlservice.dataset import Dataset
from mlservice.intake import check
from mlservice.preparation import Preparation, Rows
from mlservice.profile import Profile
from mlservice.scoring import estimator
from mlservice.sent import unwrap
from mlservice.settings import Settings
from workers.evaluation import Predictor
from workers.fitting import codes, fit

# Returns what `fit_part` does, from another process, or None.
Elsewhere = Callable[[], dict[str, Any] | None]


def nowhere() -> None:
    """Return nothing: no other process fits."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """An estimator, how its rows are prepared, what they were like, and the digest of all."""

    preparation: Preparation
    estimator: LogisticRegression
    profile: Profile | None = None
    digest: str = ""


def fit_rows(dataset: Dataset, rows: NDArray[np.intp]) -> Predictor:
    """Fit on some rows of a dataset, and return what predicts others of it."""
    taken = dataset.take(rows)
    fitted = Fitted(preparation=taken.preparation, estimator=fit(taken)[0])
    return predictor(dataset, fitted)


def fit_part(stored: bytes | bytearray, limits: Settings) -> dict[str, Any] | None:
    """Fit on the rows of a request that are not held out.

    Parameters
    ----------
    stored, limits
        As for `train`.

    Returns
    -------
    dict or None
        `coef`, `intercept` and `solver`; None where `train` makes no such fit, or
        with parameters that are not known yet.
    """
    _, dataset = check(unwrap(stored), limits)
    part = dataset.splits.hold_out()
    if part is None or dataset.search or not dataset.splits.evaluation.refit:
        return None
    fitted, _ = fit(dataset.take(part[0]))
    return {
        "coef": fitted.coef_.tolist(),
        "intercept": np.ravel(fitted.intercept_).tolist(),
        "solver": fitted.solver,
    }


def fitted_part(dataset: Dataset, rows: NDArray[np.intp], elsewhere: Elsewhere) -> Predictor:
    """Return what `fit_rows` does, to the last bit, by a fit that was made elsewhere if it was."""
    found = elsewhere()
    if found is None:
        return fit_rows(dataset, rows)
    known = estimator(dataset.params | {"solver": found["solver"]}, codes(dataset))
    known.classes_ = np.arange(len(dataset.classes))
    known.coef_, known.intercept_ = np.array(found["coef"]), np.array(found["intercept"])
    known.n_features_in_ = known.coef_.shape[1]
    return predictor(dataset, Fitted(preparation=dataset.take(rows).preparation, estimator=known))


def predictor(dataset: Dataset, fitted: Fitted) -> Predictor:
    """Return what predicts rows of a dataset by what was fitted on it, or on others of it."""

    def predict(rows: Rows) -> NDArray[np.float64]:
        X = dataset.prepared(fitted.preparation, rows)
        probabilities: NDArray[np.float64] = fitted.estimator.predict_proba(X)
        return probabilities

    return predict
