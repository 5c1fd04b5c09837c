"""One row as text: read from a query, and answered in JSON."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlservice.extent import Extent
from mlservice.predicting.documents import Predictions
from mlservice.profile import FeatureProfile, Profile
from mlservice.rowtext import AnswerForm, RowsForm, query_reader
from mlservice.schemas import Feature, Label, Prediction, label_name

FINITE = st.floats(allow_nan=False, allow_infinity=False)
UNKNOWN = Extent([], None)
LABELS = st.one_of(
    st.lists(st.text(), min_size=2, max_size=5, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=5, unique=True),
    st.just([False, True]),
)


@given(st.lists(FINITE, min_size=1, max_size=5))
def test_numbers_are_read_as_float_reads_them(row: list[float]) -> None:
    """What Python writes of a number is read to the same bits."""
    names = [f"f{place}" for place in range(len(row))]
    texts = [repr(value).replace("+", "") for value in row]

    read = query_reader(names, UNKNOWN)("&".join(map("=".join, zip(names, texts, strict=True))))

    assert read == row


@pytest.mark.parametrize(
    "text", ["1", "-0", "1e3", "1E-3", "123456789012345678901234567890", "1e22"]
)
def test_a_plain_number_is_read(text: str) -> None:
    """Integers and exponents count, of any length."""
    assert query_reader(["a"], UNKNOWN)(f"a={text}") == [float(text)]


@pytest.mark.parametrize(
    "query",
    [
        *("", "a=1", "b=2&a=1", "a=1&b=2&c=3", "a=&b=1", "a=1,2&b=3", "a=1&b=2]", "a=01&b=1"),
        *("a=.5&b=1", "a=1e999&b=1", "a=1&b=-1e999", "a=1-2&b=3", "a=e&b=1", "a=%31&b=2"),
        *("a=1 &b=2", "a=1\n&b=2", "a=1,2&b=", "a=&b=1,2", "a=1,2", "a=1&b=a=2", "a=1e+2&b=1"),
        *("a=[1]&b=1", "a=null&b=1", "a=true&b=1", 'a="1"&b=1', "a=1&b=2&", "a=1\t&b=2"),
    ],
)
def test_all_else_is_left_to_be_read_by_name(query: str) -> None:
    """Another order, another encoding, and what JSON does not take as a float64."""
    assert query_reader(["a", "b"], UNKNOWN)(query) is None


@pytest.mark.parametrize("width", [1, 50])
@pytest.mark.parametrize(
    ("text", "is_read"), [("-3", True), ("3.5", True), ("3.5000000000000004", False), ("-4", False)]
)
def test_a_number_that_training_has_not_seen_is_left_to_be_read_by_name(
    text: str, is_read: bool, width: int
) -> None:
    """There is something to be told of it; few features and many are compared in two ways."""
    names = [f"f{place}" for place in range(width)]
    seen = FeatureProfile(count=2, min=-3.0, max=3.5)
    profile = Profile(rows=2, classes=(1, 1), features=(seen,) * width)
    extent = Extent([Feature(name=name) for name in names], profile)

    read = query_reader(names, extent)("&".join(f"{name}={text}" for name in names))

    assert (list(read) if read else None) == ([float(text)] * width if is_read else None)


def test_a_feature_whose_range_is_not_known_takes_any_number() -> None:
    """As one that every row of the training had left out."""
    profile = Profile(rows=2, classes=(1, 1), features=(FeatureProfile(count=0),))
    read = query_reader(["a"], Extent([Feature(name="a")], profile))

    assert read("a=-1.7976931348623157e308") == (-1.7976931348623157e308,)


@given(LABELS, st.data())
def test_an_answer_is_what_the_struct_is_encoded_as(
    labels: list[Label], data: st.DataObject
) -> None:
    """Byte for byte, whatever the labels are made of."""
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(labels), max_size=len(labels)))
    best = data.draw(st.integers(0, len(labels) - 1))
    model_id = "00000000-0000-4000-8000-000000000000"

    filled = AnswerForm(labels).fill(model_id, best, shares)

    names = map(label_name, labels)
    struct = Prediction(
        model=model_id,
        prediction=labels[best],
        probabilities=dict(zip(names, shares, strict=True)),
    )
    assert filled == msgspec.json.encode(struct) + b"\n"
    assert all(map(math.isfinite, json.loads(filled)["probabilities"].values()))


@given(LABELS, st.data())
def test_few_rows_are_answered_as_their_struct_is(labels: list[Label], data: st.DataObject) -> None:
    """Byte for byte, whatever the labels are made of and however many rows there are."""
    row = st.lists(st.floats(0, 1), min_size=len(labels), max_size=len(labels))
    shares = data.draw(st.lists(row, min_size=1, max_size=3))
    position = st.integers(0, len(labels) - 1)
    positions = data.draw(st.lists(position, min_size=len(shares), max_size=len(shares)))
    model_id = "00000000-0000-4000-8000-000000000000"

    filled = RowsForm(labels).fill(model_id, positions, shares)

    struct = Predictions(
        model=model_id,
        predictions=[labels[each] for each in positions],
        classes=labels,
        probabilities=shares,
        warnings=[],
    )
    assert filled == msgspec.json.encode(struct) + b"\n"
