"""JSON tables whose columns are numbers, read into arrays without a Python object a cell.

With pysimdjson, of the extra `fast`, a large table takes less than half the time.
What it cannot read as arrays, or at all, is left to the careful reader, whose
words tell what is wrong.
"""

import importlib.util
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice.table.columns import Column, Table

# Below, importing and filling simdjson's buffers costs more than it saves: measured.
_SIMD_FROM_BYTES = 1 << 14
# It looks for each member from the first.
_SIMD_MOST_COLUMNS = 1_000
_HAS_SIMD = importlib.util.find_spec("simdjson") is not None

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_numbers = msgspec.json.Decoder(list[float])
_rows = msgspec.json.Decoder(list[list[float]])
_cells = msgspec.json.Decoder(list[Any])
_names = msgspec.json.Decoder(list[str])

Pair = tuple[Table, dict[str, Any] | None]

SPLIT = frozenset({"columns", "data"})


def is_split(names: AbstractSet[str]) -> bool:
    """Tell whether an object with these members is a table in the form split."""
    return SPLIT <= names <= SPLIT | {"index"}


def is_wrapped(names: Collection[str]) -> bool:
    """Tell whether an object with these members may have a table as its member `data`."""
    return "data" in names and "columns" not in names


def quick_table(body: bytes | bytearray) -> Pair | None:
    """Read a table in columns or split, bare or as the member `data` of an object.

    Returns
    -------
    (Table, dict or None) or None
        The table, its columns arrays where they are numbers; and the members beside
        it, not judged, or None where it is bare. None if the body is anything else
        than such a table of equally long columns.
    """
    if _HAS_SIMD and len(body) >= _SIMD_FROM_BYTES and (found := _by_simdjson(body)):
        return found
    try:
        members = _members.decode(body)
        if not is_wrapped(members.keys()):
            return _pair(_from_members(members), None)
        table = _from_members(_members.decode(members.pop("data")))
        return _pair(table, {name: msgspec.json.decode(raw) for name, raw in members.items()})
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None


def _pair(table: Table | None, members: dict[str, Any] | None) -> Pair | None:
    return (table, members) if table else None


def _from_members(members: dict[str, msgspec.Raw]) -> Table | None:
    if is_split(members.keys()):
        return _from_rows(_names.decode(members["columns"]), _rows.decode(members["data"]))
    return _table({name: _column(raw) for name, raw in members.items()}, "columns")


def _column(raw: msgspec.Raw) -> Column:
    try:
        numbers = _numbers.decode(raw)
    except msgspec.ValidationError:
        return _cells.decode(raw)
    return np.fromiter(numbers, np.float64, len(numbers))


def _from_rows(names: list[str], rows: list[list[float]]) -> Table | None:
    if set(map(len, rows)) != {len(names)}:
        return None
    cells = np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * len(names))
    return _from_matrix(names, cells)


def _from_matrix(names: list[str], cells: NDArray[np.float64]) -> Table | None:
    if not names or len(set(names)) < len(names) or set(map(type, names)) != {str}:
        return None
    columns = cells.reshape(-1, len(names)).T
    return _table(dict(zip(names, columns, strict=True)), "split")


def _table(columns: dict[str, Column], form: str) -> Table | None:
    lengths = set(map(len, columns.values()))
    return Table(columns, form) if len(lengths) == 1 and lengths != {0} else None


def _by_simdjson(body: bytes | bytearray) -> Pair | None:
    import simdjson

    try:
        document: Any = simdjson.Parser().parse(bytes(body))
        if not isinstance(document, simdjson.Object):
            return None
        names, members = list(document.keys()), None
        if is_wrapped(names):
            members = {name: _plain(document[name]) for name in names if name != "data"}
            document = document["data"]
            names = list(document.keys())
        # Of two members of one name the last counts; here it would be the first.
        if len(set(names)) < len(names) or len(names) > _SIMD_MOST_COLUMNS:
            return None
        return _pair(_from_document(document, names, body), members)
    # It raises these for what is no JSON, or not of the type that is asked for.
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError):
        return None


def _plain(value: Any) -> Any:
    if hasattr(value, "as_dict"):
        return value.as_dict()
    return value.as_list() if hasattr(value, "as_list") else value


def _from_document(document: Any, names: list[str], body: bytes | bytearray) -> Table | None:
    """Return the table; lists within lists, which buffers do not show, are left to others."""
    opened = body.count(b"[")
    if is_split(set(names)):
        columns, rows = document["columns"].as_list(), document["data"]
        if set(map(len, rows)) != {len(columns)} or opened != len(rows) + len(names):
            return None
        return _from_matrix(columns, np.frombuffer(rows.as_buffer(of_type="d"), np.float64))
    columns = {name: _simd_column(document[name]) for name in names}
    has_arrays = any(isinstance(column, np.ndarray) for column in columns.values())
    if has_arrays and opened != len(names):
        return None
    return _table(columns, "columns")


def _simd_column(cells: Any) -> Column:
    try:
        return np.frombuffer(cells.as_buffer(of_type="d"), np.float64)
    except TypeError:
        found: list[Any] = cells.as_list()
        return found
