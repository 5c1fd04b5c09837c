"""CSV: two readers that agree, and faults that name their line."""

import csv
import io
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlservice.errors import InvalidTable
from mlservice.preparation import matrix_of
from mlservice.table import MOST_FAULTS, Whole, blocks, decimals, delimited, from_csv

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
CELLS = st.one_of(
    st.sampled_from(
        ["", "NA", "0", "-0", "+1", ".5", "5.", "007", "1e5", "1E-3", "-2.5e+2", "nan", "inf"]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**30), 10**30).map(str),
    st.text(st.sampled_from("01.e-+_ xÄ😀'\t|:"), max_size=4),
    st.text(st.sampled_from('a1,;"\n\r'), max_size=4),
)


# In a column of numbers.
MISSING = ("", "NA")


def number(text: str) -> float:
    """Return what a number's text means; as in JSON, -0 has no sign and -0.0 has one."""
    return 0.0 if re.fullmatch("-0+", text) else float(text)


def values(body: str | bytes, delimiter: str = ",") -> dict[str, list[Any]]:
    """Return a CSV's columns as lists, NaN as None."""
    columns = from_csv(body.encode() if isinstance(body, str) else body, delimiter).columns
    return {
        name: [None if cell != cell else cell for cell in column.tolist()]  # noqa: PLR0124
        if isinstance(column, np.ndarray)
        else column
        for name, column in columns.items()
    }


def refused(body: str | bytes, delimiter: str = ",") -> list[tuple[int | None, str]]:
    """Return line and words of each fault that a CSV is refused with."""
    with pytest.raises(InvalidTable) as problem:
        values(body, delimiter)
    assert problem.value.members == {"error_count": len(problem.value.errors)}
    return [(fault.line, fault.detail) for fault in problem.value.errors]


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ("a,b\n1,x\n2,y\n", {"a": [1, 2], "b": ["x", "y"]}),
        ("a,b\r\n1,x\r\n2,y", {"a": [1, 2], "b": ["x", "y"]}),
        ("\ufeffa,b\n1,x\n", {"a": [1], "b": ["x"]}),
        ('"a,""b""",c\n1,2\n', {'a,"b"': [1], "c": [2]}),
        ('a,b\n1,"x\r\ny, ""z"""\n', {"a": [1], "b": ['x\r\ny, "z"']}),
        ("a,b\n,x\n2,\n", {"a": [None, 2], "b": ["x", None]}),
        ("a,b\n,\n,\n", {"a": [None, None], "b": [None, None]}),
        ("a,b\n\n1,2\n\n\n3,4\n\n", {"a": [1, 3], "b": [2, 4]}),
        ("a\n1\n\n2\n", {"a": [1, 2]}),
        ('a\n1\n""\n', {"a": [1, None]}),
        ("a,b\n1_0,0x1\n", {"a": ["1_0"], "b": ["0x1"]}),
        ("a,b\n nan,1 \n", {"a": [" nan"], "b": ["1 "]}),
        ("a,b\ninf,٣\n", {"a": ["inf"], "b": ["٣"]}),
        ("a,b\n+1,.5\n5.,007\n1E3,-1e-2\n", {"a": [1, 5, 1000], "b": [0.5, 7, -0.01]}),
        ("a,b\n1e,e5\n", {"a": ["1e"], "b": ["e5"]}),
        ("ä,b\nß,1\n", {"ä": ["ß"], "b": [1]}),
        ("a,b\ntrue,null\n", {"a": ["true"], "b": ["null"]}),
        ("a,b\n1,NA\nNA,x\n", {"a": [1, None], "b": ["NA", "x"]}),
        ("a,b\nNA,NA\nNA,NAN\n", {"a": [None, None], "b": ["NA", "NAN"]}),
        (",a,b\n0,1,x\n5,2,y\n", {"a": [1, 2], "b": ["x", "y"]}),
        ('"",a,b\n"r",1,"x"\n', {"a": [1], "b": ["x"]}),
    ],
)
def test_text_means_these_columns(body: str, columns: dict[str, list[Any]]) -> None:
    """RFC 4180 and a little more: BOM, either line ending, empty lines skipped."""
    assert values(body) == columns


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ":"])
def test_delimiter_may_be_another_one(delimiter: str) -> None:
    """With another delimiter a comma is part of a text."""
    body = "a,b\n1.5,x\n-2,y\n".replace(",", delimiter)
    decimal_comma = f"a{delimiter}b\n1,5{delimiter}2\n"

    assert values(body, delimiter) == {"a": [1.5, -2], "b": ["x", "y"]}
    assert values(decimal_comma, delimiter) == {"a": ["1,5"], "b": [2]}


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ("a,b\n1\n1,2\n1,2,3\n", [(2, "Line 2 must have 2 fields, it has 1."),
                                  (4, "Line 4 must have 2 fields, it has 3.")]),
        ('a,b\n"x\ny",1\n1\n', [(4, "Line 4 must have 2 fields, it has 1.")]),
        ("a,b\n1,2,3,4\n", [(2, "Line 2 must have 2 fields, it has 4.")]),
        ("a,b,a\n1,2,3\n", [(1, "Column names must differ, 'a' stands twice in line 1.")]),
        ('a,b\n1,2\n3,"x\n4,5\n', [(3, "Line 3 has a quote that is not closed.")]),
        ('a,b\n1,"2"3\n', [(2, "Line 2 must have a delimiter after a closing quote.")]),
        ("a,b\n1,2\r3,4\n", [(2, "Line 2 has a carriage return without a line feed.")]),
        ("a,b\n1,2\n3,\0\n", [(3, "Line 3 must not contain the character NUL.")]),
        (b"a,b\n1,2\n3,\xe4\n", [(3, "Line 3 must be UTF-8, it is not.")]),
        (b"a,b\n1,2\n3,\xc3", [(3, "Line 3 must be UTF-8, it is not.")]),
        ("", [(None, "The table must have a header and at least one row, it is empty.")]),
        ("\n\n", [(None, "The table must have a header and at least one row, it is empty.")]),
        ("a,b\n", [(None, "The table must have at least one row, it has none.")]),
        ("a,b\n1,2\n3,-1e999\n", [(3, "Line 3: 'b' does not fit in float64.")]),
        ('a,b\n"x\n",2\n3,1e999\n', [(4, "Line 4: 'b' does not fit in float64.")]),
    ],
)  # fmt: skip
def test_wrong_text_is_refused_with_its_line(
    body: str | bytes, faults: list[tuple[int | None, str]]
) -> None:
    """Each fault says in which line its row begins."""
    assert refused(body) == faults


