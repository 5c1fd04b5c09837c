"""msgpack: columns as raw arrays, for programs, and a training's options beside them.

The body is a map with `columns`: each is a list of texts, nil where one is
missing, or a map of `dtype` and `data`, which is a numpy array's bytes.
"""

from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from mlservice.errors import Fault, InvalidRequest, MalformedBody, escape
from mlservice.table.columns import Column, Faults, Table

DTYPES = ("<f8", "<f4", "<i8", "bool")
# Integers beyond are not told apart by float64.
_EXACT = 2**53


def from_msgpack(body: bytes | bytearray) -> tuple[Table, dict[str, Any]]:
    """Read a table and the members beside it.

    Returns
    -------
    table : Table
        Its columns are arrays, lists of text, or lists of booleans.
    members : dict
        What stands beside `columns`, not judged.

    Raises
    ------
    MalformedBody
        If the body is not msgpack, or has extension types or keys that are no text.
    InvalidRequest
        If there is no map `columns`.
    InvalidTable
        With each column that is of no such form, or of another length than the first.
    """
    members = _parse(body)
    columns = members.pop("columns", None) if isinstance(members, dict) else None
    if not isinstance(columns, dict):
        detail = "The body must be a map whose member columns is a map, it is not."
        raise InvalidRequest(detail, errors=[Fault(pointer="/columns", detail=detail)])
    faults = Faults()
    table = Table({name: _column(name, sent, faults) for name, sent in columns.items()})
    faults.check()
    _check_lengths(table, faults)
    return table, members


def _parse(body: bytes | bytearray) -> Any:
    try:
        # Lengths that a body claims are limited by its own.
        return msgpack.unpackb(body, raw=False, strict_map_key=True, max_ext_len=0)
    # The unpacker raises nothing narrower for all that bytes can be.
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedBody("The body must be msgpack of plain types, it is not.") from error


def _check_lengths(table: Table, faults: Faults) -> None:
    for name, column in table.columns.items():
        if len(column) != table.rows:
            faults.add(
                f"/data/{escape(name)}",
                f"Columns must be equally long: {name!r} has {len(column)} values, "
                f"the first has {table.rows}.",
            )
    if not table.rows:
        faults.add("/data", "The table must have at least one row and column, it has none.")
    faults.check()


def _column(name: str, sent: Any, faults: Faults) -> Column:
    if isinstance(sent, list):
        return _texts(name, sent, faults)
    pointer = f"/data/{escape(name)}"
    if not isinstance(sent, dict) or sent.keys() != {"dtype", "data"}:
        faults.add(pointer, f"Column {name!r} must be a list, or a map of dtype and data.")
        return []
    dtype, data = sent["dtype"], sent["data"]
    if dtype not in DTYPES or not isinstance(data, bytes):
        faults.add(pointer, f"Column {name!r} must have a dtype of {DTYPES} and bytes as data.")
        return []
    if len(data) % np.dtype(dtype).itemsize:
        faults.add(pointer, f"Column {name!r} must have whole values, its data are cut.")
        return []
    return _numbers(name, data, dtype, faults)


def _texts(name: str, sent: list[Any], faults: Faults) -> list[Any]:
    for row, cell in enumerate(sent):
        if cell is not None and not isinstance(cell, str):
            detail = f"Row {row} of {name!r} must be text or nil; numbers stand in an array."
            faults.add(f"/data/{escape(name)}/{row}", detail)
    return sent


def _numbers(name: str, data: bytes, dtype: str, faults: Faults) -> Column:
    if dtype == "bool":
        return _booleans(name, np.frombuffer(data, np.uint8), faults)
    values = np.frombuffer(data, dtype)
    if dtype == "<i8" and len(values) and max(int(values.max()), -int(values.min())) >= _EXACT:
        return list(values.tolist())
    numbers: NDArray[np.float64] = values.astype(np.float64, copy=False)
    for row in np.flatnonzero(np.isinf(numbers)).tolist():
        detail = f"Row {row} of {name!r} must be finite, it is infinite."
        faults.add(f"/data/{escape(name)}/{row}", detail)
    return numbers


def _booleans(name: str, values: NDArray[np.uint8], faults: Faults) -> list[bool]:
    for row in np.flatnonzero(values > 1).tolist():
        detail = f"Row {row} of {name!r} must be 0 or 1 as a boolean's byte."
        faults.add(f"/data/{escape(name)}/{row}", detail)
    return list(values.astype(bool).tolist())
