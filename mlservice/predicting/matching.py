"""From a table that is to be predicted to a model's columns, matched by name.

All that is wrong is told at once, each with its place: columns that are left out
or unknown, cells of another kind, values that are missing where training had none
missing. The column that the model predicts may stand there and is not read, so
that a training's own table can be sent again.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from mlservice.errors import InvalidRow
from mlservice.kinds import kind_name
from mlservice.preparation import Column, Columns, Texts, labels, places_of
from mlservice.profile import FeatureProfile, Profile
from mlservice.schemas import Feature, TableWarning
from mlservice.table import Faults, Table, read_decimals

_NUMBERS = {int, float, bool}
_TOLD = 5


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a table must have.

    Attributes
    ----------
    features : tuple of Feature
        The model's.
    target : str
        The column that it predicts; it may stand in the table and is not read.
    advice : str
        What to do about a column that is no feature.
    """

    features: tuple[Feature, ...]
    target: str
    advice: str = "leave it out, or say extra=ignore"

    @cached_property
    def texts(self) -> frozenset[str]:
        """Names of the features that are text, whatever their cells look like."""
        return frozenset(each.name for each in self.features if each.kind == "text")


def match(table: Table, wanted: Wanted, *, ignores_extra: bool = False) -> dict[str, Column]:
    """Return the columns that a model reads.

    Parameters
    ----------
    table : Table
        Its cells are lists of JSON's values, or arrays with NaN where a number is missing.
    wanted : Wanted
        What the model reads.
    ignores_extra : bool
        Whether columns that are no features may stand there.

    Returns
    -------
    dict of str to ndarray or Texts
        What `TableScorer.score` takes.

    Raises
    ------
    InvalidRow
        With the first 20 places that are wrong, and the count of all.
    """
    faults = Faults()
    check_names(table, wanted, ignores_extra, faults)
    given = [each for each in wanted.features if each.name in table.columns]
    columns = {each.name: _column(table, each, faults) for each in given}
    faults.check(InvalidRow)
    return columns


def check_names(table: Table, wanted: Wanted, ignores_extra: bool, faults: Faults) -> None:
    """Note columns that are left out, and others that are no features."""
    known = {wanted.target, *(each.name for each in wanted.features)}
    for name in table.columns:
        if name not in known and not ignores_extra:
            faults.add(
                table.pointer(name),
                f"{name[:128]!r} is not a feature of the model; {wanted.advice}.",
            )
    for each in wanted.features:
        if each.name not in table.columns:
            faults.add("/data", f"Column {each.name!r} must be given, it is left out.")


def _column(table: Table, feature: Feature, faults: Faults) -> Column:
    cells = table.columns[feature.name]
    read = _texts if feature.kind == "text" else _numbers
    before = faults.count
    column, missing = read(cells)
    if column is None:
        for row, detail in _misfits(table, feature):
            _note(table, feature, row, detail, faults)
    elif not feature.missing:
        wanted = "text" if feature.kind == "text" else "a number"
        for row in np.flatnonzero(missing).tolist():
            _note(table, feature, row, f"must be {wanted}, it is missing", faults)
    return np.empty(0) if column is None or faults.count > before else column


def _note(table: Table, feature: Feature, row: int, detail: str, faults: Faults) -> None:
    line = table.line_of(row) if table.line_of else None
    where = f"Row {row}" if line is None else f"Line {line}"
    faults.add(table.pointer(feature.name, row), f"{where}: {feature.name!r} {detail}.", line=line)


Read = tuple[Column | None, NDArray[np.bool_]]
_NOTHING = np.empty(0, np.bool_)


def _numbers(cells: list[Any] | NDArray[np.float64]) -> Read:
    """Return numbers and where they are missing, or no column if a cell is none."""
    if isinstance(cells, list):
        if not set(map(type, cells)) <= _NUMBERS | {type(None)}:
            return None, _NOTHING
        try:
            cells = np.asarray(cells, dtype=np.float64)
        except OverflowError:
            return None, _NOTHING
        if np.isinf(cells).any():
            return None, _NOTHING
    return cells, np.isnan(cells)


