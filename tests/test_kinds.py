"""Columns of numbers or text, told apart by their cells."""

from typing import Any

import numpy as np
import pytest

from mlservice.kinds import read_column
from mlservice.preparation import Texts
from mlservice.schemas import Preprocessing
from mlservice.table import Faults, Table, from_json

HUGE = 10**399


def read(cells: list[Any], **options: Any) -> tuple[Any, list[tuple[str | None, str]]]:
    """Return a column and the places and words of what is wrong with it."""
    faults = Faults()
    column = read_column(from_json({"a/~": cells}), "a/~", Preprocessing(**options), faults)
    return column, [(fault.pointer, fault.detail) for fault in faults.first]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ([1, 2.5], [1, 2.5]),
        ([True, False, 3], [1, 0, 3]),
        ([1, None], [1, np.nan]),
        ([None, False], [np.nan, 0]),
    ],
)
def test_numbers_and_booleans_are_a_numeric_column(cells: list[Any], values: list[float]) -> None:
    """Null is missing, and stands as NaN."""
    column, faults = read(cells)

    assert faults == []
    assert column.dtype == np.float64
    np.testing.assert_array_equal(column, values)


def test_array_of_numbers_is_a_numeric_column() -> None:
    """A table may hold float64 already, NaN where a value is missing."""
    faults, values = Faults(), np.array([1.0, np.nan])
    table = Table({"a": values}, "columns")

    column = read_column(table, "a", Preprocessing(), faults)

    assert column is values
    assert faults.count == 0


@pytest.mark.parametrize(
    ("cells", "values", "codes"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        (["b", None], ("b",), [0, -1]),
        (["", "b"], ("b",), [-1, 0]),
        (["1", "\u00fc", "Z"], ("1", "Z", "\u00fc"), [0, 2, 1]),
    ],
)
def test_strings_are_a_text_column(
    cells: list[Any], values: tuple[str, ...], codes: list[int]
) -> None:
    """Values are ascending; null and the empty text are missing."""
    column, faults = read(cells)

    assert faults == []
    assert isinstance(column, Texts)
    assert (column.values, column.codes.tolist()) == (values, codes)


@pytest.mark.parametrize(
    ("cells", "pointer", "words"),
    [
        ([1, "2"], "/data/a~1~0/1", "must be a number, it is text"),
        (["1", 2], "/data/a~1~0/1", "must be text, it is a number"),
        ([None, "1", True], "/data/a~1~0/2", "must be text, it is a number"),
        ([[1], 2], "/data/a~1~0/0", "must be a number, it is a list"),
        (["1", {}], "/data/a~1~0/1", "must be text, it is an object"),
        ([None, []], "/data/a~1~0/1", "it is a list"),
        ([1, HUGE], "/data/a~1~0/1", "does not fit in float64"),
        ([-HUGE, None], "/data/a~1~0/0", "does not fit in float64"),
        ([None, None], "/data/a~1~0", "must have a value, all 2 are missing"),
        (["", None], "/data/a~1~0", "must have a value, all 2 are missing"),
        (["x", "y" * 1025], "/data/a~1~0/1", "at most 1024 characters, it has 1025"),
    ],
)
def test_wrong_cell_is_noted_with_its_place(cells: list[Any], pointer: str, words: str) -> None:
    """A cell that is not of its column's kind is told by its row."""
    _, [(place, detail)] = read(cells)

    assert place == pointer
    assert words in detail
    assert "'a/~'" in detail


@pytest.mark.parametrize(
    ("cells", "options", "places"),
    [
        ([1, None, None], {"impute": "error"}, ["/data/a~1~0/1", "/data/a~1~0/2"]),
        ([1, None], {"encode": "error"}, []),
        (["x", "y"], {"encode": "error"}, ["/data/a~1~0"]),
        (["x", None], {"impute": "error"}, []),
    ],
)
def test_what_shall_be_an_error_is_noted(
    cells: list[Any], options: dict[str, Any], places: list[str]
) -> None:
    """With `error` missing numbers, or text, are refused instead of prepared."""
    _, faults = read(cells, **options)

    assert [pointer for pointer, _ in faults] == places
