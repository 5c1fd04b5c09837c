"""Whether columns tell classes apart so that, without a penalty, no finite coefficients are best.

Then there is a direction of the coefficients along which no row comes nearer to a class that it
has not, and some row goes away from one. To find it is a linear programme with a constraint for
each row and other class; those that its answer breaks are put into it until it breaks none.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

from workers.information import largest

Matrix = NDArray[np.float64]
Places = NDArray[np.intp]
# A linear programme of this many numbers takes about a second; where more are needed, only the
# separation of all rows is noticed.
MOST_NUMBERS = 1_000_000
_AT_A_TIME = 1_000
_ROUNDS = 50
_LONGEST_S = 10.0
# The solver keeps its constraints to 1e-7.
_BROKEN, _GROWS = -2e-7, 1e-6


def is_separated(X: Matrix, y: NDArray[np.intp], beta: Matrix) -> bool:
    """Tell whether a direction exists along which the likelihood only grows.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_columns)
        Of full rank, with the constant column if there is one.
    y : ndarray of shape (n_samples,)
        Position of each row's class.
    beta : ndarray of shape (n_classes, n_columns)
        Where the fit stopped; the rows that it tells least are looked at first.

    References
    ----------
    K. Konis, "Linear programming algorithms for detecting separated data in
    binary logistic regression models", Oxford, 2007.
    """
    rows = _Rows(X, y, len(beta))
    margins = rows.margins(beta)
    if (margins > 0).all():
        return True
    chosen = _least(margins)
    for _ in range(_ROUNDS):
        if len(chosen) * rows.unknowns > MOST_NUMBERS:
            break
        direction = rows.direction(chosen)
        if direction is None:
            break
        margins = rows.margins(direction)
        if margins.min() >= _BROKEN:
            return bool(margins[np.isfinite(margins)].max() > _GROWS)
        chosen = np.union1d(chosen, _least(np.where(margins < _BROKEN, margins, np.inf)))
    return False


def _least(margins: Matrix) -> Places:
    """Return the places of the least margins, at most a thousand that are finite."""
    flat = margins.ravel()
    some = np.arange(flat.size)
    if flat.size > _AT_A_TIME:
        some = np.argpartition(flat, _AT_A_TIME)[:_AT_A_TIME]
    return np.sort(some[np.isfinite(flat[some])])


class _Rows:
    """Rows, their columns scaled to 1, and what a direction does to each."""

    def __init__(self, X: Matrix, y: NDArray[np.intp], n_classes: int) -> None:
        self._X, self._y, self._k = X, y, n_classes
        self._largest = largest(X)
        self.unknowns = (n_classes - 1) * X.shape[1]
        self._gain = self._gain_of()

    def margins(self, beta: Matrix) -> Matrix:
        """Return how far each row is on its class's side of each other; of its own, infinity."""
        rows = np.arange(len(self._y))
        scores: Matrix = self._X @ beta.T
        np.subtract(scores[rows, self._y][:, np.newaxis], scores, out=scores)
        scores[rows, self._y] = np.inf
        return scores

    def direction(self, chosen: Places) -> Matrix | None:
        """Return what moves all rows away from other classes most, those chosen never nearer.

        None if nothing moves them, or that was not found in time.
        """
        found = linprog(
            -self._gain[1:].ravel(),
            A_ub=-self._constraints(chosen),
            b_ub=np.zeros(len(chosen)),
            bounds=(-1, 1),
            options={"time_limit": _LONGEST_S},
        )
        if found.status != 0 or -found.fun <= _GROWS:
            return None
        direction = found.x.reshape(self._k - 1, -1) / self._largest
        return np.vstack([np.zeros_like(self._largest), direction])

    def _gain_of(self) -> Matrix:
        """Return what each scaled coefficient adds to the sum of all margins."""
        n, k = len(self._y), self._k
        of_class = csr_array((np.ones(n), (self._y, np.arange(n))), shape=(k, n))
        sums = (of_class @ self._X) / self._largest
        gain: Matrix = k * sums - sums.sum(axis=0)
        return gain

    def _constraints(self, chosen: Places) -> Matrix:
        row, other = np.divmod(chosen, self._k)
        x = self._X[row] / self._largest
        each = np.arange(len(chosen))
        found = np.zeros((len(chosen), self._k, x.shape[1]))
        found[each, self._y[row]] = x
        found[each, other] = -x
        # The first class's coefficients stay where they are.
        return found[:, 1:].reshape(len(chosen), -1)
