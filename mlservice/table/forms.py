"""The three JSON forms of a table: columns, records and split.

A cell keeps the value that JSON gave it.
"""

from collections.abc import Iterator
from typing import Any

from mlservice.errors import escape
from mlservice.table.columns import Column, Faults, Table


def from_json(data: dict[str, Any] | list[dict[str, Any]]) -> Table:
    """Read a table in one of its three JSON forms.

    Parameters
    ----------
    data : dict or list of dict
        Columns, records or split, as `api.md` tells them apart.

    Raises
    ------
    InvalidTable
        If the table is empty, ragged, or names a column twice.
    """
    faults = Faults()
    columns: dict[str, Column]
    if isinstance(data, list):
        columns, form = _from_records(data, faults), "records"
    elif {"columns", "data"} <= data.keys() <= {"columns", "data", "index"}:
        columns, form = _from_split(data["columns"], data["data"], faults), "split"
    else:
        columns, form = _from_columns(data, faults), "columns"
    faults.check()
    table = Table(columns, form)
    if not table.rows:
        faults.add("/data", "The table must have at least one row, it has none.")
    faults.check()
    return table


def _from_columns(data: dict[str, Any], faults: Faults) -> dict[str, Column]:
    length = None
    for name, cells in data.items():
        if not isinstance(cells, list):
            faults.add(f"/data/{escape(name)}", f"Column {name!r} must be a list of values.")
            continue
        length = len(cells) if length is None else length
        if len(cells) != length:
            faults.add(
                f"/data/{escape(name)}",
                f"Columns must be equally long: {name!r} has {len(cells)} values, "
                f"the first has {length}.",
            )
    return data


def _from_records(data: list[dict[str, Any]], faults: Faults) -> dict[str, Column]:
    names = list(data[0]) if data else []
    expected = data[0].keys() if data else set()
    for row, record in enumerate(data):
        if record.keys() != expected:
            faults.add(f"/data/{row}", f"Row {row} {difference(expected, record.keys())}.")
    if faults.count:
        return {}
    return {name: [record[name] for record in data] for name in names}


def difference(expected: Any, found: Any) -> str:
    """Return in words how the members of a row differ from those of the first."""
    lacks, more = sorted(expected - found), sorted(found - expected)
    parts = [f"lacks {lacks[0]!r}"] if lacks else []
    parts += [f"has {more[0]!r}"] if more else []
    return " and ".join(parts) + ", unlike the first row"


def _from_split(names: Any, data: Any, faults: Faults) -> dict[str, Column]:
    for place, detail in _split_faults(names, data):
        faults.add(place, detail)
    # Without rows there is nothing to turn into columns.
    if faults.count or not data:
        return {}
    return {name: list(cells) for name, cells in zip(names, zip(*data, strict=True), strict=True)}


def _split_faults(names: Any, data: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield "/data/columns", "columns must be a list of names."
        return
    seen = set()
    for position, name in enumerate(names):
        if name in seen:
            yield f"/data/columns/{position}", f"Column names must differ, {name!r} stands twice."
        seen.add(name)
    if not isinstance(data, list):
        yield "/data/data", "data must be a list of rows."
        return
    for row, cells in enumerate(data):
        if not isinstance(cells, list) or len(cells) != len(names):
            yield f"/data/data/{row}", f"Row {row} must be a list of {len(names)} values."
