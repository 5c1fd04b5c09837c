"""Parquet and Arrow streams."""

import datetime as dt
import decimal
import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from mlservice.errors import ClientProblem, InvalidTable, MalformedBody
from mlservice.table import from_arrow_stream, from_parquet

READERS = {"parquet": from_parquet, "stream": from_arrow_stream}


def to_parquet(columns: Any) -> bytes:
    """Write a table as a Parquet file."""
    out = io.BytesIO()
    parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), out)
    return out.getvalue()


def to_arrow(columns: Any) -> bytes:
    """Write a table as an Arrow stream."""
    out = io.BytesIO()
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    with ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def both(columns: Any) -> list[Any]:
    """Return what each reader makes of the same table."""
    return [from_parquet(to_parquet(columns)), from_arrow_stream(to_arrow(columns))]


def test_index_of_pandas_is_left_out() -> None:
    """One without a name, such as that of a sample's rows; a column with a name is a column."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=[7, 5, 6])

    for table in both(pa.Table.from_pandas(frame)):
        assert list(table.columns) == ["a"]
    for table in both(pa.Table.from_pandas(frame.rename_axis("day"))):
        assert list(table.columns) == ["a", "day"]


def test_types_become_numbers_booleans_and_text() -> None:
    """Integers, floats and decimals are numbers; dictionaries are their values; null is missing."""
    columns = {
        "float": pa.array([1.5, None]),
        "small": pa.array([0.5, 2], pa.float32()),
        "int": pa.array([1, None], pa.int8()),
        "big": pa.array([2**53 + 1, -(2**63)]),
        "decimal": pa.array([decimal.Decimal("1.25"), None]),
        "flag": pa.array([True, None]),
        "text": pa.array(["x", None]),
        "large": pa.array(["x", "y"], pa.large_string()),
        "category": pa.array(["x", None]).dictionary_encode(),
        "code": pa.array([3, None]).dictionary_encode(),
        "nothing": pa.nulls(2),
    }
    nan = float("nan")

    for table in both(columns):
        found = {
            name: column.tolist() if isinstance(column, np.ndarray) else column
            for name, column in table.columns.items()
        }
        assert repr(found) == repr(
            {
                "float": [1.5, nan],
                "small": [0.5, 2.0],
                "int": [1.0, nan],
                "big": [2**53 + 1, -(2**63)],
                "decimal": [1.25, nan],
                "flag": [True, None],
                "text": ["x", None],
                "large": ["x", "y"],
                "category": ["x", None],
                "code": [3.0, nan],
                "nothing": [nan, nan],
            }
        )


def test_texts_that_are_equal_are_one_object() -> None:
    """A short file that repeats a long text takes the memory of one."""
    for table in both({"a": ["x" * 1000] * 3}):
        assert len({id(cell) for cell in table.columns["a"]}) == 1


@pytest.mark.parametrize("name", READERS)
def test_wrong_columns_are_told_all_at_once(name: str) -> None:
    """Types that are no numbers, booleans or text, and infinities, each with its place."""
    today = dt.date(2026, 1, 1)
    columns = {"day": [today], "list": [[1]], "far": [float("inf")], "raw": [b"x"]}
    body = to_parquet(columns) if name == "parquet" else to_arrow(columns)

    with pytest.raises(InvalidTable) as problem:
        READERS[name](body)

    pointers = [fault.pointer for fault in problem.value.errors]
    assert pointers == ["/data/day", "/data/list", "/data/far/0", "/data/raw"]


@pytest.mark.parametrize("table", [pa.table({}), pa.table({"a": pa.array([], pa.float64())})])
def test_empty_tables_are_refused(table: pa.Table) -> None:
    """A table without a cell cannot be used."""
    for name, body in (("parquet", to_parquet(table)), ("stream", to_arrow(table))):
        with pytest.raises(InvalidTable):
            READERS[name](body)


def test_names_that_stand_twice_are_refused() -> None:
    """Which of two columns would be meant is not guessed."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])

    with pytest.raises(InvalidTable, match="'a' stands twice"):
        from_arrow_stream(to_arrow(table))


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("body", [b"", b"PAR1", b"a,b\n1,2\n", b"\xff" * 100])
def test_what_is_no_such_file_is_malformed(name: str, body: bytes) -> None:
    """Bytes of another kind are told from a table."""
    with pytest.raises((MalformedBody, InvalidTable)):
        READERS[name](body)


@pytest.mark.parametrize("name", READERS)
def test_hostile_file_is_read_or_refused(name: str) -> None:
    """Hundreds of cuts and changed bytes: a table or a problem, never a crash."""
    columns = {"a": [1.5, None, 3], "b": ["x", "y", None], "c": [True, False, None], "d": [1, 2, 3]}
    whole = to_parquet(columns) if name == "parquet" else to_arrow(columns)
    random = np.random.default_rng(0)
    hostile = [whole[:at] for at in random.integers(0, len(whole), 150)]
    for at, byte in zip(random.integers(0, len(whole), 300), random.bytes(300), strict=True):
        hostile.append(whole[:at] + bytes([byte]) + whole[at + 1 :])

    outcomes = []
    for body in hostile:
        try:
            outcomes.append(READERS[name](body).rows > 0)
        except (ClientProblem, MemoryError):
            outcomes.append(False)

    assert not all(outcomes)
    assert len(outcomes) == len(hostile)
