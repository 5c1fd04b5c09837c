"""Rows of a stream: cut where they end, and read as tables, all of a block or some.

A block is first read as a whole. Where something in it is wrong, its halves are,
and theirs, so that each bad row is found and no good one is lost.
"""

import csv
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol

import msgspec
import numpy as np

from mlservice.errors import InvalidRow
from mlservice.predicting.matching import Wanted, check_names
from mlservice.table import Faults, Table, has_index
from mlservice.table.blocks import Block, CarefulBlock, Irregular, PlainBlock, is_utf8, wrong_record

MOST_ROW_BYTES = 1 << 20
_NEWLINE = ord("\n")
_record = msgspec.json.Decoder(dict[str, Any])
_records = msgspec.json.Decoder(list[dict[str, Any]])


class Rows(Protocol):
    """Some rows."""

    def __len__(self) -> int:
        """Return how many."""

    def table(self, start: int, stop: int) -> Table:
        """Return some of them as a table; raise `InvalidRow` where one is none."""


class RowReader(Protocol):
    """Cuts the text of a media type into rows.

    Attributes
    ----------
    line : int
        The line of the body that is read next; who passes over lines adds them.
    """

    line: int

    def open(self, text: bytes) -> int | None:
        """Read what stands above the rows; return where they begin, None if that is not there."""

    def read(self, text: bytes, *, is_last: bool) -> tuple[Rows, int]:
        """Return the rows of a text, and where the last whole one ends."""


def _cut(text: bytes, is_last: bool) -> int:
    return len(text) if is_last else text.rfind(b"\n") + 1


class NdjsonRows:
    """Lines of JSON objects."""

    def __init__(self, lines: list[tuple[int, bytes]]) -> None:
        self._lines = lines

    def __len__(self) -> int:
        """Return how many."""
        return len(self._lines)

    def table(self, start: int, stop: int) -> Table:
        """Return some of them as a table of one set of columns."""
        lines = self._lines[start:stop]
        records = self._decode(lines)
        names = records[0].keys()
        if any(record.keys() != names for record in records):
            raise InvalidRow(f"Lines {lines[0][0]} to {lines[-1][0]} must have the same members.")
        columns: dict[str, Any] = {name: [record[name] for record in records] for name in names}
        return Table(columns, line_of=lambda row: lines[row][0])

    @staticmethod
    def _decode(lines: list[tuple[int, bytes]]) -> list[dict[str, Any]]:
        number = lines[0][0]
        try:
            if len(lines) == 1:
                return [_record.decode(lines[0][1])]
            # A line may be JSON only in the company of others; by itself each is.
            texts = [line for _, line in lines]
            records = _records.decode(b"[" + b",".join(texts) + b"]")
            if len(records) == len(lines):
                return records
        except msgspec.ValidationError as error:
            raise InvalidRow(f"Line {number}: must be a JSON object: {error}.") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRow(f"Line {number}: must be JSON, it is not: {error}.") from error
        raise InvalidRow(f"Line {number}: must be one JSON object, it is not.")


class NdjsonReader:
    """Reads NDJSON: one record a line, empty lines are none."""

    def __init__(self) -> None:
        self.line = 1

    def open(self, text: bytes) -> int | None:  # noqa: ARG002  # nothing stands above
        """Return where the rows begin: at once."""
        return 0

    def read(self, text: bytes, *, is_last: bool) -> tuple[Rows, int]:
        """Return the rows of a text, and where the last whole one ends."""
        end = _cut(text, is_last)
        lines = text[:end].split(b"\n")
        rows = [(self.line + i, line) for i, line in enumerate(lines) if line.strip()]
        self.line += len(lines) - 1
        return NdjsonRows(rows), end


class _Layout:
    """Where the columns of a CSV text stand that a model reads."""

    def __init__(self, names: list[str], wanted: Wanted, delimiter: str) -> None:
        self.width = len(names)
        self.delimiter = delimiter
        places = {name: place for place, name in enumerate(names)}
        self.numbers = {
            each.name: places[each.name] for each in wanted.features if each.kind == "number"
        }
        self.texts = {
            each.name: places[each.name] for each in wanted.features if each.kind == "text"
        }

    def table(self, block: Block, line_of: Any) -> Table:
        """Return the columns; of one row, numbers are texts where one of them is none.

        Raises
        ------
        InvalidRow
            If one of several rows has a number that is none: which one, its halves show.
        """
        columns: dict[str, Any] = {}
        numbers = block.numbers(list(self.numbers.values())) if self.numbers else None
        texts = dict(self.texts)
        if numbers is None and self.numbers and block.rows > 1:
            raise InvalidRow("Each row must have numbers where the model has, one has not.")
        if numbers is None:
            texts |= self.numbers
        else:
            columns |= zip(self.numbers, numbers.T, strict=True)
        for name, place in texts.items():
            columns[name] = [cell or None for cell in block.texts(place)]
        return Table(columns, line_of=line_of, is_text=True)


