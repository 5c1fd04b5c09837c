"""Rows in the words of V1 and of MLflow: lists of instances, or columns by name.

An instance is a list of values in the order of the model's features, an object
of them by name, or, of a model with one feature, the value itself.
"""

import base64
import binascii
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from mlservice.arrays import is_nested, numbers_of
from mlservice.errors import Fault, InvalidRequest, InvalidRow, InvalidTable
from mlservice.limits import check_size
from mlservice.predicting.matching import Wanted, match, warnings_of
from mlservice.preparation import Column, Columns, Texts
from mlservice.schemas import Label, TableWarning, read_json
from mlservice.scoring import Scorer
from mlservice.settings import Settings
from mlservice.table import Table, from_json

_anything = msgspec.json.Decoder(Any)
_matrix = msgspec.json.Decoder(list[list[float]])
_MOST_ROWS = 8
# A body of as many bytes is read by a thread: below, that costs more than it spares others.
THREAD_BYTES = 8192


# The class of each row, by its position; of one row without numpy.
Positions = Sequence[int] | NDArray[np.intp]
# Where the faults of a table say that it stands, and where those of rows in the form split.
_TABLE, _ROWS = "/data", "/data/data"
# The one member of an object that is a text in base64.
_ENCODED = "b64"


def few_rows(sent: msgspec.Raw, scorer: Scorer) -> list[int] | None:
    """Return the class of each of a few plain rows of numbers, without numpy's cost of a call.

    On the event loop only, since the model's watch sees the rows.

    Returns
    -------
    list of int or None
        Positions of the classes; None for anything else, which `from_rows` reads or refuses,
        and for numbers that are outside the range of the training.
    """
    if scorer.encoder:
        return None
    try:
        rows = _matrix.decode(sent)
        if len(rows) > _MOST_ROWS or set(map(len, rows)) != {len(scorer.features)}:
            return None
        if not all(map(scorer.extent.holds, rows)):
            return None
        positions = [scorer.score_row(row)[0] for row in rows]
    except (msgspec.MsgspecError, RecursionError, InvalidRow):
        return None
    if scorer.counts.watch:
        for row in rows:
            scorer.counts.watch.see(row)
    return positions


def from_rows(
    sent: msgspec.Raw, wanted: Wanted, member: str, *, extra: bool = False
) -> dict[str, Column]:
    """Return a model's columns from a list of instances.

    Parameters
    ----------
    sent : Raw
        JSON.
    wanted : Wanted
        What the model reads.
    member : str
        Pointer to the list.
    extra : bool
        Whether objects may have members that are no features.

    Raises
    ------
    MalformedJson
        If it is nested too deeply.
    InvalidRequest, InvalidTable, InvalidRow
        If it is no such list, or the rows are none that the model takes.
    """
    if is_nested(sent) and (matrix := numbers_of(sent)) is not None:
        return _match(_from_matrix(matrix, wanted, member), wanted, member, read_at=_ROWS)
    rows = read_json(_anything, sent)
    if not isinstance(rows, list):
        raise _wrong(member, "must be a list of instances, it is not")
    if not rows or (isinstance(rows[0], dict) and not _is_one_text(rows[0], wanted)):
        return from_records(rows, wanted, member, extra=extra)
    return _match(_from_lists(rows, wanted, member), wanted, member, read_at=_ROWS)


def from_records(
    rows: list[Any], wanted: Wanted, member: str, *, extra: bool = False
) -> dict[str, Column]:
    """Return a model's columns from a list of objects; it raises what `from_rows` does."""
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise _wrong(f"{member}/{place}", "must be an object as the others are, it is not")
    with _told_at(member):
        table = from_json(rows)
    return _match(table, wanted, member, extra=extra)


def from_columns(
    sent: dict[str, Any], wanted: Wanted, member: str, *, extra: bool = False
) -> dict[str, Column]:
    """Return a model's columns from an object of lists; it raises what `from_rows` does."""
    with _told_at(member):
        table = from_json(sent)
    return _match(table, wanted, member, extra=extra)


