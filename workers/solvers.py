"""The solver that `auto` ends with: lbfgs for as long as it is fast, then a second-order one.

lbfgs is the fastest on columns of similar scales, and hardly moves on others;
what it has not reached after 100 iterations, Newton's method reaches in about ten.
"""

from collections.abc import Callable
from dataclasses import replace

from sklearn.linear_model import LogisticRegression

from mlservice.dataset import Dataset
from mlservice.params import is_newton_affordable
from mlservice.schemas import FitWarning

FIRST_ITERATIONS = 100
Fit = Callable[[Dataset], tuple[LogisticRegression, list[FitWarning]]]


def fit_automatically(dataset: Dataset, fit: Fit) -> tuple[LogisticRegression, list[FitWarning]]:
    """Fit with lbfgs, and again with another solver where it has not converged.

    Parameters
    ----------
    dataset : Dataset
        Its parameters name lbfgs, which `params.resolve` picked.
    fit : callable
        Fits a dataset as its parameters say.
    """
    first = min(FIRST_ITERATIONS, dataset.params["max_iter"])
    fitted, told = fit(_with(dataset, max_iter=first))
    if all(each.code != "not-converged" for each in told):
        return fitted, told
    rows, columns = dataset.X.shape
    affordable = is_newton_affordable(rows, columns, len(dataset.classes))
    solver = "newton-cholesky" if affordable else "newton-cg"
    return fit(_with(dataset, solver=solver))


def _with(dataset: Dataset, **params: object) -> Dataset:
    return replace(dataset, params=dataset.params | params)
