"""scikit-learn's fit of a dataset: what it must not be given, and its warnings in words."""

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from mlservice.dataset import Dataset
from mlservice.errors import NumericalFailure
from mlservice.parent import start
from mlservice.schemas import FitWarning, Label, label_name
from mlservice.scoring import estimator
from workers.lean import numpy_only
from workers.progress import Tell, follow, nobody
from workers.solvers import fit_automatically

# Beyond, squares overflow: sag and saga then take no step and do not say so.
_LARGEST = 1e150


def fit(dataset: Dataset, tell: Tell = nobody) -> tuple[LogisticRegression, list[FitWarning]]:
    """Fit scikit-learn's estimator, and put its warnings into words.

    Returns
    -------
    estimator : LogisticRegression
        Fitted on the positions of the classes, which sort as the classes do.
    warnings : list of FitWarning
        What the fit had to say.

    Raises
    ------
    NumericalFailure
        If the numbers are too large for the solver's arithmetic, a coefficient
        is not finite, or lbfgs gave up without a step.
    """
    if dataset.is_automatic and dataset.params["solver"] == "lbfgs":
        return fit_automatically(replace(dataset, is_automatic=False), partial(fit, tell=tell))
    # NaN cannot be there; a copy of X to take its absolute would double the memory.
    if max(dataset.X.max(), -dataset.X.min()) > _LARGEST:
        raise NumericalFailure(_NOT_FINITE)
    unfitted = estimator(dataset.params, codes(dataset))
    if dataset.parent:
        unfitted.warm_start = True
        unfitted.coef_, unfitted.intercept_ = start(dataset.parent, dataset.preparation)
    follow(unfitted, tell, dataset.X.size * len(dataset.classes), partial(_loss, dataset))
    try:
        with numpy_only(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = unfitted.fit(dataset.X, dataset.y, sample_weight=dataset.sample_weight)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise NumericalFailure(_NOT_FINITE + f" scikit-learn says: {str(error)[:300]}") from error
    finite = np.isfinite(fitted.coef_).all() and np.isfinite(fitted.intercept_).all()
    if _gave_up(caught) or not finite:
        raise NumericalFailure(_NOT_FINITE)
    return fitted, _in_words(caught, fitted)


def codes(dataset: Dataset) -> dict[str, Label]:
    """Return how an estimator knows each class, by the label as JSON writes it."""
    return {label_name(label): code for code, label in enumerate(dataset.classes)}


def _loss(dataset: Dataset, fitted: LogisticRegression) -> float:
    """Return the mean log loss of the rows that are fitted on."""
    with warnings.catch_warnings():
        # What is odd about the numbers, the fit itself has to say.
        warnings.simplefilter("ignore")
        P = fitted.predict_proba(dataset.X)
        return float(log_loss(dataset.y, P, sample_weight=dataset.sample_weight))


def _gave_up(caught: list[warnings.WarningMessage]) -> bool:
    """Tell whether lbfgs stopped without a step, or numpy met an overflow."""
    said = [str(each.message) for each in caught]
    return any("ABNORMAL" in text or " encountered in " in text for text in said)


_NOT_FINITE = (
    "The coefficients must be finite, the solver found none; "
    "bring the columns to similar scales and train again."
)


def _in_words(
    caught: list[warnings.WarningMessage], fitted: LogisticRegression
) -> list[FitWarning]:
    told = [_told(each, fitted) for each in caught]
    # sag and saga do not warn of no iteration at all.
    if fitted.max_iter == 0:
        told.append(_not_converged(fitted))
    return list(dict.fromkeys(told))


def _told(caught: warnings.WarningMessage, fitted: LogisticRegression) -> FitWarning:
    if issubclass(caught.category, ConvergenceWarning):
        return _not_converged(fitted)
    return FitWarning(code="solver", detail=str(caught.message)[:300])


def has_converged(told: list[FitWarning]) -> bool:
    """Tell whether a fit did not say otherwise."""
    return not any(each.code == "not-converged" for each in told)


def _not_converged(fitted: LogisticRegression) -> FitWarning:
    return FitWarning(
        code="not-converged",
        detail=f"The solver {fitted.solver} stopped after {max(fitted.n_iter_)} iterations "
        "without converging; raise max_iter, or bring the columns to similar scales.",
    )
