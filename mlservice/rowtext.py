"""A few rows as text: one read from a query, all answered in JSON, at the least cost.

What is the same for every row of a model is written once. Both are measured:
a row of iris is read in half the time that names and `float` take,
and answered in half the time that it takes to encode a struct.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import quote

import msgspec

from mlservice.extent import Extent
from mlservice.schemas import Label, label_name

# Features whose bounds the decoder of a row knows: it takes 15 µs for each to make.
_MOST_BOUNDS = 20

_LARGEST = sys.float_info.max

Row = Sequence[float]
_decode = msgspec.json.Decoder(list[float]).decode
_encode = msgspec.json.Encoder().encode


def query_reader(features: Sequence[str], extent: Extent) -> Callable[[str], Row | None]:
    """Return what reads `a=1&b=2` for the features a and b.

    It returns None for what it does not read: a row in another order or encoded
    in another way, and numbers that are not JSON's or do not fit in float64, or that
    `extent` does not hold. Such a query is read by name, which finds what is to be told.
    """
    # No regular expression: to compile one of 200 features takes 20 ms, of 30 more than to load.
    beginnings = [quote(name, safe="") + "=" for name in features]
    width, decode = len(beginnings), _row_decoder(extent)

    def read(query: str) -> Row | None:
        parts = query.split("&")
        # What begins otherwise keeps its name, which is no number.
        texts = ",".join(map(str.removeprefix, parts, beginnings))
        # JSON allows spaces, and a plus in an exponent, which is a space in a query.
        if "+" in texts or " " in texts or not texts.isprintable():
            return None
        try:
            row = decode(f"[{texts}]")
        except msgspec.DecodeError:
            return None
        return row if len(row) == len(parts) == width else None

    return read


def _row_decoder(extent: Extent) -> Callable[[str], Row]:
    """Return what reads a row of JSON, and refuses numbers that the extent does not hold."""
    if 0 < len(extent.bounds) <= _MOST_BOUNDS:
        # The decoder compares as it reads, which costs nothing.
        finite = [(max(low, -_LARGEST), min(high, _LARGEST)) for low, high in extent.bounds]
        types = [Annotated[float, msgspec.Meta(ge=low, le=high)] for low, high in finite]
        return msgspec.json.Decoder(tuple[tuple(types)]).decode  # type: ignore[misc]  # made here

    def decode(text: str) -> Row:
        row = _decode(text)
        if not extent.holds(row):
            raise msgspec.ValidationError
        return row

    return decode


class AnswerForm:
    """What a model answers for one row, all of it written but the numbers.

    It is a line: what the struct `schemas.Prediction` is encoded as, without warnings.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = [_encode(label) for label in labels]
        names = (_encode(label_name(label)).replace(b"%", b"%%") for label in labels)
        members = b",".join(name + b":%b" for name in names)
        self._form = b'{"model":"%b","prediction":%b,"probabilities":{' + members + b"}}\n"

    def fill(self, model_id: str, best: int, probabilities: list[float]) -> bytes:
        """Return the answer.

        Parameters
        ----------
        model_id : str
            A UUID.
        best : int
            Position of the predicted class.
        probabilities : list of length n_classes
            Finite.
        """
        numbers = _encode(probabilities)[1:-1].split(b",")
        return self._form % (model_id.encode(), self._labels[best], *numbers)


class RowsForm:
    """What a model answers for a table of few rows, all of it written but the numbers.

    It is a line: what the struct `predicting.documents.Predictions` is encoded as,
    without warnings.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = [_encode(label) for label in labels]
        self._classes = _encode(list(labels))

    def fill(
        self, model_id: str, positions: Sequence[int], probabilities: Sequence[list[float]]
    ) -> bytes:
        """Return the answer.

        Parameters
        ----------
        model_id : str
            A UUID.
        positions : sequence of int of length n_rows
            Each row's class.
        probabilities : sequence of lists, n_rows of length n_classes
            Finite.
        """
        return (
            b'{"model":"%b","predictions":[%b],"classes":%b,"probabilities":%b,"warnings":[]}\n'
            % (
                model_id.encode(),
                b",".join([self._labels[position] for position in positions]),
                self._classes,
                _encode(probabilities),
            )
        )
