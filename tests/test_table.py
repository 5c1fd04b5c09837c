"""The three JSON forms of a table."""

from typing import Any

import pytest

from mlservice.errors import InvalidTable
from mlservice.table import MOST_FAULTS, Faults, Table, from_json

SPLIT = {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}
FORMS: dict[str, Any] = {
    "columns": {"a": [1, 2], "b": ["x", "y"]},
    "records": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
    "split": SPLIT,
    "split with index": SPLIT | {"index": [7, 8]},
    "records in another order": [{"a": 1, "b": "x"}, {"b": "y", "a": 2}],
}


def pointers(data: Any) -> list[str | None]:
    """Return the places that a table is refused with."""
    with pytest.raises(InvalidTable) as refused:
        from_json(data)
    assert refused.value.members == {"error_count": len(refused.value.errors)}
    return [fault.pointer for fault in refused.value.errors]


@pytest.mark.parametrize("form", FORMS)
def test_forms_mean_the_same(form: str) -> None:
    """Whatever form a table is sent in, its columns are the same."""
    table = from_json(FORMS[form])

    assert list(table.columns.items()) == [("a", [1, 2]), ("b", ["x", "y"])]
    assert table.rows == 2


def test_columns_named_columns_is_a_columns_table() -> None:
    """Only exactly the keys of a split table make one."""
    table = from_json({"columns": [1], "data": [2], "y": [3]})

    assert table.form == "columns"


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        [{}],
        {"a": []},
        {"a": [], "b": []},
        {"columns": [], "data": []},
        {"columns": ["a"], "data": []},
        {"columns": ["a", "b"], "data": []},
        {"columns": [], "data": [[], []]},
    ],
)
def test_empty_table_is_refused(data: Any) -> None:
    """A table without a cell cannot be used, in any form."""
    assert pointers(data) == ["/data"]


@pytest.mark.parametrize(
    ("data", "places"),
    [
        ({"a": [1, 2], "b": [1], "c": []}, ["/data/b", "/data/c"]),
        ({"a/b": [1], "c~d": [1, 2], "~1/": []}, ["/data/c~0d", "/data/~01~1"]),
        ({"a": 5, "b": [1]}, ["/data/a"]),
        ({"a": [1], "b": "x", "c": None, "d": {"0": 1}}, ["/data/b", "/data/c", "/data/d"]),
        ([{"a": 1}, {}, {"b": 1}, {"a": 1, "b": 2}], ["/data/1", "/data/2", "/data/3"]),
        (
            {"columns": ["a", "b"], "data": [[1], [1, 2], [], 5]},
            [
                "/data/data/0",
                "/data/data/2",
                "/data/data/3",
            ],
        ),
        ({"columns": ["a", "b", "a", "a"], "data": []}, ["/data/columns/2", "/data/columns/3"]),
        ({"columns": "ab", "data": [[1, 2]]}, ["/data/columns"]),
        ({"columns": ["a", 1], "data": [[1, 2]]}, ["/data/columns"]),
        ({"columns": ["a"], "data": {"a": 1}}, ["/data/data"]),
        ({"columns": ["a"], "data": None}, ["/data/data"]),
        ({"columns": ["a", "a"], "data": [[1]]}, ["/data/columns/1", "/data/data/0"]),
    ],
)
def test_misshapen_table_is_refused_with_all_places(data: Any, places: list[str]) -> None:
    """Everything wrong with a table's shape is told at once."""
    assert pointers(data) == places


def test_row_that_differs_is_told_by_its_columns() -> None:
    """A record with other columns than the first says which."""
    with pytest.raises(InvalidTable, match="Row 1 lacks 'a' and has 'b', unlike the first row"):
        from_json([{"a": 1}, {"b": 1}])


def test_first_20_faults_are_told_and_all_are_counted() -> None:
    """A table of nonsense has a short answer that says how much there is."""
    rows = [[1, 2]] + [[1]] * 50

    with pytest.raises(InvalidTable, match=r"\(and 49 more\)$") as refused:
        from_json({"columns": ["a", "b"], "data": rows})

    assert len(refused.value.errors) == MOST_FAULTS == 20
    assert refused.value.members == {"error_count": 50}


def test_no_fault_is_no_error() -> None:
    """A table without faults passes."""
    Faults().check()


@pytest.mark.parametrize(
    ("form", "column", "cell"),
    [
        ("columns", "/data/a~1~0", "/data/a~1~0/3"),
        ("records", "/data/0/a~1~0", "/data/3/a~1~0"),
        ("split", "/data/columns/1", "/data/data/3/1"),
    ],
)
def test_pointer_leads_to_the_place_in_the_request(form: str, column: str, cell: str) -> None:
    """A pointer is one of RFC 6901 into the body as it was sent."""
    table = Table({"x": [1] * 4, "a/~": [1] * 4}, form)

    assert (table.pointer("a/~"), table.pointer("a/~", 3)) == (column, cell)
