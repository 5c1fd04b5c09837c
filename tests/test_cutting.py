"""Long lists of JSON, decoded in pieces."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlservice import arrays, cutting, simd
from mlservice.arrays import numbers_of
from mlservice.cutting import by_pieces, in_blocks
from mlservice.errors import ClientProblem
from mlservice.predicting.matching import Wanted
from mlservice.predicting.question import read_question
from mlservice.preparation import Texts
from mlservice.schemas import Feature
from mlservice.sent import JSON, Sent
from mlservice.settings import Settings
from mlservice.table import outline, quick, records

FEATURES = (Feature(name="a"), Feature(name="é}", missing=True), Feature(name="t", kind="text"))
WANTED = Wanted(features=FEATURES, target="y")
# What looks like the end of a record, or ends a text early.
TEXTS = st.sampled_from(["", "x", "},{", '"},{"a":1', "}, {", "\\", "é", "😀},\n{", "]", "\u2028"])
NUMBERS = st.one_of(st.integers(-9, 10**19), st.floats(allow_nan=False, allow_infinity=False))
NESTED = st.sampled_from([[], {}, [{}, {}], [{"a": 1}, {"a": 2}], {"b": [{"c": "}"}, {"c": 1}]}])
ANYTHING = st.one_of(NUMBERS, TEXTS, NESTED, st.none(), st.booleans())
BLANKS = st.sampled_from(["", " ", "\n", "\t\r\n", "   "])
_list = msgspec.json.Decoder(list[Any]).decode


@st.composite
def members(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Draw a record: mostly one that the model takes, seldom with another cell or member."""
    found: list[tuple[str, Any]] = [
        ("a", draw(NUMBERS)),
        ("é}", draw(st.one_of(NUMBERS, NUMBERS, st.none()))),
        ("t", draw(TEXTS)),
    ]
    if draw(st.integers(0, 9)) == 0:
        # The last of two members of a name counts.
        found.append((draw(st.sampled_from(["a", "t", "y", "z"])), draw(ANYTHING)))
    return draw(st.permutations(found))


def written(cell: Any, blank: str, *, is_ascii: bool) -> str:
    """Return JSON with white space wherever it may stand; an object is a list of pairs."""
    if isinstance(cell, tuple):
        pairs = [
            f"{json.dumps(name, ensure_ascii=is_ascii)}{blank}:{blank}"
            f"{written(each, blank, is_ascii=is_ascii)}"
            for name, each in cell
        ]
        return "{" + blank + f"{blank},{blank}".join(pairs) + blank + "}"
    if isinstance(cell, list):
        cells = [written(each, blank, is_ascii=is_ascii) for each in cell]
        return "[" + blank + f"{blank},{blank}".join(cells) + blank + "]"
    return json.dumps(cell, ensure_ascii=is_ascii)


@st.composite
def tables(draw: st.DrawFn) -> Any:
    """Draw a table in one of its forms, bare or with options beside it."""
    rows = draw(st.lists(members(), max_size=8))
    names = [name for name, _ in rows[0]] if rows else ["a"]
    cells = [[cell for _, cell in row] for row in rows if len(row) == len(names)]
    match draw(st.sampled_from(["records", "split", "columns"])):
        case "records":
            table: Any = [tuple(row) for row in rows]
        case "split":
            pairs = [("columns", names), ("data", cells), ("index", list(range(len(rows))))]
            table = tuple(draw(st.permutations(pairs[: draw(st.integers(2, 3))])))
        case _:
            columns = [[row[place] for row in cells] for place in range(len(names))]
            table = tuple(zip(names, columns, strict=True))
    if draw(st.booleans()):
        return table
    options: list[tuple[str, Any]] = [("top", 1), ("extra", "ignore"), ("data", [[1]])]
    beside = draw(st.lists(st.sampled_from(options), max_size=1))
    return tuple(draw(st.permutations([("data", table), *beside])))