def _texts(cells: list[Any] | NDArray[np.float64]) -> Read:
    """Return texts and where they are missing; an empty one is, as in a training."""
    if not isinstance(cells, list):
        missing = np.isnan(cells)
        return (Texts((), np.full(len(cells), -1)) if missing.all() else None), missing
    if not set(map(type, cells)) <= {str, type(None)}:
        return None, _NOTHING
    values = tuple(sorted({cell for cell in cells if cell}))
    place = {value: code for code, value in enumerate(values)}
    codes = np.fromiter((place.get(cell, -1) for cell in cells), np.intp, len(cells))
    return Texts(values, codes), codes < 0


def _misfits(table: Table, feature: Feature) -> Iterator[tuple[int, str]]:
    """Yield each cell that is not of the feature's kind, and what it must be."""
    fault = _not_text if feature.kind == "text" else _no_number
    for row, cell in enumerate(_listed(table.columns[feature.name])):
        if cell is not None and (detail := fault(cell, table.is_text)):
            yield row, detail


def _not_text(cell: Any, _: bool) -> str | None:
    return None if isinstance(cell, str) else f"must be text, it is {kind_name(cell)}"


def _no_number(cell: Any, is_text: bool) -> str | None:
    if is_text and isinstance(cell, str):
        is_number = read_decimals(cell.encode(), 1) is not None
        return None if is_number else f"must be a number, it is {cell[:64]!r}"
    if type(cell) not in _NUMBERS:
        return f"must be a number, it is {kind_name(cell)}"
    return "must fit in float64, it does not" if abs(cell) > sys.float_info.max else None


def _listed(cells: list[Any] | NDArray[np.float64]) -> list[Any]:
    if isinstance(cells, list):
        return cells
    return [None if cell != cell else cell for cell in cells.tolist()]  # noqa: PLR0124  # NaN


def warnings_of(
    columns: Columns, features: Sequence[Feature], profile: Profile | None
) -> list[TableWarning]:
    """Return a warning for each column that has what training had not seen.

    Parameters
    ----------
    columns : mapping of str to ndarray or Texts
        As `match` returns them.
    profile : Profile, optional
        What the rows of the training were like.
    """
    profiles = profile.features if profile else [FeatureProfile(count=0)] * len(features)
    found = []
    for feature, seen in zip(features, profiles, strict=True):
        column = columns[feature.name]
        told = _unseen(feature, column) if isinstance(column, Texts) else None
        if not isinstance(column, Texts):
            told = _outside(feature.name, column, seen)
        if told:
            found.append(told)
    return found


def _outside(name: str, values: NDArray[np.float64], seen: FeatureProfile) -> TableWarning | None:
    if seen.min is UNSET or seen.max is UNSET:
        return None
    # Of NaN, which is no number, neither is true.
    if values.min() >= seen.min and values.max() <= seen.max:
        return None
    rows = np.flatnonzero((values < seen.min) | (values > seen.max))
    if not len(rows):
        return None
    return TableWarning(
        code="outside-range",
        detail=f"{name!r} was {seen.min:.6g} to {seen.max:.6g} in training, "
        f"row {rows[0]} has {values[rows[0]]:.6g}: the model extrapolates.",
        column=name,
        rows=len(rows),
        first=int(rows[0]),
    )


def _unseen(feature: Feature, column: Texts) -> TableWarning | None:
    rows = np.flatnonzero((places_of(feature, column) < 0) & (column.codes >= 0))
    if not len(rows):
        return None
    known = set(labels(feature))
    texts = [value for value in column.values if value not in known]
    named = ", ".join(repr(text[:64]) for text in texts[:_TOLD])
    more = f" and {len(texts) - _TOLD} more" if len(texts) > _TOLD else ""
    return TableWarning(
        code="unseen-category",
        detail=f"{named}{more} of {feature.name!r} not seen in training: nothing is contributed.",
        column=feature.name,
        rows=len(rows),
        first=int(rows[0]),
    )
