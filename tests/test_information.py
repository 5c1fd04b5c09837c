"""How sure coefficients are is the same however long the table is."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from workers.information import ROWS_AT_ONCE, precision_of

Matrix = NDArray[np.float64]


def softmax_of(rows: int, *, classes: int) -> tuple[Matrix, NDArray[np.intp], Matrix]:
    """Return a constant and two columns, a class of each row, and what a softmax says of it."""
    random = np.random.default_rng(rows)
    X = np.column_stack([np.ones(rows), random.normal(size=(rows, 2))])
    beta = np.vstack([np.zeros(3), random.normal(size=(classes - 1, 3))])
    P = softmax(X @ beta.T, axis=1)
    return X, (P.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1), P


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("rows", [ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 1])
def test_standard_errors_and_distance_are_those_of_all_rows_at_once(
    rows: int, classes: int
) -> None:
    """Each row's share of Hessian and gradient counts once, wherever it stands."""
    X, y, P = softmax_of(rows, classes=classes)
    weights = np.einsum("ij,jk->ijk", P, np.eye(classes)) - np.einsum("ij,ik->ijk", P, P)
    hessian = np.einsum("ijk,ia,ib->jakb", weights[:, 1:, 1:], X, X, optimize=True)
    inverse = np.linalg.inv(hessian.reshape(3 * (classes - 1), -1))
    gradient = np.einsum("ij,ia->ja", (np.eye(classes)[y] - P)[:, 1:], X).ravel()

    found = precision_of(X, y, P)

    assert found
    errors = np.sqrt(inverse.diagonal())
    assert found.errors.ravel() == pytest.approx(errors, rel=1e-9)
    assert found.distance == pytest.approx(np.abs(inverse @ gradient / errors).max(), rel=1e-9)


def test_a_long_table_is_not_copied() -> None:
    """A matrix that fits into a training's memory once fits no second and third time."""
    X, y, P = softmax_of(16 * ROWS_AT_ONCE, classes=2)

    tracemalloc.start()
    try:
        precision_of(X, y, P)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < X.nbytes / 2
