"""Standard errors and likelihoods of unpenalised fits, from the observed information.

With more than two classes the softmax has one set of coefficients too many:
those of the first class are taken as zero, and each estimate is the difference
of a class's coefficient to the first class's. With two classes this is the
model's own coefficient.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.special import log_softmax, ndtr
from sklearn.linear_model import LogisticRegression

from mlservice.dataset import Dataset
from mlservice.inference import Estimate, Inference, Likelihood
from mlservice.schemas import FitWarning, label_name
from workers.information import ROWS_AT_ONCE, largest, precision_of
from workers.separation import is_separated

Matrix = NDArray[np.float64]
MOST_PARAMETERS = 2_000
MOST_DENSE = 10_000_000
_Z95 = 1.959963984540054
_RANK = 1e-10
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Design:
    """What an unpenalised estimator was fitted on.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_columns)
        The constant column first, where there is one: `intercept`, or `(intercept)`
        beside a feature of that name.
    y : ndarray of shape (n_samples,)
        Position of each row's class.
    columns : list of str
        Names of the columns of `X`.
    names : list of str
        Names of the classes.
    beta : ndarray of shape (n_classes, n_columns)
        Coefficients, those of the first class zero.
    """

    X: Matrix
    y: NDArray[np.intp]
    columns: list[str]
    names: list[str]
    beta: Matrix

    @classmethod
    def of(cls, dataset: Dataset, fitted: LogisticRegression) -> "Design":
        """Return what an estimator was fitted on, in the units of the input; rows that count."""
        means, scales = dataset.preparation.scales
        rows = _that_count(dataset)
        X, y = dataset.X[rows], dataset.y[rows]
        X = X if isinstance(X, np.ndarray) else X.toarray()
        columns = dataset.preparation.names
        beta, intercept = dataset.preparation.in_units_of_input(fitted.coef_, fitted.intercept_)
        if not dataset.preparation.is_identity:
            X = X * scales + means
        if fitted.fit_intercept:
            X = np.column_stack([np.ones(len(X)), X])
            columns = [_constant_name(columns), *columns]
            beta = np.column_stack([intercept, beta])
        if len(dataset.classes) == 2:
            beta = np.vstack([np.zeros_like(beta), beta])
        names = [label_name(label) for label in dataset.classes]
        return cls(X=X, y=y, columns=columns, names=names, beta=beta - beta[0])


def _that_count(dataset: Dataset) -> NDArray[np.intp] | slice:
    """Return the rows that have a weight."""
    weight, by_class = dataset.sample_weight, dataset.params["class_weight"]
    counts = np.ones(len(dataset.y), bool) if weight is None else weight > 0
    if isinstance(by_class, dict):
        has_weight = [by_class.get(label_name(label), 1.0) > 0 for label in dataset.classes]
        counts &= np.array(has_weight)[dataset.y]
    return slice(None) if counts.all() else np.flatnonzero(counts)


def _constant_name(columns: Collection[str]) -> str:
    name = "intercept"
    while name in columns:
        name = f"({name})"
    return name


def infer(
    dataset: Dataset, fitted: LogisticRegression, *, converged: bool
) -> tuple[Inference | None, list[FitWarning]]:
    """Say how sure the coefficients of a fit are, where no penalty moves them.

    Parameters
    ----------
    dataset : Dataset
        What was fitted on.
    fitted : LogisticRegression
        Where the fit stopped.
    converged : bool
        Whether that is the optimum.

    Returns
    -------
    inference : Inference or None
        None where it cannot be said, or the fit has a penalty.
    warnings : list of FitWarning
        Why it cannot be said; of a fit that has not converged, why it never will.
    """
    if dataset.params["C"] is not None:
        return None, []
    if detail := _unfit(dataset):
        return None, _left_out(detail) if converged else []
    design = Design.of(dataset, fitted)
    told = no_optimum(design)
    if told or not converged:
        return None, told
    if weighing := _weighing(dataset):
        return None, _left_out(f"{weighing} changes what a row counts")
    return estimate(design)


def _left_out(detail: str) -> list[FitWarning]:
    return [FitWarning(code="no-inference", detail=f"Inference is left out: {detail}.")]


def _weighing(dataset: Dataset) -> str | None:
    """Return what weighs rows, or None."""
    if dataset.params["class_weight"] is not None:
        return "class_weight"
    return None if dataset.sample_weight is None else "sample_weight"


def _unfit(dataset: Dataset) -> str | None:
    """Return why a fit's coefficients are not looked at, or None."""
    rows, columns = dataset.X.shape
    if dataset.params["fit_intercept"] is False and dataset.preparation.scales[0].any():
        return "standardised columns have a mean, and there is no intercept"
    if (len(dataset.classes) - 1) * (columns + 1) > MOST_PARAMETERS:
        return f"it is given for at most {MOST_PARAMETERS} parameters"
    if rows * columns > MOST_DENSE and not isinstance(dataset.X, np.ndarray):
        return f"it is given for at most {MOST_DENSE} cells of one-hot columns"
    return None