class CsvRows:
    """Records of CSV, or what is wrong with one."""

    def __init__(self, layout: _Layout, records: list[tuple[int, list[str] | str]]) -> None:
        self._layout = layout
        self._records = records

    def __len__(self) -> int:
        """Return how many."""
        return len(self._records)

    def table(self, start: int, stop: int) -> Table:
        """Return some of them as a table."""
        records, width = self._records[start:stop], self._layout.width
        cells: list[list[str]] = []
        for line, found in records:
            if isinstance(found, str):
                raise InvalidRow(f"Line {line}: {found}.")
            if len(found) != width:
                raise InvalidRow(f"Line {line}: must have {width} fields, it has {len(found)}.")
            cells.append(found)
        return self._layout.table(CarefulBlock(cells), lambda row: records[row][0])


class PlainRows:
    """Lines of CSV without quotes, each of which has its cells."""

    def __init__(self, layout: _Layout, text: bytes, block: PlainBlock, line: int) -> None:
        self._layout = layout
        self._text = text
        self._block = block
        self._line = line

    def __len__(self) -> int:
        """Return how many."""
        return self._block.rows

    def table(self, start: int, stop: int) -> Table:
        """Return some of them as a table."""
        block, first = self._block, self._line + start
        if stop - start < len(self):
            text = self._text[self._ends[start] + 1 : self._ends[stop]]
            block = PlainBlock(text, self._layout.delimiter, self._layout.width)
        return self._layout.table(block, lambda row: first + row)

    @cached_property
    def _ends(self) -> list[int]:
        """Where each line ends, the one before the first included."""
        ends = np.flatnonzero(np.frombuffer(self._text, np.uint8) == _NEWLINE)
        return [-1, *ends.tolist(), len(self._text)]


class CsvReader:
    """Reads CSV whose first line names the columns.

    Parameters
    ----------
    wanted : Wanted
        What the model reads.
    delimiter : str
        One ASCII character.
    ignores_extra : bool
        Whether columns that are no features may stand there.
    """

    def __init__(self, wanted: Wanted, delimiter: str, *, ignores_extra: bool) -> None:
        self._wanted = wanted
        self._delimiter = delimiter
        self._ignores_extra = ignores_extra
        self.line = 1
        self._layout: _Layout | None = None

    def open(self, text: bytes) -> int | None:
        """Read the names of the columns.

        Raises
        ------
        InvalidRow
            If a feature is left out, or a column is unknown or stands twice.
        """
        records = list(self._records(text.removeprefix(b"\xef\xbb\xbf"), is_last=False))
        if not records:
            return None
        _, names, taken = records[0]
        begin = len(text) - len(text.removeprefix(b"\xef\xbb\xbf"))
        if isinstance(names, str):
            raise InvalidRow(f"Line 1: {names}.")
        faults = Faults()
        for name in sorted({name for name in names if names.count(name) > 1}):
            faults.add(None, f"Column names must differ, {name[:128]!r} stands twice.", line=1)
        columns = names[1:] if has_index(names) else names
        known = Table({name: [] for name in columns})
        check_names(known, self._wanted, self._ignores_extra, faults)
        faults.check(InvalidRow)
        self._layout = _Layout(names, self._wanted, self._delimiter)
        self.line += text[: begin + taken].count(b"\n")
        return begin + taken

    def read(self, text: bytes, *, is_last: bool) -> tuple[Rows, int]:
        """Return the rows of a text, and where the last whole one ends."""
        if self._layout is None:
            raise RuntimeError("The names of the columns come first.")
        end = _cut(text, is_last)
        if plain := self._plain(text[:end], self._layout):
            self.line += len(plain)
            return plain, end
        first, end = self.line, 0
        records = []
        for line, cells, stop in self._records(text, is_last=is_last):
            end = stop
            # An empty line is no record.
            if cells:
                records.append((first + line, cells))
        self.line += text[:end].count(b"\n")
        return CsvRows(self._layout, records), end

    def _plain(self, text: bytes, layout: _Layout) -> PlainRows | None:
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        text = text.removesuffix(b"\n")
        # In one column an empty line and an empty field look alike.
        if not text or layout.width < 2 or b'"' in text or b"\r" in text or not is_utf8(text):
            return None
        try:
            block = PlainBlock(text, layout.delimiter, layout.width)
        except Irregular:
            return None
        return PlainRows(layout, text, block, self.line)

    def _records(self, text: bytes, *, is_last: bool) -> Iterator[tuple[int, list[str] | str, int]]:
        """Yield line, cells or what is wrong, and where in the text the record ends."""
        *whole, rest = text.split(b"\n")
        lines = [line + b"\n" for line in whole] + ([rest] if is_last and rest else [])
        ends = list(accumulate(map(len, lines)))
        at = 0
        while at < len(lines):
            reader = csv.reader(
                (lines[i].decode() for i in range(at, len(lines))), delimiter=self._delimiter,
                strict=True,
            )  # fmt: skip
            begun = at
            try:
                for cells in reader:
                    yield at, cells, ends[begun + reader.line_num - 1]
                    at = begun + reader.line_num
            except (csv.Error, UnicodeDecodeError) as error:
                is_open = "unexpected end" in str(error) and not is_last
                if is_open and ends[-1] - (ends[at - 1] if at else 0) < MOST_ROW_BYTES:
                    return
                yield at, wrong_record(error), ends[at]
                at += 1
