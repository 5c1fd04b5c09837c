"""The observed information of a softmax: how sure coefficients are, and how far from the best."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
# Of a long table, so that what is made of them takes little memory.
ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Precision:
    """How sure coefficients are.

    Attributes
    ----------
    errors : ndarray of shape (n_classes - 1, n_columns)
        Standard errors: the root of the diagonal of the information's inverse.
    distance : float
        How far the best coefficients are, by a step of Newton's method: most standard
        errors of any.
    """

    errors: Matrix
    distance: float


def precision_of(X: Matrix, y: NDArray[np.intp], P: Matrix) -> Precision | None:
    """Return how sure unpenalised coefficients are, None where the information has no inverse.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_columns)
        With the constant column if there is one.
    y : ndarray of shape (n_samples,)
        Position of each row's class.
    P : ndarray of shape (n_samples, n_classes)
        What the coefficients say of each row; those of the first class are zero.
    """
    units = largest(X)
    information, gradient = _sums(X, y, P, units)
    scale = np.sqrt(information.diagonal())
    if not (scale > 0).all():
        return None
    try:
        inverse = np.linalg.inv(information / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        return None
    if not (inverse.diagonal() > 0).all():
        return None
    roots = np.sqrt(inverse.diagonal())
    steps = inverse @ (gradient / scale) / roots
    errors = (roots / scale).reshape(-1, X.shape[1]) / units
    return Precision(errors, float(np.abs(steps).max()))


def _sums(X: Matrix, y: NDArray[np.intp], P: Matrix, units: Matrix) -> tuple[Matrix, Matrix]:
    """Return information and gradient of the scaled columns, without a copy of them all."""
    k, d = P.shape[1], X.shape[1]
    information = np.zeros((k - 1, d, k - 1, d))
    gradient = np.zeros((k - 1, d))
    for start in range(0, len(X), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        x, p = X[rows] / units, P[rows]
        gradient += ((y[rows, np.newaxis] == np.arange(1, k)) - p[:, 1:]).T @ x
        for one in range(1, k):
            for other in range(1, one + 1):
                weight = p[:, one] * ((one == other) - p[:, other])
                information[one - 1, :, other - 1] += x.T @ (x * weight[:, np.newaxis])
    for one in range(1, k):
        for other in range(1, one):
            information[other - 1, :, one - 1] = information[one - 1, :, other - 1].T
    return information.reshape((k - 1) * d, -1), gradient.ravel()


def largest(X: Matrix) -> Matrix:
    """Return each column's largest magnitude; squares of columns divided by it are in range."""
    found: Matrix = np.maximum(X.max(axis=0), -X.min(axis=0))
    return np.where(found > 0, found, 1.0)