def no_optimum(design: Design) -> list[FitWarning]:
    """Return why no coefficients are the best ones, nothing where some are."""
    if dependent := _dependent(design):
        return [_rank_warning(dependent)]
    return [_SEPARATED] if is_separated(design.X, design.y, design.beta) else []


def estimate(design: Design) -> tuple[Inference | None, list[FitWarning]]:
    """Say how sure the coefficients of an unpenalised, unweighted fit are.

    Parameters
    ----------
    design : Design
        What was fitted on, and the coefficients, which should be at the optimum.

    Returns
    -------
    inference : Inference or None
        None where the information has no inverse, or the optimum is elsewhere.
    warnings : list of FitWarning
        Why not.
    """
    log_P = log_softmax(design.X @ design.beta.T, axis=1)
    precision = precision_of(design.X, design.y, np.exp(log_P))
    if precision is None:
        return None, [_SEPARATED]
    if precision.distance > _FAR:
        detail = _ELSEWHERE.format(precision.distance)
        return None, [FitWarning(code="not-at-optimum", detail=detail)]
    estimates = _estimates(design, precision.errors)
    return Inference(estimates=estimates, likelihood=_likelihood(design, log_P)), []


_SEPARATED = FitWarning(
    code="separation",
    detail="Columns separate the classes, in all rows or in some, so that no finite coefficients "
    "are best: those of the model grow with max_iter, and inference is left out. Take a penalty "
    "(a C), or leave out the columns that tell the class.",
)


# What lbfgs leaves open of statsmodels' own tables is up to 0.02.
_FAR = 0.1
_ELSEWHERE = (
    "The solver says that it converged, and stopped {0:.2g} standard errors from the best "
    "coefficients, so that inference is left out; take the solver newton-cholesky or auto, "
    "a smaller tol, or preprocessing.scale standard."
)


def _rank_warning(dependent: list[str]) -> FitWarning:
    named = ", ".join(map(repr, dependent[:_MOST_NAMED]))
    more = f" and {len(dependent) - _MOST_NAMED} more" if len(dependent) > _MOST_NAMED else ""
    return FitWarning(
        code="rank-deficient",
        detail=f"Columns are constant or follow from others: {named}{more}. Without a penalty "
        "their coefficients are arbitrary, and inference is left out; leave these columns out, or "
        "of a text's one column: preprocessing.encode reference does.",
    )


def _dependent(design: Design) -> list[str]:
    """Return columns that are combinations of others."""
    if len(design.X) < len(design.columns):
        return design.columns[len(design.X) :]
    triangle = _triangle(design.X, largest(design.X))
    norms = np.linalg.norm(triangle, axis=0)
    R, order = qr(triangle / np.where(norms > 0, norms, 1), mode="r", pivoting=True)
    small = np.abs(R.diagonal()) < _RANK * max(abs(R[0, 0]), 1)
    return [design.columns[position] for position in order[small]]


def _triangle(X: Matrix, units: Matrix) -> Matrix:
    """Return R of the QR decomposition of the scaled columns, without a copy of them all."""
    found = np.empty((0, X.shape[1]))
    for start in range(0, len(X), ROWS_AT_ONCE):
        stacked = np.vstack([found, X[start : start + ROWS_AT_ONCE] / units])
        found = np.asarray(np.linalg.qr(stacked, mode="r"))
    return found


def _estimates(design: Design, errors: Matrix) -> dict[str, dict[str, Estimate]]:
    by_class = errors.tolist()
    return {
        name: {
            column: _estimate(*each)
            for column, *each in zip(design.columns, beta, errors_of, strict=True)
        }
        for name, beta, errors_of in zip(
            design.names[1:], design.beta[1:].tolist(), by_class, strict=True
        )
    }


def _estimate(estimate: float, std_error: float) -> Estimate:
    z = estimate / std_error
    return Estimate(
        estimate=estimate,
        std_error=std_error,
        z=z,
        p_value=2 * float(ndtr(-abs(z))),
        ci_low=estimate - _Z95 * std_error,
        ci_high=estimate + _Z95 * std_error,
        odds_ratio=math.exp(estimate) if estimate < 709 else None,
    )


def _likelihood(design: Design, log_P: Matrix) -> Likelihood:
    n = len(design.y)
    counts = np.bincount(design.y)
    best = float(log_P[np.arange(n), design.y].sum())
    null = float(counts @ np.log(counts / n))
    parameters = design.beta[1:].size
    return Likelihood(
        log_likelihood=best,
        deviance=-2 * best,
        null_deviance=-2 * null,
        aic=2 * parameters - 2 * best,
        bic=parameters * math.log(n) - 2 * best,
        pseudo_r2=1 - best / null,
        parameters=parameters,
    )
