"""Named columns of equal length, and all that is wrong with them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import ClientProblem, Fault, InvalidTable, escape

Column = list[Any] | NDArray[np.float64]

MOST_FAULTS = 20


class Faults:
    """All that is wrong with a table: the first 20 places, and how many there are."""

    def __init__(self) -> None:
        self.first: list[Fault] = []
        self.count = 0

    def add(self, pointer: str | None, detail: str, *, line: int | None = None) -> None:
        """Note one wrong place."""
        self.count += 1
        if len(self.first) < MOST_FAULTS:
            self.first.append(Fault(pointer=pointer, detail=detail, line=line))

    def check(self, kind: type[ClientProblem] = InvalidTable) -> None:
        """Refuse the table if anything was noted.

        Raises
        ------
        InvalidTable
            Or what `kind` is; with the first 20 faults, and the count of all.
        """
        if not self.count:
            return
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        raise kind(
            f"{self.first[0].detail}{more}",
            errors=self.first,
            members={"error_count": self.count},
        )


class Table:
    """Named columns of equal length, and where in the request each cell stood.

    Parameters
    ----------
    columns : dict of str to list or ndarray
        Values by name; in an array NaN is missing.
    form : {"columns", "records", "split", "tensors"}
        What a pointer leads through; formats that JSON does not know take the first.
    line_of : callable, optional
        Gives the line of the body, counted from 1, where a row begins.
    is_text : bool
        Whether numbers are written as text where a column is not numeric.
    is_finite : bool
        Whether it is known that no array has a missing or an infinite number.
    """

    def __init__(
        self,
        columns: dict[str, Column],
        form: str = "columns",
        line_of: Callable[[int], int] | None = None,
        *,
        is_text: bool = False,
        is_finite: bool = False,
    ) -> None:
        self.columns = columns
        self.form = form
        self.line_of = line_of
        self.is_text = is_text
        self.is_finite = is_finite
        self.rows = len(next(iter(columns.values()), ()))
        self._positions = {name: position for position, name in enumerate(columns)}

    def line(self, row: int) -> int | None:
        """Return the line of the body where a row begins, where it has lines."""
        return self.line_of(row) if self.line_of else None

    def pointer(self, name: str, row: int | None = None) -> str:
        """Return the RFC 6901 pointer to a cell, or to a column where it has one."""
        if self.form == "columns":
            return f"/data/{escape(name)}" + ("" if row is None else f"/{row}")
        if self.form == "records":
            return f"/data/{row or 0}/{escape(name)}"
        position = self._positions[name]
        if self.form == "tensors":
            return f"/inputs/{position}" + ("" if row is None else f"/data/{row}")
        return f"/data/columns/{position}" if row is None else f"/data/data/{row}/{position}"
