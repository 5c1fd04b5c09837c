"""What a table's owner should know before trusting its model, in words, with what to change."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.preparation import Column, Preparation, Texts
from mlservice.schemas import FitWarning, Label

FEWEST_ROWS = 5
_MOST_NAMED = 5
# Columns that agree in so many rows are compared in all.
_LOOKED_AT = 1000
# Fewer may be grades or codes.
_MANY_VALUES = 10


def remarks(
    columns: Mapping[str, Column],
    preparation: Preparation,
    y: NDArray[np.intp],
    classes: Sequence[Label],
) -> list[FitWarning]:
    """Return what is odd about a table that can be trained on.

    Parameters
    ----------
    columns : mapping of str to ndarray or Texts
        The features.
    preparation : Preparation
        What was learnt of them.
    y : ndarray of shape (n_samples,), intp
        Position of each row's class in `classes`.
    classes : sequence of str, int or bool
        The target's values.
    """
    found = [
        ("constant-columns", _CONSTANT, _constant(columns, preparation)),
        ("duplicate-columns", _DUPLICATE, _duplicates(columns)),
        ("numbers-as-text", _AS_TEXT, _numbers_as_text(columns)),
        ("tiny-classes", _TINY, _tiny(y, classes)),
    ]
    return [
        FitWarning(code=code, detail=sentence.format(_first(list(names)), FEWEST_ROWS))
        for code, sentence, names in found
        if names
    ]


_CONSTANT = "These columns have one value in all rows and tell nothing; leave them out: {0}."
_DUPLICATE = (
    "These columns repeat another, and share its coefficient among them; leave them out: {0}."
)
_AS_TEXT = (
    "These columns are text and have a coefficient for each value, though their values are "
    "numbers; send numbers with a decimal point, and leave what is missing empty: {0}."
)
_TINY = (
    "These classes have fewer than {1} rows, too few to be learnt; "
    "add rows, or join or leave out the classes: {0}."
)


def _first(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _constant(columns: Mapping[str, Column], preparation: Preparation) -> list[str]:
    fills = {each.name: each.fill for each in preparation.features}
    return [repr(name) for name, column in columns.items() if _is_constant(column, fills[name])]


def _is_constant(column: Column, fill: Any) -> bool:
    if isinstance(column, Texts):
        return bool((column.codes == column.codes[0]).all())
    beginning = column[:_LOOKED_AT]
    if not np.isnan(beginning).any() and (beginning != beginning[0]).any():
        # As nearly always, and without a walk through the whole column.
        return False
    if not np.isnan(column).any():
        return bool((column == column[0]).all())
    return bool((column[~np.isnan(column)] == fill).all())


def _duplicates(columns: Mapping[str, Column]) -> list[str]:
    seen: dict[object, list[str]] = {}
    found = []
    for name, column in columns.items():
        alike = seen.setdefault(_beginning(column), [])
        same = next((each for each in alike if _are_equal(columns[each], column)), None)
        if same is None:
            alike.append(name)
        else:
            found.append(f"{name!r} (as {same!r})")
    return found


def _beginning(column: Column) -> object:
    if isinstance(column, Texts):
        return column.values, column.codes[:_LOOKED_AT].tobytes()
    return column[:_LOOKED_AT].tobytes()


def _are_equal(one: Column, other: Column) -> bool:
    if isinstance(one, Texts) or isinstance(other, Texts):
        # What begins alike is of one kind, and has the same values.
        return np.array_equal(_codes(one), _codes(other))
    return np.array_equal(one, other, equal_nan=True)


def _codes(column: Column) -> NDArray[Any]:
    return column.codes if isinstance(column, Texts) else column


def _numbers_as_text(columns: Mapping[str, Column]) -> list[str]:
    found = []
    for name, column in columns.items():
        if isinstance(column, Texts) and len(column.values) >= _MANY_VALUES:
            others = [value for value in column.values if not _is_number(value)]
            if len(others) <= 1:
                found.append(repr(name) + "".join(f" (but for {text[:64]!r})" for text in others))
    return found


def _is_number(text: str) -> bool:
    try:
        # Half of the world writes a decimal comma.
        return math.isfinite(float(text.replace(",", ".")))
    except ValueError:
        return False


def _tiny(y: NDArray[np.intp], classes: Sequence[Label]) -> list[str]:
    counts = np.bincount(y, minlength=len(classes)).tolist()
    return [
        f"{repr(label)[:64]} ({count})"
        for label, count in zip(classes, counts, strict=True)
        if count < FEWEST_ROWS
    ]
