"""JSON tables whose columns are numbers, read into arrays without a Python object a cell.

With pysimdjson, of the extra `fast`, a large table takes less than half the time.
What it cannot read as arrays, or at all, is left to the careful reader, whose
words tell what is wrong.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice import simd
from mlservice.table import outline
from mlservice.table.columns import Column, Table
from mlservice.table.records import from_records

_SIMD_FROM_BYTES = simd.FROM_BYTES
# It looks for each member from the first.
_SIMD_MOST_COLUMNS = 1_000
_HAS_SIMD = simd.HAS_SIMD


class _Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    columns: list[str]
    data: list[list[float]]
    index: msgspec.Raw = msgspec.Raw()


_split = msgspec.json.Decoder(_Split)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_numbers = msgspec.json.Decoder(list[float])
_cells = msgspec.json.Decoder(list[Any])
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)

Pair = tuple[Table, dict[str, Any] | None]

SPLIT = frozenset({"columns", "data"})


def is_split(names: AbstractSet[str]) -> bool:
    """Tell whether an object with these members is a table in the form split."""
    return SPLIT <= names <= SPLIT | {"index"}


def is_wrapped(names: Collection[str]) -> bool:
    """Tell whether an object with these members may have a table as its member `data`."""
    return "data" in names and "columns" not in names


def quick_table(body: bytes | bytearray) -> Pair | None:
    """Read a table, bare or as the member `data` of an object.

    Returns
    -------
    (Table, dict or None) or None
        The table, its columns arrays where they are numbers; and the members beside
        it, not judged, or None where it is bare. None if the body is anything else
        than such a table of equally long columns.
    """
    if len(body) >= outline.FROM_BYTES and not _is_list(body) and (found := _by_outline(body)):
        return found
    is_large = _HAS_SIMD and len(body) >= _SIMD_FROM_BYTES
    if is_large and not _is_list(body) and (found := _by_simdjson(body)):
        return found
    try:
        return _by_msgspec(body)
    except _REFUSED:
        return None


def _by_outline(body: bytes | bytearray) -> Pair | None:
    try:
        found = outline.Outline(body)
        table, members = found.document, None
        if is_wrapped(table):
            table, members = table.pop("data"), table
        pair = _pair(_outlined(found, table), members)
    except (*_REFUSED, LookupError, TypeError, AttributeError):
        return None
    return pair if found.is_read else None


def _outlined(found: outline.Outline, table: Any) -> Table | None:
    """Return the table whose lists are apart: records, split or columns."""
    if isinstance(table, str):
        columns = found.columns(table)
        return _table(columns, "records") if columns else None
    if not is_split(table.keys()):
        return _table(found.columns(table) or {}, "columns")
    names, rows = table["columns"], found.rows(table)
    is_matrix = isinstance(names, list) and rows is not None and rows.shape[1:] == (len(names),)
    return _from_matrix(names, rows) if is_matrix else None


def _by_msgspec(body: bytes | bytearray) -> Pair | None:
    if table := _bare(body):
        return _pair(table, None)
    members = _members.decode(body)
    if not is_wrapped(members.keys()):
        return _pair(_from_members(members), None)
    data = members.pop("data")
    table = _bare(data) or _from_members(_members.decode(data))
    return _pair(table, {name: msgspec.json.decode(raw) for name, raw in members.items()})


def _is_list(text: bytes | bytearray | msgspec.Raw) -> bool:
    return bytes(memoryview(text)[:16]).lstrip().startswith(b"[")


def _bare(text: bytes | bytearray | msgspec.Raw) -> Table | None:
    """Return a table in records or split, which is read at once; what is none shows early."""
    if _is_list(text):
        columns = from_records(text)
        return _table(columns, "records") if columns else None
    try:
        found = _split.decode(text)
    except msgspec.ValidationError:
        return None
    return _from_rows(found.columns, found.data)


def _pair(table: Table | None, members: dict[str, Any] | None) -> Pair | None:
    return (table, members) if table else None


def _from_members(members: dict[str, msgspec.Raw]) -> Table | None:
    if is_split(members.keys()):
        return None
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
    # Each column is gone through several times: side by side that takes a third.
    columns = np.ascontiguousarray(cells.reshape(-1, len(names)).T)
    return _table(dict(zip(names, columns, strict=True)), "split")


def _table(columns: dict[str, Column], form: str) -> Table | None:
    lengths = set(map(len, columns.values()))
    return Table(columns, form) if len(lengths) == 1 and lengths != {0} else None


def _by_simdjson(body: bytes | bytearray) -> Pair | None:
    try:
        return simd.read(body, lambda document: _from_root(document, body))
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError):
        return None


def _from_root(document: Any, body: bytes | bytearray) -> Pair | None:
    # Of anything but an object it raises an error.
    names, members = list(document.keys()), None
    if is_wrapped(names):
        members = {name: _plain(document[name]) for name in names if name != "data"}
        document = document["data"]
        names = list(document.keys())
    # Of two members of one name the last counts; here it would be the first.
    if len(set(names)) < len(names) or len(names) > _SIMD_MOST_COLUMNS:
        return None
    return _pair(_from_document(document, names, body), members)


def _plain(value: Any) -> Any:
    if hasattr(value, "as_dict"):
        return value.as_dict()
    return value.as_list() if hasattr(value, "as_list") else value


def _from_document(document: Any, names: list[str], body: bytes | bytearray) -> Table | None:
    """Return the table; lists within lists, which buffers do not show, are left to others."""
    opened = simd.lists_in(body)
    if is_split(set(names)):
        columns, rows = document["columns"].as_list(), document["data"]
        if set(map(len, rows)) != {len(columns)} or opened != len(rows) + len(names):
            return None
        return _from_matrix(columns, simd.numbers(rows))
    columns = {name: _simd_column(document[name]) for name in names}
    has_arrays = any(isinstance(column, np.ndarray) for column in columns.values())
    if has_arrays and opened != len(names):
        return None
    return _table(columns, "columns")


def _simd_column(cells: Any) -> Column:
    try:
        return simd.numbers(cells)
    except TypeError:
        found: list[Any] = cells.as_list()
        return found
