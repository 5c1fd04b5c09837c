"""Long lists of JSON, decoded in pieces."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlservice import cutting
from mlservice.cutting import by_pieces
from mlservice.errors import ClientProblem
from mlservice.predicting.matching import Wanted
from mlservice.predicting.question import read_question
from mlservice.preparation import Texts
from mlservice.schemas import Feature
from mlservice.sent import JSON, Sent
from mlservice.settings import Settings
from mlservice.table import records

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


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw a list of records, some of them cut off or with a byte that is another one."""
    blank, is_ascii = draw(BLANKS), draw(st.booleans())
    written = [
        "{"
        + f",{blank}".join(
            f"{json.dumps(name)}:{blank}{json.dumps(cell, ensure_ascii=is_ascii)}"
            for name, cell in each
        )
        + "}"
        for each in draw(st.lists(members(), max_size=8))
    ]
    text = f"{blank}[{blank}{f'{blank},{draw(BLANKS)}'.join(written)}{blank}]{blank}".encode()
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
    return question.rows, {name: plain(cells) for name, cells in question.columns.items()}


def plain(column: Any) -> Any:
    """Return a column in a form that can be compared."""
    if isinstance(column, Texts):
        return column.values, column.codes.tolist()
    return np.asarray(column, np.float64).tobytes()


@pytest.fixture
def _reads_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read short records as long ones are."""
    monkeypatch.setattr(records, "_FROM_BYTES", 0)


@pytest.mark.usefixtures("_reads_short_ones")
@given(bodies(), st.integers(2, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
def test_a_body_that_is_cut_means_what_it_means_uncut(body: bytes, piece_bytes: int) -> None:
    """Rows, cells and problems are the same, wherever the cuts would be."""
    whole = told(body)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(cutting, "PIECE_BYTES", piece_bytes)
        assert told(body) == whole


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


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'{"a": [1]}', b"[1, 2]"])
def test_what_is_short_or_another_thing_is_not_cut(body: bytes) -> None:
    """It is read at once."""
    assert by_pieces(body, _list) is None
    assert by_pieces(body + b" " * 3 * cutting.PIECE_BYTES, _list) is None
