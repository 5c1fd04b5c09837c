"""What each row counts: a column of weights, checked."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import Fault, InvalidTable
from mlservice.schemas import Label

# Sums of rows' weights, and their squares, stay within float64.
_LARGEST = 1e100
_NUMBERS = {int, float, bool}


def check_column(name: str | None, columns: Collection[str], used: Collection[str]) -> None:
    """Refuse a column of weights that is absent or serves something else.

    Raises
    ------
    InvalidTable
        If it is no column, is the target, or parts the rows.
    """
    if name is None:
        return
    if name not in columns:
        raise _invalid(f"sample_weight must be a column of the table, {name!r} is none.")
    if name in used:
        raise _invalid(f"sample_weight must be a column of its own, {name!r} is used already.")


def read(
    cells: Sequence[Any], y: NDArray[np.intp], classes: tuple[Label, ...]
) -> NDArray[np.float64]:
    """Return a weight for each row.

    Parameters
    ----------
    cells : sequence of float, int or bool
        The column of weights.
    y : ndarray of shape (n_samples,)
        Position of each sample's class.
    classes : tuple of str, int or bool
        The target's values.

    Raises
    ------
    InvalidTable
        If a weight is no number from 0 to 1e100, or a class has none above 0.
    """
    for row, cell in enumerate(cells):
        if type(cell) not in _NUMBERS or not (0 <= cell <= _LARGEST) or math.isnan(cell):
            raise _invalid(
                f"A weight must be a number from 0 to {_LARGEST:g}, that of row {row} is not."
            )
    weight = np.asarray(cells, np.float64)
    sums = np.bincount(y, weight, minlength=len(classes))
    if not sums.all():
        label = repr(classes[int(sums.argmin())])[:100]
        raise _invalid(f"Each class must have a row with a weight above 0, {label} has none.")
    return weight


def _invalid(detail: str) -> InvalidTable:
    return InvalidTable(
        detail, errors=[Fault(pointer="/sample_weight", detail=detail)], members={"error_count": 1}
    )
