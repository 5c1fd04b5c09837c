"""A few rows in a small body of JSON, predicted by plain arithmetic.

numpy's fixed cost of a call is many times what such a body needs. What is not as
plain as it could be is left to the way that all tables take, whose words tell
what is wrong.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import TypeVar

import msgspec

from mlservice.errors import InvalidRow
from mlservice.scoring import Scorer

MOST_BYTES = 8192
# Beyond, numpy is faster.
_MOST_ROWS = 8

T = TypeVar("T")
Row = Sequence[float]
_Columns = dict[str, list[float]]
_Records = list[dict[str, float]]


class _Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    columns: list[str]
    data: list[list[float]]


class _Wrapped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    data: _Columns | _Records


_bare = msgspec.json.Decoder(_Columns | _Records).decode
_wrapped = msgspec.json.Decoder(_Wrapped).decode
_split = msgspec.json.Decoder(_Split).decode
# What a body must be of none but one of the forms.
_REFUSED = (msgspec.DecodeError, LookupError, ValueError, RecursionError, InvalidRow)


def predict_at_once(
    model_id: str, scorer: Scorer, body: bytes | bytearray, most_cells: int
) -> bytes | None:
    """Return the answer to a table of numbers, in any form, without options.

    Parameters
    ----------
    most_cells : int
        Probabilities that an answer may have.

    Returns
    -------
    bytes or None
        A line of JSON; None if the body is anything else, the model has a preparation,
        or there is something to be told.
    """
    if scorer.encoder:
        return None
    begun = perf_counter()
    try:
        rows = _rows(body, scorer.features)
        if not 0 < len(rows) <= min(_MOST_ROWS, most_cells // len(scorer.labels)):
            return None
        scored = [scorer.score_row(row) for row in rows if scorer.extent.holds(row)]
    except _REFUSED:
        return None
    if len(scored) < len(rows):
        return None
    positions, probabilities = zip(*scored, strict=True)
    _count(scorer, rows, positions, begun)
    return scorer.rows_form.fill(model_id, positions, probabilities)


def _rows(body: bytes | bytearray, features: tuple[str, ...]) -> Sequence[Row]:
    """Return a table's rows in the order of the features, or raise one of `_REFUSED`."""
    try:
        table = _bare(body)
    except msgspec.ValidationError:
        # Of the forms that are none of the first two, these tell themselves by a name.
        if b'"columns"' in body:
            return _rows_of_split(_split(body), features)
        table = _wrapped(body).data
    if isinstance(table, dict):
        return list(zip(*_values(table, features), strict=True))
    return [_values(record, features) for record in table]


def _values(named: dict[str, T], features: tuple[str, ...]) -> list[T]:
    """Return what belongs to the features, and to nothing else."""
    if len(named) != len(features):
        raise LookupError
    return [named[name] for name in features]


def _rows_of_split(table: _Split, features: tuple[str, ...]) -> Sequence[Row]:
    places = {name: place for place, name in enumerate(table.columns)}
    order = _values(places, features)
    if len(table.columns) != len(order) or any(len(row) != len(order) for row in table.data):
        raise LookupError
    return [[row[place] for place in order] for row in table.data]


def _count(scorer: Scorer, rows: Sequence[Row], positions: tuple[int, ...], begun_s: float) -> None:
    counts = scorer.counts
    for position in positions[1:]:
        counts.by_class[position] += 1
    counts.add_row(positions[0], begun_s)
    if counts.watch:
        for row in rows:
            counts.watch.see(row)
