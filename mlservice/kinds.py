"""From a table's cells to columns of numbers or of text, each wrong cell noted.

JSON's numbers and booleans are numbers, its strings are text, null is missing;
an empty text is missing as well, as it is in CSV. A column is of one kind.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.preparation import Column, Texts
from mlservice.schemas import Preprocessing
from mlservice.table import Faults, Table

MAX_NAME = 128
MAX_CATEGORY = 1024
_NUMBERS = {int, float, bool}
_NONE = np.empty(0)


def read_column(table: Table, name: str, options: Preprocessing, faults: Faults) -> Column:
    """Return a feature's column, noting what is wrong with it.

    Parameters
    ----------
    table : Table
        Its cells are lists of JSON's values, or arrays with NaN where a number is missing.
    name : str
        The column.
    options : Preprocessing
        Whether text and missing numbers are taken.
    faults : Faults
        Takes what is wrong; then the column is of no use.
    """
    check_name(table, name, faults)
    cells = table.columns[name]
    if isinstance(cells, np.ndarray):
        if table.is_finite:
            return cells
        return _complete(table, name, cells, options, faults)
    kinds = set(map(type, cells)) - {type(None)}
    if kinds <= _NUMBERS:
        return _complete(table, name, _numbers(table, name, cells, faults), options, faults)
    if kinds == {str}:
        return _texts(table, name, cells, options, faults)
    for row, detail in _misfits(cells):
        faults.add(table.pointer(name, row), f"Row {row} of {name!r} must be {detail}.")
    return _NONE


def check_name(table: Table, name: str, faults: Faults) -> None:
    """Note a column's name that cannot be shown."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        faults.add(
            table.pointer(name),
            f"A column's name must be 1 to {MAX_NAME} printable characters, it has {len(name)}.",
        )


def check_whole(table: Table, name: str, role: str, faults: Faults) -> None:
    """Note each cell of a column that parts the rows where it is missing, or of another kind."""
    cells = table.columns[name]
    if isinstance(cells, np.ndarray):
        for row in np.flatnonzero(np.isnan(cells)).tolist():
            faults.add(
                table.pointer(name, row), _no_part(name, role, row, "a number, it is missing")
            )
        return
    for row, detail in _misfits(cells, may_miss=False):
        faults.add(table.pointer(name, row), _no_part(name, role, row, detail))


def _no_part(name: str, role: str, row: int, detail: str) -> str:
    return f"Row {row} of {name!r}, the {role}, must be {detail}."


def kind_name(cell: object) -> str:
    """Return how to call a cell that is out of place."""
    names = {str: "text", type(None): "missing", list: "a list", dict: "an object"}
    return names.get(type(cell), "a number")


def _numbers(table: Table, name: str, cells: list[Any], faults: Faults) -> NDArray[np.float64]:
    with contextlib.suppress(OverflowError):
        values = np.asarray(cells, dtype=np.float64)
        if not np.isinf(values).any():
            return values
    for row, cell in enumerate(cells):
        if _is_beyond(cell):
            faults.add(table.pointer(name, row), f"Row {row} of {name!r} does not fit in float64.")
    return _NONE


def _is_beyond(cell: Any) -> bool:
    return type(cell) in _NUMBERS and abs(cell) > sys.float_info.max


def _complete(
    table: Table,
    name: str,
    values: NDArray[np.float64],
    options: Preprocessing,
    faults: Faults,
) -> NDArray[np.float64]:
    """Note missing numbers where they are not filled, and a column that has no value."""
    missing = np.isnan(values)
    if missing.all() and len(values):
        faults.add(table.pointer(name), _no_value(table, name))
    elif options.impute == "error":
        for row in np.flatnonzero(missing).tolist():
            faults.add(
                table.pointer(name, row),
                f"Row {row} of {name!r} must be a number with impute error, it is missing.",
            )
    return values


def _no_value(table: Table, name: str) -> str:
    return f"Column {name!r} must have a value, all {table.rows} are missing; leave it out."


def _texts(
    table: Table, name: str, cells: list[Any], options: Preprocessing, faults: Faults
) -> Column:
    if options.encode == "error":
        faults.add(
            table.pointer(name), f"Column {name!r} must be numeric with encode error, it is text."
        )
        return _NONE
    values = sorted({cell for cell in cells if cell})
    if not values:
        faults.add(table.pointer(name), _no_value(table, name))
    if any(len(value) > MAX_CATEGORY for value in values):
        _note_long(table, name, enumerate(cells), faults)
    position = {value: code for code, value in enumerate(values)}
    codes = (position.get(cell, -1) for cell in cells)
    return Texts(tuple(values), np.fromiter(codes, np.intp, len(cells)))


def _note_long(table: Table, name: str, cells: Iterable[tuple[int, Any]], faults: Faults) -> None:
    for row, cell in cells:
        if len(cell or "") > MAX_CATEGORY:
            faults.add(
                table.pointer(name, row),
                f"Row {row} of {name!r} must have at most {MAX_CATEGORY} characters, "
                f"it has {len(cell)}.",
            )


def _misfits(cells: list[Any], *, may_miss: bool = True) -> Iterator[tuple[int, str]]:
    """Yield each cell that is not of the kind of the first number or text, and why."""
    kinds = (type(cell) for cell in cells)
    first = next((kind for kind in kinds if kind in _NUMBERS or kind is str), float)
    fits, wanted = ({str}, "text") if first is str else (_NUMBERS, "a number")
    for row, cell in enumerate(cells):
        if type(cell) not in fits and not (may_miss and cell is None):
            yield row, f"{wanted}, it is {kind_name(cell)}"
        elif _is_beyond(cell):
            yield row, f"{wanted}, it does not fit in float64"
