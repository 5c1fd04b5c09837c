"""Numbers of a table as they come, some rows at a time: one matrix, and columns apart from it."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from mlservice.table.columns import Column

Matrix = NDArray[np.float64]


class Numbers:
    """Gathers the numeric columns of a table.

    Parameters
    ----------
    places : sequence of int
        Where the columns stand in the table.
    apart : set of int
        Those of them that are no part of the matrix.
    rows : int
        About how many rows will come: for so many there is room at once.

    Attributes
    ----------
    are_finite : bool
        Whether no number is missing or infinite, as far as that is told by sums.
    """

    def __init__(self, places: Sequence[int], apart: AbstractSet[int], rows: int) -> None:
        self.places = places
        self._within = [place for place in places if place not in apart]
        self._apart = [place for place in places if place in apart]
        self._taken = _chosen([place not in apart for place in places])
        self._left = _chosen([place in apart for place in places])
        self._matrix = _Growing(rows, len(self._within))
        self._others = [_Growing(rows, 1) for _ in self._apart]
        self.are_finite = True

    def append(self, rows: Matrix) -> None:
        """Add rows, of shape (n_rows, n_places)."""
        with np.errstate(over="ignore", invalid="ignore"):
            self.are_finite = self.are_finite and bool(np.isfinite(rows.sum()))
        self._matrix.append(rows[:, self._taken])
        for other, column in zip(self._others, rows[:, self._left].T, strict=True):
            other.append(column[:, np.newaxis])

    def columns(self) -> dict[int, Column]:
        """Return each column by its place."""
        columns: dict[int, Column] = dict(zip(self._within, self._matrix.whole().T, strict=True))
        for place, other in zip(self._apart, self._others, strict=True):
            columns[place] = other.whole()[:, 0]
        return columns


def _chosen(wanted: list[bool]) -> slice | list[int]:
    """Return what takes some columns of a matrix; a slice, which is faster, where one does."""
    places = [place for place, is_wanted in enumerate(wanted) if is_wanted]
    if places and places[-1] - places[0] == len(places) - 1:
        return slice(places[0], places[-1] + 1)
    return places


class _Growing:
    """A matrix that grows in place by an eighth where it has no room."""

    def __init__(self, rows: int, width: int) -> None:
        self._rows = np.empty((rows, width))
        self._count = 0

    def append(self, rows: Matrix) -> None:
        end = self._count + len(rows)
        if end > len(self._rows):
            self._resize(max(end, len(self._rows) * 9 // 8))
        self._rows[self._count : end] = rows
        self._count = end

    def whole(self) -> Matrix:
        """Return the rows; none can be added from then on."""
        self._resize(self._count)
        return self._rows

    def _resize(self, count: int) -> None:
        # No view of it has been given away yet.
        self._rows.resize((count, self._rows.shape[1]), refcheck=False)
