"""From one row's scores to its class and probabilities."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlservice.errors import InvalidRow
from mlservice.softmax import Rows, of_scores, written_out

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-30, 30),
    st.sampled_from([0.0, -0.0, 5e-324, 1e200, -1e200, 1.7976931348623157e308]),
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[Rows, list[float]]:
    """Draw intercepts and coefficients of three classes or more, and a row."""
    n_classes, n_features = draw(st.integers(3, 6)), draw(st.integers(1, 6))
    several = st.lists(NUMBERS, min_size=n_features, max_size=n_features)
    rows = draw(st.lists(st.tuples(NUMBERS, several), min_size=n_classes, max_size=n_classes))
    return rows, draw(several)


def in_loops(rows: Rows, row: Sequence[float]) -> tuple[int, list[float]]:
    """Return what loops over coefficients give."""
    scores = []
    for start, weights in rows:
        score = start
        for weight, value in zip(weights, row, strict=True):
            score += weight * value
        scores.append(score)
    return of_scores(scores)


@given(asked())
def test_what_is_written_out_gives_the_same_bits(drawn: tuple[Rows, list[float]]) -> None:
    """Sums and exponentials in the same order, whatever the shape; an overflow is refused."""
    rows, row = drawn
    try:
        expected = in_loops(rows, row)
    except InvalidRow:
        expected = None

    if expected is None:
        with pytest.raises(InvalidRow, match="overflow"):
            written_out(rows)(row)
    else:
        assert written_out(rows)(row) == expected


def test_each_model_of_a_shape_has_coefficients_of_its_own() -> None:
    """The function is made once for a shape, and bound to each model's numbers."""
    first, second = (written_out([(float(k == best), [0.0]) for k in range(3)]) for best in (0, 2))

    assert (first([1.0])[0], second([1.0])[0]) == (0, 2)


def test_a_row_of_another_length_is_not_scored() -> None:
    """Neither a number is left out nor one made up."""
    score = written_out([(0.0, [1.0, 2.0])] * 3)

    with pytest.raises(ValueError, match="unpack"):
        score([1.0])