def test_first_20_lines_are_told_and_all_are_counted() -> None:
    """A text of nonsense has a short answer that says how much there is."""
    with pytest.raises(InvalidTable, match=r"\(and 49 more\)$") as problem:
        from_csv(b"a,b\n" + b"1\n" * 50)

    assert [fault.line for fault in problem.value.errors] == list(range(2, 2 + MOST_FAULTS))
    assert problem.value.members == {"error_count": 50}


def test_invalid_utf8_is_found_wherever_a_piece_ends() -> None:
    """A character that is cut by the end of a piece is whole; a broken one behind it is found."""
    text = b"a,b\n" + b"1,x\n" * 262_143 + "1,ä\n".encode() * 3

    assert values(text)["b"][-1] == "ä"
    assert refused(text[:-2] + b"\n") == [(262_147, "Line 262147 must be UTF-8, it is not.")]


def test_column_that_turns_to_text_after_the_first_block_is_text() -> None:
    """The kind of a column is that of all its fields, however late the odd one comes."""
    rows = [f"{i},{i}" for i in range(60_000)] + ["x,1", ",2"]

    columns = values("\n".join(["a,b", *rows]))

    assert columns["a"] == [*map(str, range(60_000)), "x", None]
    assert columns["b"][-3:] == [59_999, 1, 2]


@pytest.mark.parametrize(
    ("header", "first_line"),
    [("a,b\n", 2), ('"a","b"\n', 2), ('"a\n",b\n', 3), ("\na,b\n", 3), ('\n"a",b\n', 3)],
)
def test_rows_begin_behind_the_header_wherever_it_ends(header: str, first_line: int) -> None:
    """The header may be quoted, have several lines, and stand below an empty line."""
    table = from_csv(f"{header}1,2\n3,4\n".encode())

    assert [list(column) for column in table.columns.values()] == [[1, 3], [2, 4]]
    assert table.line_of is not None
    assert table.line_of(0) == first_line


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=6
        )
    ),
    st.sampled_from(",;\t|:"),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
