"""NDJSON: records, one a line."""

import msgspec
import pytest

from mlservice.errors import InvalidTable
from mlservice.table import from_ndjson
from mlservice.table.lines import BLOCK_BYTES


def refused(body: bytes) -> list[int | None]:
    """Return the line of each fault that a body is refused with."""
    with pytest.raises(InvalidTable) as problem:
        from_ndjson(body)
    assert problem.value.members == {"error_count": len(problem.value.errors)}
    return [fault.line for fault in problem.value.errors]


def test_lines_are_records() -> None:
    """Members stand in any order, lines end either way, and empty ones are skipped."""
    table = from_ndjson(b'{"a": 1, "b": "x"}\r\n\n{"b": null, "a": 2.5}\n \n{"a": true, "b": "y"}')

    assert table.columns == {"a": [1, 2.5, True], "b": ["x", None, "y"]}
    assert table.line_of
    assert [table.line_of(row) for row in range(3)] == [1, 3, 5]


def test_records_in_many_blocks_are_one_table() -> None:
    """Where a block ends makes no difference, to the lines neither."""
    records = [{"a": i, "b": "x" * 50} for i in range(BLOCK_BYTES // 25)]

    table = from_ndjson(b"\n" + msgspec.json.Encoder().encode_lines(records))

    assert table.columns["a"] == list(range(len(records)))
    assert table.line_of
    assert table.line_of(len(records) - 1) == len(records) + 1


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"a": 1}\n{"a": }\n[1]\n{"a": NaN}\n{"a": 1}\n5\n', [2, 3, 4, 6]),
        (b'{"a": 1}\n{"b": 1}\n{}\n{"a": 1, "b": 2}\n', [2, 3, 4]),
        (b'{"a": 1}\n{"a": "\xff"}\n', [2]),
        (b'{"a": 1}\n{"a": ' + b"[" * 100_000, [2]),
        (b'{"a": 1} {"a": 2}\n', [1]),
        (b'{"a":\n1}\n', [1, 2]),
        (b"{}\n", [None]),
        (b"", [None]),
        (b"\n\n", [None]),
    ],
)
def test_wrong_lines_are_told_all_at_once(body: bytes, lines: list[int | None]) -> None:
    """Each line that is no record, or has other members than the first, is told."""
    assert refused(body) == lines
