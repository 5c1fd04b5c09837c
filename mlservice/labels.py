"""The target's cells as labels of one type: text, integers or booleans."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.kinds import kind_name
from mlservice.schemas import Label
from mlservice.table import Faults, Table

MAX_LABEL = 1024
_EXACT = 2.0**53


Classes = tuple[tuple[Label, ...], NDArray[np.intp]]
_NONE: Classes = ((), np.empty(0, np.intp))


def read_labels(table: Table, target: str, faults: Faults) -> Classes:
    """Return the target's classes, noting each cell that is no label.

    Parameters
    ----------
    table : Table
        Its cells are lists of JSON's values, or arrays with NaN where a number is missing.
    target : str
        The column.
    faults : Faults
        Takes what is wrong; then there are no classes.

    Returns
    -------
    classes : tuple of str, int or bool
        The labels, sorted, of one type.
    y : ndarray of shape (n_rows,)
        Position of each row's label in `classes`.
    """
    column = table.columns[target]
    if isinstance(column, np.ndarray) and _are_whole(column):
        values, y = _unique(column)
        return tuple(map(int, values.tolist())), y
    labels = [_whole(cell) for cell in cells(table, target)]
    before = faults.count
    _note_inexact(table, target, faults)
    for row, label in enumerate(labels):
        if wrong := _label_fault(label):
            faults.add(table.pointer(target, row), f"Row {row} of the target {wrong}.")
    kinds = set(map(type, labels))
    if faults.count == before and len(kinds) > 1:
        first = type(labels[0])
        row = next(row for row, label in enumerate(labels) if type(label) is not first)
        faults.add(
            table.pointer(target, row),
            f"The target must be all text, all integers or all booleans: row 0 is "
            f"{labels[0]!r}, row {row} is {labels[row]!r}.",
        )
    return _NONE if faults.count > before else _encode(labels)


def _are_whole(column: NDArray[np.float64]) -> bool:
    """Tell whether all numbers are integers that float64 tells from their neighbours."""
    return bool((np.abs(column) < _EXACT).all() and (column == np.rint(column)).all())


def _unique(column: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the different whole numbers, ascending, and the place of each row's among them."""
    least, most = column.min(), column.max()
    if most - least > len(column):
        return np.unique(column, return_inverse=True)
    # Without sorting, which takes ten times as long.
    offsets = (column - least).astype(np.intp)
    occurs = np.bincount(offsets) > 0
    places = np.cumsum(occurs) - 1
    return np.flatnonzero(occurs) + least, places[offsets]


def _encode(labels: list[Label]) -> Classes:
    classes = tuple(sorted(set(labels)))
    position = {label: code for code, label in enumerate(classes)}
    return classes, np.fromiter(map(position.__getitem__, labels), np.intp, len(labels))


def cells(table: Table, name: str) -> list[Any]:
    """Return a column's values as JSON has them, None where one is missing."""
    column = table.columns[name]
    if isinstance(column, list):
        return column
    return [None if cell != cell else cell for cell in column.tolist()]  # noqa: PLR0124  # NaN


def _note_inexact(table: Table, target: str, faults: Faults) -> None:
    """Note integers that came as float64, which cannot tell them from their neighbours."""
    column = table.columns[target]
    if isinstance(column, np.ndarray):
        for row in np.flatnonzero(np.abs(column) >= _EXACT).tolist():
            faults.add(
                table.pointer(target, row),
                f"Row {row} of the target must be below 2**53 in this format; send it as text.",
            )


def _whole(cell: Any) -> Any:
    return int(cell) if type(cell) is float and cell.is_integer() else cell


def _label_fault(label: object) -> str | None:
    if isinstance(label, float):
        return f"must be a class, {label} is a measurement"
    if isinstance(label, int):
        return None if -(2**63) <= label < 2**63 else "must be a 64-bit integer"
    if not isinstance(label, str):
        return f"must be text, an integer or a boolean, it is {kind_name(label)}"
    if len(label) > MAX_LABEL:
        return f"must have at most {MAX_LABEL} characters, it has {len(label)}"
    return "must not contain the character NUL" if "\0" in label else None
