"""A few rows in a small body of JSON, predicted by plain arithmetic.

numpy's fixed cost of a call is many times what such a body needs. What is not as
plain as it could be is left to the way that all tables take, whose words tell
what is wrong.
"""

from operator import le
from time import perf_counter

import msgspec

from mlservice.errors import InvalidRow
from mlservice.scoring import Scorer

MOST_BYTES = 8192
# Beyond, numpy is faster.
_MOST_ROWS = 8
_decode = msgspec.json.Decoder(dict[str, list[float]]).decode


def predict_at_once(model_id: str, scorer: Scorer, body: bytes | bytearray) -> bytes | None:
    """Return the answer to bare columns of numbers.

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
        columns = _decode(body)
        rows = list(zip(*[columns[name] for name in scorer.features], strict=True))
        if len(columns) > len(scorer.features) or not 0 < len(rows) <= _MOST_ROWS:
            return None
        scored = [scorer.score_row(row) for row in rows if _is_within(scorer, row)]
    except (msgspec.DecodeError, LookupError, ValueError, RecursionError, InvalidRow):
        return None
    if len(scored) < len(rows):
        return None
    positions, probabilities = zip(*scored, strict=True)
    _count(scorer, rows, positions, perf_counter() - begun)
    return scorer.rows_form.fill(model_id, positions, probabilities)


def _count(
    scorer: Scorer, rows: list[tuple[float, ...]], positions: tuple[int, ...], seconds: float
) -> None:
    counts = scorer.counts
    for position in positions:
        counts.by_class[position] += 1
    counts.durations.add(seconds)
    if counts.watch:
        for row in rows:
            counts.watch.see(row)


def _is_within(scorer: Scorer, row: tuple[float, ...]) -> bool:
    """Tell whether training has seen numbers as small and as large."""
    lows, highs = scorer.ranges
    return all(map(le, lows, row)) and all(map(le, row, highs))