@settings(max_examples=300)
def test_readers_agree_with_each_other_and_with_python(
    rows: list[list[str]], delimiter: str, ending: str, quoted: bool
) -> None:
    """Plain and careful reader give the same columns, those of the csv module and float()."""
    out = io.StringIO(newline="")
    # Where lines end in \n, the csv module leaves a \r unquoted.
    quoted = quoted or any("\r" in cell for row in rows for cell in row)
    style: Any = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=style)
    names = [f"c{i}" for i in range(len(rows[0]))]
    writer.writerows([names, *rows])
    body = out.getvalue().encode()
    expected = {
        name: _expected(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }
    if any(
        any(abs(cell or 0) == math.inf for cell in column)
        for column in expected.values()
        if _is_numeric(column)
    ):
        assert all("float64" in detail for _, detail in refused(body, delimiter))
        return

    carefully = delimited._careful(body, delimiter)

    assert _bits(values(body, delimiter)) == _bits(expected)
    assert list(map(_kind, carefully.columns.values())) == [
        "number" if _is_numeric(column) else "text" for column in expected.values()
    ]
    assert {name: _bytes(column) for name, column in carefully.columns.items()} == {
        name: _bytes(column) for name, column in from_csv(body, delimiter).columns.items()
    }


def _expected(cells: tuple[str, ...]) -> list[Any]:
    if all(NUMBER.fullmatch(cell) for cell in cells if cell not in MISSING):
        return [None if cell in MISSING else number(cell) for cell in cells]
    return [cell or None for cell in cells]


def _is_numeric(column: list[Any]) -> bool:
    return not any(isinstance(cell, str) for cell in column)


def _kind(column: object) -> str:
    return "number" if isinstance(column, np.ndarray) else "text"


def _bits(columns: dict[str, list[Any]]) -> str:
    # Unlike ==, this tells 0.0 from -0.0.
    return repr(columns)


def _bytes(column: Any) -> Any:
    return column.tobytes() if isinstance(column, np.ndarray) else column


@given(st.lists(st.one_of(st.just(""), st.from_regex(NUMBER, fullmatch=True)), min_size=1))
def test_decimals_are_what_float_gives(cells: list[str]) -> None:
    """Each number is correctly rounded, in whatever way it is written."""
    read = decimals.read_decimals(",".join(cells).encode(), len(cells))

    assert read is not None
    assert repr(read.tolist()) == repr([number(cell or "nan") for cell in cells])


@pytest.mark.parametrize(
    "odd", ["-0", "-0.0", "9007199254740993", "1" + "0" * 25, "-1e400", "1e-400", "+1", ".5", "007"]
)
def test_many_decimals_are_what_float_gives(odd: str) -> None:
    """What the reader of many numbers at once does not know is read as elsewhere."""
    cells = ["0.1", "-2.5e-7", "18446744073709551615", odd] * 2000

    read = decimals.read_decimals(",".join(cells).encode(), len(cells))

    assert read is not None
    assert repr(read.tolist()) == repr([number(cell) for cell in cells])


@pytest.mark.parametrize("wrong", ["1-2", "e5", "1.2.3", "-", "."])
def test_many_decimals_are_refused_when_one_is_none(wrong: str) -> None:
    """One cell that is no number makes the column no column of numbers."""
    cells = ["0.1"] * 8000 + [wrong]

    assert decimals.read_decimals(",".join(cells).encode(), len(cells)) is None


def test_many_decimals_may_be_not_available() -> None:
    """Where numbers are read at once `NA` is missing as it is elsewhere, and no other word."""
    cells = ["NA", "NA", "0.1", "NA"] * 4000

    read = decimals.read_decimals(",".join(cells).encode(), len(cells))

    assert read is not None
    assert np.isnan(read).tolist() == [cell == "NA" for cell in cells]
    assert decimals.read_decimals(",".join([*cells, "NAN"]).encode(), len(cells) + 1) is None


def test_text_in_blocks_is_the_text() -> None:
    """Where a block ends makes no difference."""
    line = "0.125,some text,7\n"
    count = 3 * blocks.PLAIN_BYTES // len(line)

    columns = values("a,b,c\n" + line * count)

    assert columns == {"a": [0.125] * count, "b": ["some text"] * count, "c": [7.0] * count}


NUMBERS = [f"{i}.5,-{i}e-3,{i}" for i in range(6000)]


def both(body: str, delimiter: str = ",") -> tuple[Any, Any]:
    """Return what the plain reader and the careful one read, or that the plain one does not."""
    text = body.encode()
    careful = delimited._careful(text, delimiter).columns
    columns = from_csv(text, delimiter).columns
    return (
        {name: _bytes(column) for name, column in columns.items()},
        {name: _bytes(column) for name, column in careful.items()},
    )


@pytest.mark.parametrize(
    "odd",
    [
        "1,2,3", "-0,-0.0,0", "9e99,2,3", "1,9e99,3", "1,2,9e99", "9e99,9e99,9e99", ",2,3",
        "1,,3", "1,2,", ",,", "+1,.5,5.", "1e400x,2,3", "[1,2],3", "1, 2,3", "1,\t2,3",
        "null,true,3", "{},2,3", "18446744073709551616,2,3", "007,1,2", "1,2,ä",
    ],
)  # fmt: skip
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_numbers_that_are_read_at_once_are_what_the_careful_reader_reads(
    odd: str, delimiter: str
) -> None:
    """One odd row among thousands of plain ones makes no difference between the readers."""
    rows = ["a,b,c", *NUMBERS[:3000], odd, *NUMBERS[3000:]]

    plain, careful = both("\n".join(rows).replace(",", delimiter), delimiter)

    assert plain == careful


@pytest.mark.parametrize("odd", [
    "1,2", "1,2,3,4", "1,2\n3", "9e99,2", "9e99", "1,2,3,9e99,4,5,6", ""
])  # fmt: skip
def test_rows_of_other_lengths_are_found_among_numbers_that_are_read_at_once(odd: str) -> None:
    """As many cells in all are not as many in each row; an empty line is none."""
    rows = ["a,b,c", *NUMBERS[:3000], odd, *NUMBERS[3000:]]
    body = "\n".join(rows)

    if odd:
        assert refused(body)[0][1].startswith("Line 3002 must have 3 fields")
    else:
        assert len(values(body)["a"]) == len(NUMBERS)


@pytest.mark.parametrize("apart", [{"b"}, {""}, {"a", "c"}, {"a", "b", "c"}, set()])
def test_columns_may_stand_apart_from_the_matrix_of_the_others(apart: set[str]) -> None:
    """Each column is the same, and those that are not apart are columns of one matrix."""
    body = "\n".join(["a,b,c", *NUMBERS]).encode()

    table = from_csv(body, apart=apart)

    within: dict[str, Any] = {
        name: column
        for name, column in table.columns.items()
        if name not in apart and not ("" in apart and name == "c")
    }
    assert {name: list(column) for name, column in table.columns.items()} == values(body)
    assert not within or matrix_of(within) is not None
    assert table.is_finite


def test_index_without_a_name_stands_apart_and_is_left_out() -> None:
    """The other columns are one matrix, as they are without an index."""
    body = "\n".join([",a,b,c", *(f"{i},{row}" for i, row in enumerate(NUMBERS))]).encode()

    table = from_csv(body)

    assert {name: list(column) for name, column in table.columns.items()} == values(
        "\n".join(["a,b,c", *NUMBERS])
    )
    assert matrix_of(dict(table.columns)) is not None  # type: ignore[arg-type]  # arrays only


@pytest.mark.parametrize("cells", [",2,3", "1e308,1e308,1e308"])
def test_table_is_finite_only_where_that_is_known(cells: str) -> None:
    """A missing number, or a sum that overflows, is looked at again."""
    table = from_csv("\n".join(["a,b,c", cells, *NUMBERS]).encode())

    assert not table.is_finite


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("quote", ["", '"'])
def test_text_may_come_in_pieces(size: int, quote: str) -> None:
    """Wherever a piece ends, the table is that of the whole text."""
    rows = [f"{i},{quote}t{i % 7}{quote},{i}.25" for i in range(40_000 if size > 7 else 40)]
    text = "\n".join(["a,b,c", *rows, ""]).encode()
    body, came = bytearray(len(text)), 0

    class Slow(Whole):
        def reach(self, wanted: int) -> int:
            nonlocal came
            while came < min(wanted, len(text)):
                body[came : came + size] = text[came : came + size]
                came = min(came + size, len(text))
            return came

    table = from_csv(body, coming=Slow(body))

    assert {name: list(column) for name, column in table.columns.items()} == values(text)
