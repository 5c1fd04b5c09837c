"""Train logistic regressions over HTTP, and get predictions with a GET."""

__version__ = "0.1.0"

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

__all__ = ["__version__", "load"]


def load(path: str | PathLike[str]) -> "LogisticRegression | Pipeline":
    """Read a model's artifact file as a fitted scikit-learn estimator.

    Parameters
    ----------
    path : str or path-like
        A file that holds a model's stored form.

    Returns
    -------
    LogisticRegression or Pipeline
        A pipeline where the model prepares its rows: missing values filled, text
        encoded, numbers scaled. It takes arrays of objects, None where a value is
        missing, in the order of the model's features.

    Raises
    ------
    BrokenModel
        If the file is not a stored model.
    """
    # Here, so that reading the version does not import scikit-learn.
    from mlservice import model, scoring

    return scoring.pipeline(model.decode(Path(path).read_bytes()))
