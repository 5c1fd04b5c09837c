"""CSV: RFC 4180 with a header row, in UTF-8.

A column is numeric when every field of it that is not empty is a decimal number.
An empty field is missing, an empty line is none.
"""

import codecs
from array import array
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import escape
from mlservice.table.blocks import (
    Block,
    Irregular,
    Records,
    careful_blocks,
    plain_blocks,
)
from mlservice.table.columns import Column, Faults, Table

Blocks = Callable[[], Iterator[Block]]
_PIECE_BYTES = 1 << 20
# More different texts than these are not worth finding again.
_MOST_SHARED = 10_000


def from_csv(
    body: bytes | bytearray, delimiter: str = ",", texts: AbstractSet[str] = frozenset()
) -> Table:
    """Read a table from CSV.

    Parameters
    ----------
    body : bytes
        The text.
    delimiter : str
        One ASCII character.
    texts : set of str, optional
        Columns that are text, whatever their fields look like.

    Raises
    ------
    InvalidTable
        With all that is wrong and its line: not UTF-8, NUL, a quote that is not
        closed, ragged rows, names that stand twice, numbers beyond float64; or if
        there is no row.
    """
    faults = Faults()
    _check_text(body, faults)
    start = 3 if body[:3] == codecs.BOM_UTF8 else 0
    names, begin = _header(body, start, delimiter, faults)
    if begin and _is_plain(body, begin, len(names)):
        try:
            return _plain(body, begin, delimiter, names, texts)
        except Irregular:
            pass
    return _careful(body, start, delimiter, names, texts)


def _check_text(body: bytes | bytearray, faults: Faults) -> None:
    at = body.find(b"\0")
    if at >= 0:
        line = body.count(b"\n", 0, at) + 1
        faults.add(None, f"Line {line} must not contain the character NUL.", line=line)
    if not body.isascii() and (wrong := _not_utf8(body)) is not None:
        line = body.count(b"\n", 0, wrong) + 1
        faults.add(None, f"Line {line} must be UTF-8, it is not.", line=line)
    faults.check()


def _not_utf8(body: bytes | bytearray) -> int | None:
    """Return where a text is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _PIECE_BYTES):
        kept = len(decoder.getstate()[0])
        try:
            piece = body[start : start + _PIECE_BYTES]
            decoder.decode(piece, final=start + _PIECE_BYTES >= len(body))
        except UnicodeDecodeError as error:
            return start - kept + error.start
    return None


def _header(
    body: bytes | bytearray, start: int, delimiter: str, faults: Faults
) -> tuple[list[str], int]:
    """Return the names, and where the rows begin if the header is the first line alone."""
    records = Records(body, start, delimiter, faults)
    line, names = next(iter(records), (1, []))
    faults.check()
    for position, name in enumerate(names):
        if name in names[:position]:
            detail = f"Column names must differ, {name!r} stands twice in line {line}."
            faults.add(f"/data/{escape(name)}", detail, line=line)
    if not names:
        faults.add("/data", "The table must have a header and at least one row, it is empty.")
    faults.check()
    return names, (body.find(b"\n") + 1 or len(body)) if records.lines == 1 else 0


def _is_plain(body: bytes | bytearray, begin: int, width: int) -> bool:
    """Tell whether the plain reader may try the rows."""
    # In one column an empty line and an empty field look alike.
    one_ending = b"\r" not in body or body.count(b"\r") == body.count(b"\r\n")
    return width > 1 and body.find(b'"', begin) < 0 and one_ending


def _plain(
    body: bytes | bytearray, begin: int, delimiter: str, names: list[str], texts: AbstractSet[str]
) -> Table:
    def blocks() -> Iterator[Block]:
        return plain_blocks(body, begin, delimiter, len(names))

    rows = min(body.count(b"\n") + 1, len(body) // len(names) + 1)
    columns = _gather(blocks, _maybe_numeric(names, texts), len(names), rows)
    return _table(names, columns, lambda row: row + 2)


def _maybe_numeric(names: list[str], texts: AbstractSet[str]) -> list[int]:
    return [column for column, name in enumerate(names) if name not in texts]


def _careful(
    body: bytes | bytearray, start: int, delimiter: str, names: list[str], texts: AbstractSet[str]
) -> Table:
    lines = array("q")

    def records(faults: Faults) -> Iterator[tuple[int, list[str]]]:
        found = iter(Records(body, start, delimiter, faults))
        next(found)
        return found

    faults = Faults()
    for line, cells in records(faults):
        lines.append(line)
        if len(cells) != len(names):
            detail = f"Line {line} must have {len(names)} fields, it has {len(cells)}."
            faults.add(None, detail, line=line)
    faults.check()
    maybe = _maybe_numeric(names, texts)
    columns = _gather(lambda: careful_blocks(records(faults)), maybe, len(names), len(lines))
    return _table(names, columns, lines.__getitem__)


def _table(names: list[str], columns: list[Column], line_of: Callable[[int], int]) -> Table:
    table = Table(dict(zip(names, columns, strict=True)), line_of=line_of, is_text=True)
    faults = Faults()
    if not table.rows:
        faults.add("/data", "The table must have at least one row, it has none.")
    for name, column in table.columns.items():
        if isinstance(column, np.ndarray):
            for row in np.flatnonzero(np.isinf(column)).tolist():
                detail = f"Line {line_of(row)}: {name!r} does not fit in float64."
                faults.add(table.pointer(name, row), detail, line=line_of(row))
    faults.check()
    return table


def _gather(blocks: Blocks, maybe: list[int], width: int, rows: int) -> list[Column]:
    """Return the columns; the first block tells which are numeric, and is seldom wrong."""
    first = next(blocks(), None)
    numeric = _numeric(iter([first] if first else []), maybe)
    gathered = _build(blocks, numeric, width, rows)
    if gathered is None:
        gathered = _build(blocks, _numeric(blocks(), maybe), width, rows)
    return gathered or []


def _numeric(blocks: Iterator[Block], columns: list[int]) -> list[int]:
    """Return those of some columns that are numeric in all blocks."""
    for block in blocks:
        if columns and block.numbers(columns) is None:
            columns = [each for each in columns if block.numbers([each]) is not None]
    return columns


def _build(blocks: Blocks, numeric: list[int], width: int, rows: int) -> list[Column] | None:
    """Return the columns, or None if one that should be numeric is not."""
    numbers = np.empty((len(numeric), rows))
    texts: dict[int, list[str | None]] = {
        column: [] for column in range(width) if column not in set(numeric)
    }
    shared: dict[str, str] = {}
    row = 0
    for block in blocks():
        if numeric:
            values = block.numbers(numeric)
            if values is None:
                return None
            numbers[:, row : row + block.rows] = values.T
        for column, cells in texts.items():
            cells.extend(_share(block.texts(column), shared))
        row += block.rows
    return _in_order(numeric, numbers[:, :row], texts, width)


def _share(cells: Sequence[str], shared: dict[str, str]) -> Iterator[str | None]:
    """Yield each text as the one object that it had before; None for an empty one."""
    for cell in cells:
        if len(shared) < _MOST_SHARED:
            yield shared.setdefault(cell, cell) or None
        else:
            yield shared.get(cell, cell) or None


def _in_order(
    numeric: list[int],
    numbers: NDArray[np.float64],
    texts: dict[int, list[str | None]],
    width: int,
) -> list[Column]:
    place = {column: position for position, column in enumerate(numeric)}
    return [texts[each] if each in texts else numbers[place[each]] for each in range(width)]
