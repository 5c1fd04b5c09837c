"""Where columns tell the classes apart, that is found in tables of any length."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from workers.separation import MOST_NUMBERS, is_separated

Matrix = NDArray[np.float64]


def overlapping(
    rows: int, *, classes: int = 2, columns: int = 3
) -> tuple[Matrix, NDArray[np.intp]]:
    """Return a constant, some columns and classes that overlap along each of them."""
    random = np.random.default_rng(rows)
    X = np.column_stack([np.ones(rows), random.normal(size=(rows, columns - 1))])
    scores = X @ random.normal(size=(columns, classes))
    return X, (scores + random.gumbel(size=scores.shape)).argmax(axis=1)


def nowhere(X: Matrix, classes: int = 2) -> Matrix:
    """Return coefficients that know nothing."""
    return np.zeros((classes, X.shape[1]))


def oracle(X: Matrix, y: NDArray[np.intp], classes: int) -> bool:
    """Look for a direction with every row's constraint in one programme."""
    gains = []
    for one, other in combinations(range(classes), 2):
        for mine, theirs in ((one, other), (other, one)):
            block = np.zeros((int((y == mine).sum()), classes, X.shape[1]))
            block[:, mine], block[:, theirs] = X[y == mine], -X[y == mine]
            gains.append(block.reshape(len(block), -1))
    A = np.vstack(gains)
    found = linprog(-A.sum(axis=0), A_ub=-A, b_ub=np.zeros(len(A)), bounds=(-1, 1))
    return bool(-found.fun > 1e-6)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_small_tables_are_separated_when_one_programme_says_so(classes: int) -> None:
    """Rows that are few for their columns are separated about every second time."""
    found = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        X = np.column_stack([np.ones(12), random.normal(size=(12, 3))])
        y = np.append(np.arange(classes), random.integers(0, classes, 12 - classes))
        found.append(is_separated(X, y, nowhere(X, classes)))
        assert found[-1] == oracle(X, y, classes)
    assert {*found} == {True, False}


@pytest.mark.parametrize("classes", [2, 3])
def test_long_table_that_overlaps_is_not_called_separated(classes: int) -> None:
    """The checks below fail for tables that are well."""
    X, y = overlapping(MOST_NUMBERS // 4, classes=classes)

    assert not is_separated(X, y, nowhere(X, classes))


@pytest.mark.parametrize("classes", [2, 3])
def test_few_rows_of_a_long_table_that_are_separated_are_noticed(classes: int) -> None:
    """A column that only rows of one class have takes its coefficient with it."""
    X, y = overlapping(MOST_NUMBERS // 4, classes=classes)
    rare = np.zeros(len(y))
    rare[np.flatnonzero(y == classes - 1)[:3]] = 1

    wide = np.column_stack([X, rare])

    assert is_separated(wide, y, nowhere(wide, classes))


def test_long_table_that_is_separated_in_all_rows_is_noticed() -> None:
    """Whether the fit tells all rows, or knows nothing of them."""
    X = np.random.default_rng(0).normal(size=(MOST_NUMBERS + 1, 1))
    y = (X[:, 0] > 0).astype(np.intp)

    assert is_separated(X, y, np.array([[0.0], [1.0]]))
    assert is_separated(X, y, nowhere(X))


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1e100])
def test_units_of_a_column_change_nothing(scale: float) -> None:
    """Columns are looked at in a scale of their own."""
    X, y = overlapping(5_000)
    rare = np.zeros(len(y))
    rare[np.flatnonzero(y == 1)[:3]] = scale

    wide = np.column_stack([X, rare])

    assert is_separated(wide, y, nowhere(wide))
    assert not is_separated(X * scale, y, nowhere(X))


def test_more_than_a_programme_holds_is_not_called_separated() -> None:
    """What cannot be found out in time is left to the numbers themselves."""
    X, y = overlapping(3_000, columns=1_500)

    assert not is_separated(X, y, nowhere(X))
