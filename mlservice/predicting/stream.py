"""From the text of many rows to the text of their answers, piece by piece, in constant memory."""

from collections.abc import Iterator

import numpy as np

from mlservice.errors import InvalidRow, InvalidTable, Problem
from mlservice.predicting.answer import Form, answer
from mlservice.predicting.lines import Writer
from mlservice.predicting.matching import Wanted, match
from mlservice.predicting.rows import MOST_ROW_BYTES, RowReader, Rows
from mlservice.predicting.unseen import Novelty
from mlservice.preparation import Columns
from mlservice.scores import Scored
from mlservice.table import Table

# Numbers that are answered at a time, so that many classes of many rows take little memory.
_MOST_CELLS = 1_000_000
_TOO_LONG = f"must have at most {MOST_ROW_BYTES} bytes, it has more."


class Transformer:
    """Turns pieces of a body into pieces of its answer.

    A row that cannot be predicted has its error in the answer, in its place.

    Parameters
    ----------
    reader : RowReader
        Of the body's media type.
    writer : Writer
        Of the answer's.
    """

    def __init__(self, reader: RowReader, writer: Writer, form: Form, wanted: Wanted) -> None:
        self._reader = reader
        self._writer = writer
        self._form = form
        self._wanted = wanted
        self._novelty = Novelty(form.scorer)
        self._ignores_extra = form.options.extra == "ignore"
        self._most_rows = max(1, _MOST_CELLS // form.cells_of_row)
        self._rest = b""
        self._is_open = False
        self._skips = False
        self._by_class = np.zeros(len(form.scorer.labels), np.intp)

    @property
    def is_open(self) -> bool:
        """Whether what stands above the rows has been read, and is as it must be."""
        return self._is_open

    def take_counts(self) -> list[int]:
        """Return how many rows were predicted to be of each class, since it was asked last."""
        found: list[int] = self._by_class.tolist()
        self._by_class[:] = 0
        return found

    def feed(self, piece: bytes, *, is_last: bool = False) -> Iterator[bytes]:
        """Take a piece of the body, and yield what can be answered now.

        Raises
        ------
        InvalidRow
            If what stands above the rows is not as it must be; never later.
        """
        text = self._rest + piece if self._rest else piece
        if not self._is_open:
            begin = self._reader.open(text if not is_last else text + b"\n")
            if begin is None:
                self._keep_head(text, is_last)
                return
            text, self._is_open = text[begin:], True
            if head := self._writer.header(self._form):
                yield head
        yield from self._rows_of(text, is_last)

    def _keep_head(self, text: bytes, is_last: bool) -> None:
        if is_last or len(text) > MOST_ROW_BYTES:
            raise InvalidRow("The body must begin with the names of its columns, it does not.")
        self._rest = text

    def _rows_of(self, text: bytes, is_last: bool) -> Iterator[bytes]:
        if self._skips:
            _, found, text = text.partition(b"\n")
            self._skips = not found
            self._reader.line += len(found)
        rows, end = self._reader.read(text, is_last=is_last)
        for start in range(0, len(rows), self._most_rows):
            lines = self._lines(rows, start, min(start + self._most_rows, len(rows)))
            yield b"\n".join([*lines, b""])
        self._rest = text[end:]
        if len(self._rest) > MOST_ROW_BYTES:
            self._rest, self._skips = b"", True
            yield self._writer.error(self._form, f"Line {self._reader.line}: {_TOO_LONG}") + b"\n"

    def _lines(self, rows: Rows, start: int, stop: int) -> list[bytes]:
        """Return the lines of some rows; where they cannot be answered together, by halves."""
        try:
            table = rows.table(start, stop)
            columns = match(table, self._wanted, ignores_extra=self._ignores_extra)
            scored, outside = self._form.scorer.table.try_score(columns)
            self._check(scored, columns, table)
            told = answer(self._form, scored, columns)
            self._by_class += np.bincount(told.positions, minlength=len(self._by_class))
            return self._writer.rows(told, self._novelty.by_row(columns, outside))
        except (InvalidRow, InvalidTable) as problem:
            if stop - start == 1:
                return [self._writer.error(self._form, _told(problem))]
        middle = (start + stop) // 2
        return self._lines(rows, start, middle) + self._lines(rows, middle, stop)

    def _check(self, scored: Scored, columns: Columns, table: Table) -> None:
        for row in scored.unscorable.tolist():
            why = self._form.scorer.table.why_unscorable(columns, row)
            raise InvalidRow(f"Line {table.line(row)}: {why}.")


def _told(problem: Problem) -> str:
    return " ".join(fault.detail for fault in problem.errors) or problem.detail
