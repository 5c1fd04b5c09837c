"""What each row counts: a column of weights, checked."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import Fault, InvalidTable
from mlservice.kinds import kind_name
from mlservice.schemas import Label
from mlservice.table import Column, Faults, Table

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


def read(table: Table, name: str, faults: Faults) -> NDArray[np.float64]:
    """Return a weight for each row, noting each cell that is no number from 0 to 1e100.

    Parameters
    ----------
    table : Table
        Its cells are lists of JSON's values, or arrays with NaN where a number is missing.
    name : str
        The column of weights.
    faults : Faults
        Takes what is wrong; then the weights are of no use.
    """
    column, before = table.columns[name], faults.count
    for row, found in _wrong(column):
        faults.add(
            table.pointer(name, row),
            f"Row {row} of {name!r} must be a weight from 0 to {_LARGEST:g}, it is {found}.",
        )
    return np.zeros(len(column)) if faults.count > before else np.asarray(column, np.float64)


def _wrong(column: Column) -> Iterator[tuple[int, str]]:
    if isinstance(column, np.ndarray):
        for row in np.flatnonzero(~((column >= 0) & (column <= _LARGEST))).tolist():
            yield row, _said(float(column[row]))
        return
    for row, cell in enumerate(column):
        if type(cell) not in _NUMBERS:
            yield row, kind_name(cell)
        elif not 0 <= cell <= _LARGEST:
            yield row, _said(cell)


def _said(number: float) -> str:
    if number != number:  # noqa: PLR0124  # NaN
        return "missing"
    return "larger" if number > 0 else "negative"


def check_classes(
    weight: NDArray[np.float64], y: NDArray[np.intp], classes: tuple[Label, ...]
) -> None:
    """Refuse weights that leave a class none above 0.

    Parameters
    ----------
    weight : ndarray of shape (n_samples,)
        Weight of each sample.
    y : ndarray of shape (n_samples,)
        Position of each sample's class.
    classes : tuple of str, int or bool
        The target's values.

    Raises
    ------
    InvalidTable
        If they do.
    """
    sums = np.bincount(y, weight, minlength=len(classes))
    if not sums.all():
        label = repr(classes[int(sums.argmin())])[:100]
        raise _invalid(f"Each class must have a row with a weight above 0, {label} has none.")


def _invalid(detail: str) -> InvalidTable:
    return InvalidTable(
        detail, errors=[Fault(pointer="/sample_weight", detail=detail)], members={"error_count": 1}
    )