def _is_one_text(row: dict[str, Any], wanted: Wanted) -> bool:
    """Tell whether an object is the value of a model's one feature."""
    names = [feature.name for feature in wanted.features]
    return row.keys() == {_ENCODED} and len(names) == 1 and names[0] != _ENCODED


def _from_matrix(matrix: NDArray[Any], wanted: Wanted, member: str) -> Table:
    names = [feature.name for feature in wanted.features]
    if not matrix.size or matrix.shape[1] != len(names):
        raise _wrong(member, f"must have rows of {len(names)} values; {_order(names)}")
    return Table(dict(zip(names, matrix.T, strict=True)), "split")


def _from_lists(rows: list[Any], wanted: Wanted, member: str) -> Table:
    names = [feature.name for feature in wanted.features]
    if len(names) == 1:
        # The values themselves, or lists of one.
        rows = [row if isinstance(row, list) else [row] for row in rows]
    for place, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise _wrong(
                f"{member}/{place}", f"must be a list of {len(names)} values; {_order(names)}"
            )
    columns: dict[str, Any] = {
        name: list(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }
    return Table(columns, "split")


def _order(names: list[str]) -> str:
    more = ", …" if len(names) > 20 else ""
    return f"their order is {', '.join(names[:20])}{more}"


def _match(
    table: Table, wanted: Wanted, member: str, *, extra: bool = False, read_at: str = _TABLE
) -> dict[str, Column]:
    for name in wanted.texts & table.columns.keys():
        if isinstance(cells := table.columns[name], list):
            table.columns[name] = [_text(cell, member) for cell in cells]
    with _told_at(member, read_at):
        return match(table, wanted, ignores_extra=extra)


def _text(cell: Any, member: str) -> Any:
    """Return a text that is sent as `{"b64": ...}`, everything else as it is."""
    if not isinstance(cell, dict) or cell.keys() != {_ENCODED}:
        return cell
    try:
        return base64.b64decode(cell[_ENCODED], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError, ValueError) as error:
        raise _wrong(member, "must have UTF-8 in base64 as b64, it has not") from error


def check_answer(columns: dict[str, Column], cells_of_row: int, limits: Settings) -> None:
    """Refuse rows whose answer would be too large.

    Raises
    ------
    TableTooLarge
        If its numbers are more than the limit.
    """
    first = next(iter(columns.values()))
    rows = len(first.codes if isinstance(first, Texts) else first)
    check_size("numbers in an answer", rows * cells_of_row, "prediction_cells", limits)


def wanted_of(scorer: Scorer) -> Wanted:
    """Return what a model reads."""
    features = scorer.table.preparation.features
    return Wanted(features=features, target=scorer.target, advice="leave it out")


def remarks_of(scorer: Scorer, columns: Columns) -> list[TableWarning] | UnsetType:
    """Return what training had not seen of some columns, unset if there is nothing to say."""
    features = scorer.table.preparation.features
    return warnings_of(columns, features, scorer.profile) or UNSET


def labels_at(scorer: Scorer, positions: list[int]) -> list[Label]:
    """Return the classes at some positions."""
    return list(map(scorer.labels.__getitem__, positions))


@contextlib.contextmanager
def _told_at(member: str, read_at: str = _TABLE) -> Iterator[None]:
    """Point the faults of a table at where it stands in the body."""
    try:
        yield
    except (InvalidTable, InvalidRow) as problem:
        problem.errors = tuple(_moved(fault, member, read_at) for fault in problem.errors)
        raise


def _moved(fault: Fault, member: str, read_at: str) -> Fault:
    if fault.pointer is None:
        return fault
    return msgspec.structs.replace(fault, pointer=member + fault.pointer.removeprefix(read_at))


def _wrong(pointer: str, detail: str) -> InvalidRequest:
    said = f"{pointer} {detail}."
    return InvalidRequest(said, errors=[Fault(pointer=pointer, detail=said)])
