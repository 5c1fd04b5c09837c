"""Train logistic regressions over HTTP, and get predictions with a GET."""

__version__ = "0.1.0"

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

__all__ = ["__version__", "load"]


def load(path: str | PathLike[str]) -> "LogisticRegression":
    """Read a model's artifact file as a fitted scikit-learn estimator.

    Parameters
    ----------
    path : str or path-like
        A file that holds a model's stored form.

    Returns
    -------
    LogisticRegression
        Its `coef_` has one column for each feature, in the model's order.

    Raises
    ------
    BrokenModel
        If the file is not a stored model.
    """
    # Here, so that reading the version does not import scikit-learn.
    from mlservice import model, scoring

    return scoring.reconstruct(model.decode(Path(path).read_bytes()))
