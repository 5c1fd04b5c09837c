"""Blocks of the rows of a CSV text, by a plain reader and a careful one.

The plain reader looks at all cells of a block at once, while the rest of the text
may be on its way; it reads what has neither a quote nor an empty line. The careful
one reads everything, and tells what is wrong with its line.
"""

import csv
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlservice.table.columns import Faults
from mlservice.table.coming import Coming
from mlservice.table.decimals import read_decimals, read_plain_decimals

PLAIN_BYTES = 1 << 18
CAREFUL_ROWS = 4096
_NEWLINE = ord("\n")
_MARKER = 9e99
_MARKED = b",9e99,"


class Irregular(Exception):
    """The plain reader cannot read this text."""


class Block(Protocol):
    """Some rows."""

    @property
    def rows(self) -> int:
        """How many."""

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64] | None:
        """Return numbers of shape (rows, len(columns)), or None if a cell is none."""

    def texts(self, column: int) -> Sequence[str]:
        """Return a column's cells as they stand there."""


class PlainBlock:
    """Rows as one text, and where each cell of it ends."""

    def __init__(self, text: bytes, delimiter: str, width: int) -> None:
        self._text = text
        self._delimiter = delimiter.encode()
        self._width = width
        others = bytes({*range(256)} - {ord(delimiter), _NEWLINE})
        separators = text.translate(None, others) + b"\n"
        self.rows = len(separators) // width
        if separators != (self._delimiter * (width - 1) + b"\n") * self.rows:
            raise Irregular

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        """Where each cell ends, of shape (rows, width)."""
        is_separator = (self._bytes == ord(self._delimiter)) | (self._bytes == _NEWLINE)
        ends = np.append(np.flatnonzero(is_separator), len(self._text))
        return ends.reshape(-1, self._width)

    @property
    def _bytes(self) -> NDArray[np.uint8]:
        return np.frombuffer(self._text, np.uint8)

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64] | None:
        """Return numbers of shape (rows, len(columns)), or None if a cell is none."""
        text = self._of(columns)
        if self._delimiter != b",":
            if b"," in text:
                return None
            text = text.replace(self._delimiter, b",")
        values = read_decimals(text.replace(b"\n", b","), self.rows * len(columns))
        return None if values is None else values.reshape(self.rows, len(columns))

    def _of(self, columns: Sequence[int]) -> bytes:
        """Return the text of some columns, each cell with what separates it from the next."""
        width = self._width
        if len(columns) == width:
            return self._text
        wanted = np.zeros(width, bool)
        wanted[columns] = True
        ends = self._ends.ravel() + 1
        lengths = np.diff(ends, prepend=0)
        # The last cell has no separator.
        lengths[-1] -= 1
        kept: bytes = self._bytes[np.repeat(np.tile(wanted, self.rows), lengths)].tobytes()
        return kept if wanted[-1] else kept[:-1]

    def texts(self, column: int) -> list[str]:
        """Return a column's cells as they stand there."""
        ends = self._ends[:, column].tolist()
        before = self._ends.ravel()[column - 1 :: self._width] + 1
        starts = before.tolist() if column else [0, *(self._ends[:-1, -1] + 1).tolist()]
        text = self._text
        return [text[start:end].decode() for start, end in zip(starts, ends, strict=False)]


class NumbersBlock:
    """Rows that may be nothing but numbers, which are read at once; else a plain block's.

    Each line gets a last cell that no other cell is like: where all of them stand in one
    column, every row has its cells. That costs less than to look at the separators first.
    """

    def __init__(self, text: bytes, delimiter: str, width: int) -> None:
        self._text = text
        self._delimiter = delimiter
        self._width = width

    @cached_property
    def _plain(self) -> PlainBlock:
        return PlainBlock(self._text, self._delimiter, self._width)

    @cached_property
    def rows(self) -> int:
        """How many."""
        return self._plain.rows

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64] | None:
        """Return numbers of shape (rows, len(columns)), or None if a cell is none."""
        values = self._at_once() if len(columns) == self._width else None
        if values is None:
            return self._plain.numbers(columns)
        self.rows = len(values)
        return values

    def _at_once(self) -> NDArray[np.float64] | None:
        text = self._text
        if self._delimiter != ",":
            if b"," in text:
                return None
            text = text.replace(self._delimiter.encode(), b",")
        values = read_plain_decimals(text.replace(b"\n", _MARKED) + _MARKED[:-1])
        # A number that is like the last cell might hide that rows are too long.
        if values is None or len(values) != (text.count(b"\n") + 1) * (self._width + 1):
            return None
        values = values.reshape(-1, self._width + 1)
        is_marked = values == _MARKER
        if not is_marked[:, -1].all() or np.count_nonzero(is_marked) != len(values):
            return None
        return values[:, :-1]

    def texts(self, column: int) -> list[str]:
        """Return a column's cells as they stand there."""
        return self._plain.texts(column)


