"""One row of a client's values, prepared as `Preparation.transform` prepares many."""

import math
from collections.abc import Sequence
from itertools import count
from typing import Any

from msgspec import UNSET

from mlservice.preparation import Preparation, encoded, labels
from mlservice.schemas import Feature


class RowEncoder:
    """What a preparation does to one row, in Python's own numbers.

    Rows are sequences in the order of the features: float for numbers, str for
    text, None where a value is missing.

    Attributes
    ----------
    width : int
        How many columns of the matrix are numbers; they are the first.
    """

    def __init__(self, preparation: Preparation) -> None:
        places = list(enumerate(preparation.features))
        self.width = len(preparation.number_features)
        column = count(self.width)
        self._numbers = [(place, *_learnt(each)) for place, each in places if _is_number(each)]
        self._texts = [
            (
                place,
                each.name,
                dict.fromkeys(labels(each)) | {label: next(column) for label in encoded(each)},
            )
            for place, each in places
            if not _is_number(each)
        ]

    def encode(self, values: Sequence[Any]) -> tuple[list[float], list[int]]:
        """Return the matrix's numeric columns, and which of the others are 1."""
        numbers = [
            ((fill if values[place] is None else values[place]) - mean) / scale
            for place, fill, mean, scale in self._numbers
        ]
        found = (columns.get(values[place] or "") for place, _, columns in self._texts)
        return numbers, [column for column in found if column is not None]

    def unseen(self, values: Sequence[Any]) -> list[tuple[str, str]]:
        """Return the feature and the text of each value that training has not seen."""
        return [
            (name, values[place])
            for place, name, columns in self._texts
            if (values[place] or "") not in columns
        ]


def _is_number(feature: Feature) -> bool:
    return feature.kind == "number"


def _learnt(feature: Feature) -> tuple[float, float, float]:
    """Return fill value, mean and scale, or what changes nothing."""
    return (
        math.nan if feature.fill is UNSET else feature.fill,
        0.0 if feature.mean is UNSET else feature.mean,
        1.0 if feature.scale is UNSET else feature.scale,
    )