@st.composite
def bodies(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> bytes:
    """Draw a body, some of them cut off or with a byte that is another one."""
    blank, is_ascii = draw(BLANKS), draw(st.booleans())
    text = f"{blank}{written(draw(documents), blank, is_ascii=is_ascii)}{blank}".encode()
    match draw(st.integers(0, 5)):
        case 0:
            return text[: draw(st.integers(0, len(text)))]
        case 1:
            place = draw(st.integers(0, len(text) - 1))
            other = draw(st.sampled_from([b",", b"}", b"{", b'"', b"\\", b"\xff", b"[", b"]", b""]))
            return text[:place] + other + text[place + 1 :]
    return text


def told(body: bytes) -> Any:
    """Return what a body is read as, or the problem that is answered."""
    sent = Sent(media_type=JSON, options=[], body=body)
    try:
        question = read_question(sent, WANTED, Settings())
    except ClientProblem as problem:
        return type(problem), str(problem), problem.errors, problem.members
    columns = {name: plain(cells) for name, cells in question.columns.items()}
    return question.rows, columns, question.options


def plain(column: Any) -> Any:
    """Return a column in a form that can be compared."""
    if isinstance(column, Texts):
        return column.values, column.codes.tolist()
    return np.asarray(column, np.float64).tobytes()


@pytest.fixture(params=[True, False])
def _reads_short_ones(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read short tables as long ones are, with simdjson and without."""
    monkeypatch.setattr(records, "_FROM_BYTES", 0)
    for each in (quick, arrays):
        monkeypatch.setattr(each, "_SIMD_FROM_BYTES", 0)
        monkeypatch.setattr(each, "_HAS_SIMD", request.param and simd.HAS_SIMD)


def cut(monkeypatch: pytest.MonkeyPatch, piece_bytes: int) -> None:
    """Have everything be cut into pieces of such a length."""
    monkeypatch.setattr(cutting, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(outline, "FROM_BYTES", 0)


@pytest.mark.usefixtures("_reads_short_ones")
@given(bodies(tables()), st.integers(2, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
def test_a_body_that_is_cut_means_what_it_means_uncut(body: bytes, piece_bytes: int) -> None:
    """Rows, cells, options and problems are the same, wherever the cuts would be."""
    whole = told(body)

    with pytest.MonkeyPatch.context() as monkeypatch:
        cut(monkeypatch, piece_bytes)
        assert told(body) == whole


NUMBERS_ONLY = st.one_of(
    st.lists(NUMBERS, max_size=20), st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=9)
)


@pytest.mark.usefixtures("_reads_short_ones")
@given(bodies(st.one_of(NUMBERS_ONLY, NUMBERS_ONLY, st.lists(ANYTHING))), st.integers(2, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_numbers_that_are_cut_are_what_they_are_uncut(text: bytes, piece_bytes: int) -> None:
    """Flat or in rows; what is no such list is none when it is cut."""
    whole = numbers_of(text)

    with pytest.MonkeyPatch.context() as monkeypatch:
        cut(monkeypatch, piece_bytes)
        found = numbers_of(text)
    assert (found is None) == (whole is None)
    if found is not None and whole is not None:
        assert (found.shape, found.tobytes()) == (whole.shape, whole.tobytes())


@pytest.mark.parametrize(
    "body",
    [
        '[{"a": "},{"}, {"a": 1}]',
        '[{"a": [{}, {}, {}]}]',
        '[{"a": {"b": [{"c": 1}, {"c": 2}]}}]',
        '[{"a": 1}, {"a": 2}',
        '[{"a": 1},, {"a": 2}]',
        '[{"a": 1}, {"a": 2}], {"a": 3}]',
        '[{"a": "\\"},{"}, {"a": "\\\\"}]',
        "[1,,2]",
        "[1, ]",
    ],
)
def test_a_piece_that_is_no_list_leaves_all_to_be_read_at_once(
    body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short the pieces are: none is taken that is not of the list itself."""
    for piece_bytes in range(2, len(body)):
        monkeypatch.setattr(cutting, "PIECE_BYTES", piece_bytes)
        lists = by_pieces(body.encode(), _list)
        assert lists is None or [each for some in lists for each in some] == json.loads(body)


@pytest.mark.parametrize(("text", "is_cut"), [("}, {", True), ("},{", False)])
def test_a_long_body_is_decoded_piece_by_piece(text: str, is_cut: bool) -> None:
    """No piece is much longer than 256 KiB, so that others have their turn in between."""
    rows: list[Any] = [{"a": 0.123456789, "b": "é", "c": text.replace(" ", "_")}] * 30_000
    body = json.dumps(rows, ensure_ascii=False).encode()
    lengths: list[int] = []

    def read(piece: cutting.Readable) -> list[Any]:
        lengths.append(len(memoryview(piece)))
        return _list(piece)

    lists = by_pieces(body, read)

    found = None if lists is None else [each for some in lists for each in some]
    # Where all cuts would be wrong, all is left to be read at once.
    assert found == (rows if is_cut else None)
    assert len(lengths) >= (4 if is_cut else 1)
    assert max(lengths) < 1.5 * cutting.PIECE_BYTES + 100


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'{"a": [1]}', b"[1]"])
def test_what_is_short_or_another_thing_is_not_cut(body: bytes) -> None:
    """It is read at once."""
    assert by_pieces(body, _list) is None
    assert by_pieces(body + b" " * 3 * cutting.PIECE_BYTES, _list) is None


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize("cells_of_row", [1, 2, 9])
def test_rows_in_blocks_are_written_as_a_list_of_them(
    rows: int, cells_of_row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than some cells are taken at once, but at least a row."""
    monkeypatch.setattr(cutting, "CELLS_AT_ONCE", 4)
    table, taken = [[row] * cells_of_row for row in range(rows)], []

    def listed(part: slice) -> list[Any]:
        taken.append(len(table[part]))
        return table[part]

    found = in_blocks(rows, cells_of_row, listed)

    assert json.loads(msgspec.json.encode(found)) == table
    assert max(taken) <= max(1, 4 // cells_of_row)
