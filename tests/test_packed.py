"""msgpack: columns as raw arrays."""

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlservice.errors import ClientProblem, InvalidRequest, InvalidTable, MalformedBody
from mlservice.table import from_msgpack


def packed(**columns: Any) -> bytes:
    """Write columns, arrays as their bytes."""
    return msgpack.packb({"columns": {name: array(column) for name, column in columns.items()}})


def array(column: Any) -> Any:
    """Return what stands for a numpy array."""
    if not isinstance(column, np.ndarray):
        return column
    dtype = "bool" if column.dtype == bool else column.dtype.str
    return {"dtype": dtype, "data": column.tobytes()}


def test_arrays_are_columns() -> None:
    """Numbers become float64, booleans and texts stay what they are."""
    table, members = from_msgpack(
        packed(
            f8=np.array([1.5, np.nan]),
            f4=np.array([0.1, 2], "<f4"),
            i8=np.array([-1, 2**53 - 1]),
            big=np.array([2**53 + 1, -(2**63)]),
            flag=np.array([True, False]),
            text=["x", None],
        )
    )

    columns = {
        name: column.tolist() if isinstance(column, np.ndarray) else column
        for name, column in table.columns.items()
    }
    assert members == {}
    assert repr(columns) == repr(
        {
            "f8": [1.5, float("nan")],
            "f4": [float(np.float32(0.1)), 2.0],
            "i8": [-1.0, 2.0**53 - 1],
            "big": [2**53 + 1, -(2**63)],
            "flag": [True, False],
            "text": ["x", None],
        }
    )


@pytest.mark.parametrize(
    ("columns", "pointers"),
    [
        ({"a": np.zeros(2), "b": ["x"], "c": np.zeros(3)}, ["/data/b", "/data/c"]),
        ({"a": np.array([1, np.inf, -np.inf])}, ["/data/a/1", "/data/a/2"]),
        ({"a/b": ["x", 1, True, ["y"]]}, ["/data/a~1b/1", "/data/a~1b/2", "/data/a~1b/3"]),
        ({"a": 5, "b": {"dtype": "<f8"}, "c": None}, ["/data/a", "/data/b", "/data/c"]),
        ({"a": {"dtype": "<f8", "data": b"1234567"}}, ["/data/a"]),
        ({"a": {"dtype": ">f8", "data": b""}}, ["/data/a"]),
        ({"a": {"dtype": "O", "data": b""}}, ["/data/a"]),
        ({"a": {"dtype": ["<f8"], "data": b""}}, ["/data/a"]),
        ({"a": {"dtype": "<f8", "data": "x"}}, ["/data/a"]),
        ({"a": {"dtype": "bool", "data": b"\x00\x02"}}, ["/data/a/1"]),
        ({"a": np.zeros(0)}, ["/data"]),
        ({}, ["/data"]),
    ],
)  # fmt: skip
def test_wrong_columns_are_told_all_at_once(columns: dict[str, Any], pointers: list[str]) -> None:
    """Each column, or cell of it, that cannot be read has its pointer."""
    with pytest.raises(InvalidTable) as problem:
        from_msgpack(packed(**columns))

    assert [fault.pointer for fault in problem.value.errors] == pointers


@pytest.mark.parametrize("document", [None, 1, [], {}, {"columns": []}, {"columns": None}])
def test_body_without_columns_is_refused(document: Any) -> None:
    """The member columns is a map."""
    with pytest.raises(InvalidRequest):
        from_msgpack(msgpack.packb(document))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x81\x01\x02",
        b"\x81\xa1\xff\x01",
        packed(a=np.zeros(1)) + b"\x00",
        msgpack.packb({"columns": {"a": msgpack.Timestamp(1)}}),
        msgpack.packb({"columns": {"a": msgpack.ExtType(5, b"x")}}),
    ],
)
def test_body_that_is_not_plain_msgpack_is_malformed(body: bytes) -> None:
    """Claims beyond the body, depth, keys that are no text, extension types."""
    with pytest.raises(MalformedBody):
        from_msgpack(body)


WHOLE = packed(a=np.arange(3.0), b=["x", None, "y"], c=np.array([True, False, True]))


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.booleans())
def test_changed_body_is_read_or_refused(at: int, byte: int, cut: bool) -> None:
    """However a body is cut or changed, the answer is a table or a problem."""
    body = WHOLE[:at] if cut else WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :]

    try:
        table, _ = from_msgpack(body)
    except ClientProblem:
        return
    assert table.rows
