"""JSON tables read into arrays, with and without pysimdjson."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlservice.table import Table, from_json, quick, quick_table, records


@pytest.fixture(params=["simdjson", "msgspec"])
def _reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read small bodies as large ones are read, by either reader."""
    monkeypatch.setattr(quick, "_HAS_SIMD", request.param == "simdjson")
    monkeypatch.setattr(quick, "_SIMD_FROM_BYTES", 0)
    monkeypatch.setattr(records, "_FROM_BYTES", 0)


NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False)
)
CELLS = st.one_of(NUMBERS, st.booleans(), st.none(), st.text(max_size=3), st.just([1]), st.just({}))
NAMES = st.sampled_from(["a", "b", "data", "columns", "index", "[", "é", 'q"', ""])


def orders(names: list[str]) -> st.SearchStrategy[list[str]]:
    """Return the names in any order, seldom with fewer or more of them."""
    others = st.lists(NAMES, max_size=3, unique=True)
    return st.one_of(st.just(names), st.permutations(names), others)


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """Draw what may be a table, bare or wrapped."""
    cells = draw(st.sampled_from([NUMBERS, CELLS]))
    length = draw(st.integers(0, 3))
    form = draw(st.sampled_from(["columns", "records", "split"]))
    if form == "records":
        names = draw(st.lists(NAMES, max_size=3, unique=True))
        table: Any = [{name: draw(cells) for name in draw(orders(names))} for _ in range(length)]
    elif form == "split":
        names = draw(st.lists(NAMES, max_size=3))
        rows = st.lists(cells, min_size=max(0, len(names) - draw(st.integers(0, 1))), max_size=3)
        table = {"columns": names, "data": draw(st.lists(rows, max_size=3))}
        if draw(st.booleans()):
            table["index"] = draw(st.lists(st.integers(), max_size=3))
    else:
        column = st.lists(cells, min_size=length, max_size=length)
        table = draw(st.dictionaries(NAMES, st.one_of(column, CELLS), max_size=3))
    if draw(st.booleans()):
        return {"data": table, "top": draw(st.one_of(st.integers(), CELLS))}
    return table


def cells_of(table: Table) -> dict[str, list[Any]]:
    """Return a table's cells as JSON had them, numbers as float64."""
    return {
        name: [
            float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else cell
            for cell in (column.tolist() if isinstance(column, np.ndarray) else column)
        ]
        for name, column in table.columns.items()
    }


@pytest.mark.usefixtures("_reader")
@given(documents())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_what_is_read_quickly_is_read_as_the_careful_reader_does(document: Any) -> None:
    """The table is the same, or it is left to the careful reader; it is never another one."""
    found = quick_table(json.dumps(document).encode())

    if found is None:
        return
    table, members = found
    assert members == (None if members is None else {"top": document["top"]})
    careful = from_json(document if members is None else document["data"])
    assert cells_of(table) == cells_of(careful)
    assert (table.rows, table.form) == (careful.rows, careful.form)


@pytest.mark.usefixtures("_reader")
@pytest.mark.parametrize(
    "body",
    [
        '{"columns": ["a", "b"], "data": [[1, 2], [3]]}',
        '{"columns": ["a", "b"], "data": [[1], [2, 3, 4], [5, 6]]}',
        '{"columns": ["a", "b"], "data": [[1, 2], [3, [4]]]}',
        '{"columns": ["a", "b"], "data": [[1, 2], [[], 3, 4]]}',
        '{"columns": ["a", "b"], "data": [[1, 2, 3, 4]]}',
        '{"columns": ["a", "a"], "data": [[1, 2]]}',
        '{"columns": ["a", 1], "data": [[1, 2]]}',
        '{"columns": "ab", "data": [[1, 2]]}',
        '{"columns": [], "data": []}',
        '{"a": [1, 2], "b": [1]}',
        '{"a": 1}',
        '{"a": []}',
        "{}",
        "[]",
        "5",
        '{"a": [1e999]}',
        '{"a": [NaN]}',
        '{"a": [1]',
        '{"data": [1], "top": 2}',
        '{"data": {"a": [1]}, "columns": [2]}',
        '[{"a": 1}, {"b": 1}]',
        '[{"a": 1}, {}]',
        '[{"a": 1}, {"a": 1, "b": 2}]',
        '[{"a": 1}, {"a": true}]',
        '[{"a": 1}, 5]',
        '[{"a": 1}',
        "[{}]",
    ],
)
def test_what_is_no_such_table_is_left_to_the_careful_reader(body: str) -> None:
    """Ragged rows, lists in cells and names that stand twice are never flattened."""
    assert quick_table(body.encode()) is None


@pytest.mark.usefixtures("_reader")
def test_the_last_of_two_members_of_a_name_counts() -> None:
    """As in every JSON library."""
    found = quick_table(b'{"a": [1, 2], "b": [5, 6], "a": [3, 4]}')

    assert found is None or cells_of(found[0])["a"] == [3.0, 4.0]


@pytest.mark.usefixtures("_reader")
def test_numbers_become_arrays_and_other_columns_lists() -> None:
    """Only what has a text, a boolean or a gap costs an object a cell."""
    found = quick_table(b'{"data": {"n": [1, 2.5], "t": ["x", null], "b": [true, 1]}, "top": 2}')

    assert found is not None
    kinds = [type(column) for column in found[0].columns.values()]
    assert (kinds, found[1]) == ([np.ndarray, list, list], {"top": 2})


@pytest.mark.usefixtures("_reader")
def test_the_numbers_of_a_split_table_lie_side_by_side_by_column() -> None:
    """They are gone through by column several times, which takes a third that way."""
    found = quick_table(b'{"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}')

    assert found is not None
    assert all(column.flags.c_contiguous for column in found[0].columns.values())  # type: ignore[union-attr]  # arrays


@pytest.mark.usefixtures("_reader")
def test_records_become_arrays_in_the_order_of_the_first() -> None:
    """A number that is missing makes a list of its column, and a text always is one."""
    found = quick_table(b'[{"n": 1, "t": "x"}, {"t": "y", "n": 2.5}]')
    gap = quick_table(b'[{"n": 1, "m": 3}, {"n": null, "m": 4}]')

    assert found is not None
    assert gap is not None
    assert list(found[0].columns) == ["n", "t"]
    assert cells_of(found[0]) == {"n": [1.0, 2.5], "t": ["x", "y"]}
    assert cells_of(gap[0]) == {"n": [1.0, None], "m": [3.0, 4.0]}
    assert [type(each) for each in gap[0].columns.values()] == [list, np.ndarray]


@pytest.mark.usefixtures("_reader")
@pytest.mark.parametrize("rows", [1, 15, 16, 65_535, 65_536])
def test_records_of_any_number_are_read_whole(rows: int) -> None:
    """However their count is written in between."""
    body = json.dumps([{"a": row, "b" * 40: row / 3} for row in range(rows)]).encode()

    found = quick_table(body)

    assert found is not None
    assert found[0].columns["a"].tolist() == list(range(rows))  # type: ignore[union-attr]  # arrays
    assert found[0].columns["b" * 40].tolist() == [row / 3 for row in range(rows)]  # type: ignore[union-attr]  # arrays
