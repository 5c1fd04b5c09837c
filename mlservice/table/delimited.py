"""CSV: RFC 4180 with a header row, in UTF-8.

A column is numeric when every field of it that is neither empty nor `NA` is a decimal
number; both are missing there, and among texts only an empty field is. An empty line is
none. A first column without a name is the index that pandas writes, and left out.
"""

import codecs
import contextlib
import math
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from mlservice.errors import escape
from mlservice.table.blocks import (
    PLAIN_BYTES,
    Block,
    Irregular,
    Records,
    careful_blocks,
    line_end,
    plain_blocks,
)
from mlservice.table.columns import Column, Faults, Table
from mlservice.table.coming import Coming, Whole
from mlservice.table.numbers import Numbers

Blocks = Callable[[], Iterator[Block]]
_PIECE_BYTES = 1 << 20
# Rows later in a text may be a little shorter than the first ones.
_SPARE = 1.02
# More different texts than these are not worth finding again.
_MOST_SHARED = 10_000


def from_csv(
    body: bytes | bytearray,
    delimiter: str = ",",
    texts: AbstractSet[str] = frozenset(),
    *,
    apart: AbstractSet[str] = frozenset(),
    coming: Coming | None = None,
) -> Table:
    """Read a table from CSV.

    Parameters
    ----------
    body : bytes
        The text; its end may be on its way.
    delimiter : str
        One ASCII character.
    texts : set of str, optional
        Columns that are text, whatever their fields look like.
    apart : set of str, optional
        Columns that are no part of the matrix which the other numeric columns make; empty
        for the last one.
    coming : Coming, optional
        How the body comes, where not all of it is there.

    Raises
    ------
    InvalidTable
        With all that is wrong and its line: not UTF-8, NUL, a quote that is not
        closed, ragged rows, names that stand twice, numbers beyond float64; or if
        there is no row.
    """
    coming = coming or Whole(body)
    with contextlib.suppress(Irregular):
        return _plain(body, delimiter, texts, apart, coming)
    coming.again()
    coming.reach(sys.maxsize)
    return _careful(body, delimiter, texts, apart)


def _plain(
    body: bytes | bytearray,
    delimiter: str,
    texts: AbstractSet[str],
    apart: AbstractSet[str],
    coming: Coming,
) -> Table:
    """Read what is plain, while the rest of it may be on its way."""
    begin = line_end(body, 0, coming)
    names = _plain_names(bytes(body[:begin]), delimiter)

    def blocks() -> Iterator[Block]:
        return plain_blocks(body, begin, delimiter, len(names), coming)

    def expected(first: int) -> int:
        size = max(coming.most_bytes, len(body)) - begin
        return math.ceil(first * max(1.0, _SPARE * size / PLAIN_BYTES))

    maybe = _maybe_numeric(names, texts)
    apart_at = _places(names, apart)
    columns, is_finite = _gather(blocks, maybe, len(names), apart_at, expected, again=coming.again)
    return _table(names, columns, lambda row: row + 2, is_finite=is_finite)


def _plain_names(line: bytes, delimiter: str) -> list[str]:
    """Return the names in a first line, if that is all of the header and they differ."""
    faults = Faults()
    start = 3 if line[:3] == codecs.BOM_UTF8 else 0
    try:
        _, names = next(iter(Records(line, start, delimiter, faults)), (1, [""]))
    except UnicodeDecodeError:
        raise Irregular from None
    # In one column an empty line and an empty field look alike.
    if faults.count or len(set(names)) < max(len(names), 2) or b"\0" in line:
        raise Irregular
    return names


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


def _check_header(names: list[str], line: int, faults: Faults) -> None:
    for position, name in enumerate(names):
        if name in names[:position]:
            detail = f"Column names must differ, {name!r} stands twice in line {line}."
            faults.add(f"/data/{escape(name)}", detail, line=line)
    if not names:
        faults.add("/data", "The table must have a header and at least one row, it is empty.")
    faults.check()


def _maybe_numeric(names: list[str], texts: AbstractSet[str]) -> list[int]:
    return [column for column, name in enumerate(names) if name not in texts]


def has_index(names: Sequence[str]) -> bool:
    """Tell whether the first of some columns is the index that pandas and R write."""
    return len(names) > 1 and names[0] == ""