def plain_blocks(
    body: bytes | bytearray, start: int, delimiter: str, width: int, coming: Coming
) -> Iterator[Block]:
    """Yield the rows after `start` in blocks of about 256 KiB; each is forgotten for the next.

    Parameters
    ----------
    coming : Coming
        How the body comes.

    Raises
    ------
    Irregular
        If there is a quote, or a row that has not `width` cells or is empty.
    """
    while start < (stop := line_end(body, start + PLAIN_BYTES, coming)):
        with memoryview(body) as view:
            text = bytes(view[start:stop])
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        is_last = coming.reach(stop + 1) == stop
        text = text.rstrip(b"\n") if is_last else text.removesuffix(b"\n")
        if b'"' in text or b"\r" in text or b"\0" in text or not is_utf8(text):
            raise Irregular
        if text or not is_last:
            yield NumbersBlock(text, delimiter, width)
        start = stop - coming.forget(stop)


def line_end(body: bytes | bytearray, at: int, coming: Coming) -> int:
    """Return where the line ends that has the byte at `at`, or the text; wait for it."""
    there = coming.reach(at + 1)
    while not (stop := body.find(b"\n", at, there) + 1):
        at, there = there, coming.reach(there + 1)
        if there <= at:
            return there
    return stop


def is_utf8(text: bytes) -> bool:
    """Tell whether a text is UTF-8."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


class CarefulBlock:
    """Rows as lists of cells."""

    def __init__(self, rows: list[list[str]]) -> None:
        self._columns = list(zip(*rows, strict=True))
        self.rows = len(rows)

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64] | None:
        """Return numbers of shape (rows, len(columns)), or None if a cell is none."""
        gathered = np.empty((self.rows, len(columns)))
        for position, column in enumerate(columns):
            text = ",".join(self._columns[column]).encode()
            values = read_decimals(text, self.rows)
            if values is None:
                return None
            gathered[:, position] = values
        return gathered

    def texts(self, column: int) -> Sequence[str]:
        """Return a column's cells as they stand there."""
        return self._columns[column]


class Records:
    """The records of a CSV text with the line where each begins, and what is wrong with them.

    Parameters
    ----------
    body : bytes
        UTF-8 without NUL.
    start : int
        Where the first record begins.
    """

    def __init__(self, body: bytes | bytearray, start: int, delimiter: str, faults: Faults) -> None:
        self._faults = faults
        self._reader = csv.reader(_lines(body, start), delimiter=delimiter, strict=True)

    @property
    def lines(self) -> int:
        """How many lines were read so far."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line and cells of each record that is not empty."""
        while True:
            line = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._faults.add(None, f"Line {line} {wrong_record(error)}.", line=line)
                return
            if cells:
                yield line, cells


def wrong_record(error: csv.Error | UnicodeDecodeError) -> str:
    """Return what is wrong with a record that the reader refused."""
    said = str(error)
    if isinstance(error, UnicodeDecodeError):
        return "must be UTF-8, it is not"
    if "unexpected end" in said:
        return "has a quote that is not closed"
    if "field limit" in said:
        return f"has a field of more than {csv.field_size_limit()} characters"
    if "new-line" in said:
        return "has a carriage return without a line feed"
    return "must have a delimiter after a closing quote"


def _lines(body: bytes | bytearray, start: int) -> Iterator[str]:
    while start < len(body):
        stop = body.find(b"\n", start) + 1 or len(body)
        yield body[start:stop].decode()
        start = stop


def careful_blocks(records: Iterator[tuple[int, list[str]]]) -> Iterator[Block]:
    """Yield records in blocks."""
    while batch := list(islice(records, CAREFUL_ROWS)):
        yield CarefulBlock([cells for _, cells in batch])
