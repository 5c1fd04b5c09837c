"""A few rows in a small body of JSON, predicted by plain arithmetic.

numpy's fixed cost of a call is many times what such a body needs. What is not as
plain as it could be is left to the way that all tables take, whose words tell
what is wrong.
"""

from operator import le

import msgspec

from mlservice.errors import InvalidRow
from mlservice.predicting.documents import Predictions
from mlservice.schemas import Label
from mlservice.scoring import Scorer

MOST_BYTES = 8192
# Beyond, numpy is faster.
_MOST_ROWS = 8
_decode = msgspec.json.Decoder(dict[str, list[float]]).decode
_encode = msgspec.json.Encoder().encode


def predict_at_once(model_id: str, scorer: Scorer, body: bytes) -> bytes | None:
    """Return the answer to bare columns of numbers.

    Returns
    -------
    bytes or None
        JSON; None if the body is anything else, the model has a preparation, or there
        is something to be told.
    """
    if scorer.encoder:
        return None
    try:
        columns = _decode(body)
        rows = list(zip(*map(columns.__getitem__, scorer.features), strict=True))
        if len(columns) > len(scorer.features) or not 0 < len(rows) <= _MOST_ROWS:
            return None
        scored = [scorer.score_row(row) for row in rows if _is_within(scorer, row)]
    except (msgspec.DecodeError, LookupError, ValueError, RecursionError, InvalidRow):
        return None
    if len(scored) < len(rows):
        return None
    for (best, _), row in zip(scored, rows, strict=True):
        scorer.counts.by_class[best] += 1
        if scorer.counts.watch:
            scorer.counts.watch.see(row)
    predictions: list[Label] = [scorer.labels[best] for best, _ in scored]
    return _encode(
        Predictions(
            model=model_id,
            predictions=predictions,
            classes=scorer.labels,
            probabilities=[each for _, each in scored],
            warnings=[],
        )
    )


def _is_within(scorer: Scorer, row: tuple[float, ...]) -> bool:
    """Tell whether training has seen numbers as small and as large."""
    lows, highs = scorer.ranges
    return all(map(le, lows, row)) and all(map(le, row, highs))