def _places(names: list[str], some: AbstractSet[str]) -> set[int]:
    """Return where some columns stand, and an index; an empty name is that of the last one."""
    last = names[-1] if "" in some else ""
    return {place for place, name in enumerate(names) if name in some or name in ("", last)}


def _careful(
    body: bytes | bytearray,
    delimiter: str,
    texts: AbstractSet[str] = frozenset(),
    apart: AbstractSet[str] = frozenset(),
) -> Table:
    faults = Faults()
    _check_text(body, faults)
    start = 3 if body[:3] == codecs.BOM_UTF8 else 0
    found = iter(Records(body, start, delimiter, faults))
    line, names = next(found, (1, []))
    faults.check()
    _check_header(names, line, faults)
    lines = array("q")
    for line, cells in found:
        lines.append(line)
        if len(cells) != len(names):
            detail = f"Line {line} must have {len(names)} fields, it has {len(cells)}."
            faults.add(None, detail, line=line)
    faults.check()

    def blocks() -> Iterator[Block]:
        records = iter(Records(body, start, delimiter, faults))
        next(records)
        return careful_blocks(records)

    maybe = _maybe_numeric(names, texts)
    columns, is_finite = _gather(
        blocks, maybe, len(names), _places(names, apart), lambda _: len(lines)
    )
    return _table(names, columns, lines.__getitem__, is_finite=is_finite)


def _table(
    names: list[str], columns: list[Column], line_of: Callable[[int], int], *, is_finite: bool
) -> Table:
    named = dict(zip(names, columns, strict=True))
    if has_index(names):
        del named[""]
    table = Table(named, line_of=line_of, is_text=True, is_finite=is_finite)
    faults = Faults()
    if not table.rows:
        faults.add("/data", "The table must have at least one row, it has none.")
    for name, column in table.columns.items():
        if isinstance(column, np.ndarray) and not is_finite:
            for row in np.flatnonzero(np.isinf(column)).tolist():
                detail = f"Line {line_of(row)}: {name!r} does not fit in float64."
                faults.add(table.pointer(name, row), detail, line=line_of(row))
    faults.check()
    return table


def _gather(
    blocks: Blocks,
    maybe: list[int],
    width: int,
    apart: set[int],
    expected: Callable[[int], int],
    *,
    again: Callable[[], None] = lambda: None,
) -> tuple[list[Column], bool]:
    """Return the columns, and whether none of their numbers is missing or infinite.

    The first block tells which are numeric, and is seldom wrong; and by its rows about how
    many there are.
    """
    first = next(blocks(), None)
    if first is None:
        return [[] for _ in range(width)], True
    numeric = _numeric(iter([first]), maybe)
    rows = expected(first.rows)
    gathered = _build(blocks, width, Numbers(numeric, apart, rows))
    if gathered is None:
        again()
        numeric = _numeric(blocks(), maybe)
        gathered = _build(blocks, width, Numbers(numeric, apart, rows))
    return gathered or ([], True)


def _numeric(blocks: Iterator[Block], columns: list[int]) -> list[int]:
    """Return those of some columns that are numeric in all blocks."""
    for block in blocks:
        if columns and block.numbers(columns) is None:
            columns = [each for each in columns if block.numbers([each]) is not None]
    return columns


def _build(blocks: Blocks, width: int, numbers: Numbers) -> tuple[list[Column], bool] | None:
    """Return the columns as `_gather` does, or None if one that should be numeric is not."""
    numeric = numbers.places
    texts: dict[int, list[str | None]] = {
        column: [] for column in range(width) if column not in set(numeric)
    }
    shared: dict[str, str] = {}
    for block in blocks():
        if numeric:
            values = block.numbers(numeric)
            if values is None:
                return None
            numbers.append(values)
        for column, cells in texts.items():
            cells.extend(_share(block.texts(column), shared))
    columns = numbers.columns() | texts
    return [columns[each] for each in range(width)], numbers.are_finite


def _share(cells: Sequence[str], shared: dict[str, str]) -> Iterator[str | None]:
    """Yield each text as the one object that it had before; None for an empty one."""
    for cell in cells:
        if len(shared) < _MOST_SHARED:
            yield shared.setdefault(cell, cell) or None
        else:
            yield shared.get(cell, cell) or None
