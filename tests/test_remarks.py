"""What is odd about a table, in words."""

import json
from typing import Any

import pytest

from mlservice.dataset import prepare
from mlservice.schemas import FitWarning, read_training
from mlservice.settings import Settings

TARGET = [0, 1] * 10


def remarks_on(**columns: list[Any]) -> list[FitWarning]:
    """Return what is said of a table with these columns."""
    body = json.dumps({"data": {"y": TARGET} | columns, "target": "y"}).encode()
    return prepare(read_training(body), Settings()).remarks()


def numbers(first: float | None = 0.5) -> list[Any]:
    """Return 20 numbers, the first as given."""
    return [first, *range(19)]


def test_nothing_is_said_of_an_ordinary_table() -> None:
    """Numbers, gaps and texts are no reason for a warning."""
    assert remarks_on(a=numbers(), b=numbers(None), c=["x", None] * 10, d=[True, False] * 10) == []


@pytest.mark.parametrize(
    "cells", [[3] * 20, [3, None] * 10, ["x"] * 20, [False] * 20, [0.0, -0.0] * 10]
)
def test_column_of_one_value_is_named(cells: list[Any]) -> None:
    """A column that is the same in all rows, once it is filled, tells nothing."""
    [told] = remarks_on(a=numbers(), b=cells)

    assert told.code == "constant-columns"
    assert told.detail.endswith("leave them out: 'b'.")


def test_text_of_one_value_with_gaps_is_not_constant() -> None:
    """That a text is missing tells something."""
    assert remarks_on(a=["x", None] * 10) == []


@pytest.mark.parametrize("cells", [numbers(), numbers(None), ["x", "z", None, "z"] * 5])
def test_column_that_repeats_another_is_named_with_it(cells: list[Any]) -> None:
    """The first keeps its place, each later one is a duplicate."""
    [told] = remarks_on(a=cells, b=cells, c=cells, d=numbers(7))

    assert told.code == "duplicate-columns"
    assert told.detail.endswith("leave them out: 'b' (as 'a'), 'c' (as 'a').")


def test_columns_that_begin_alike_and_differ_later_are_no_duplicates() -> None:
    """Long columns are compared in all their rows."""
    rows = 1200
    table = {"y": [0, 1] * (rows // 2), "a": [*range(rows)], "b": [*range(rows - 1), 0]}
    body = json.dumps({"data": table, "target": "y"}).encode()

    assert prepare(read_training(body), Settings()).remarks() == []


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([str(i) for i in range(20)], "'a'."),
        (["NA", *map(str, range(19))], "'a' (but for 'NA')."),
        ([f"{i},5" for i in range(20)], "'a'."),
    ],
)
def test_numbers_that_were_sent_as_text_are_named(cells: list[str], words: str) -> None:
    """A word for what is missing makes text of a column of numbers, and so does a decimal comma."""
    [told] = remarks_on(a=cells)

    assert told.code == "numbers-as-text"
    assert told.detail.endswith(f"leave what is missing empty: {words}")


@pytest.mark.parametrize("cells", [["1", "2"] * 10, ["NA", "none", *map(str, range(18))]])
def test_codes_and_other_texts_are_not_taken_for_numbers(cells: list[str]) -> None:
    """A few numbers may be codes, and several words are no mark of what is missing."""
    assert remarks_on(a=cells) == []


def test_class_of_fewer_than_five_rows_is_named_with_their_number() -> None:
    """Five rows are enough to be silent."""
    table = {"a": numbers(), "y": ["big"] * 11 + ["five"] * 5 + ["four"] * 4}

    [told] = remarks_on(**table)

    assert told.code == "tiny-classes"
    assert told.detail.startswith("These classes have fewer than 5 rows")
    assert told.detail.endswith("leave out the classes: 'four' (4).")


def test_many_columns_are_counted_after_the_first_five() -> None:
    """A warning stays short."""
    constant = {f"c{i}": [i] * 20 for i in range(40)}

    [told, *_] = remarks_on(**constant)

    assert told.detail.endswith("'c0', 'c1', 'c2', 'c3', 'c4' and 35 more.")
