"""Scoring many rows: the estimator's answers by one vectorised arithmetic."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from mlservice.errors import InvalidRow
from mlservice.extent import ends_of
from mlservice.model import Model
from mlservice.preparation import Texts
from mlservice.schemas import Feature
from mlservice.scores import TableScorer
from mlservice.scoring import Scorer, pipeline
from tests.support import make_model
from tests.test_scoring import MOST, TOLERANCE, column_of, prepared

EXTREMES = [0.0, -0.0, 1.0, -1.0, 5e-324, -1e-310, 36.0, -745.0, 746.0, 1e300, -MOST, MOST]
CELLS = st.one_of(st.sampled_from(EXTREMES), st.floats(-50, 50))


@st.composite
def drawn_tables(draw: st.DrawFn) -> tuple[Model, NDArray[np.float64]]:
    """Draw a model of numbers with coefficients as extreme as its rows, some of them equal."""
    n_classes, n_features = draw(st.integers(2, 5)), draw(st.integers(1, 4))
    rows = 1 if n_classes == 2 else n_classes
    weights = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1e-320, 1e200]), st.floats(-9, 9))
    coef = draw(arrays.arrays(np.float64, (rows, n_features), elements=weights))
    if draw(st.booleans()):
        coef[:] = coef[:1]
    intercept = draw(arrays.arrays(np.float64, rows, elements=st.floats(-9, 9)))
    names = tuple(f"f{i}" for i in range(n_features))
    model = make_model(
        classes=tuple(range(n_classes)), features=names, coef=coef, intercept=intercept
    )
    shape = (draw(st.integers(1, 6)), n_features)
    return model, draw(arrays.arrays(np.float64, shape, elements=CELLS))


def theirs(model: Model, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scikit-learn's probabilities, NaN and all."""
    with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: NDArray[np.float64] = pipeline(model).predict_proba(X)
    return found


def check_agreement(
    positions: NDArray[np.intp],
    probabilities: NDArray[np.float64],
    expected: NDArray[np.float64],
    rounding: Any = 0.0,
) -> None:
    """Compare with scikit-learn's: probabilities, and classes unless two tie."""
    tolerance = TOLERANCE + rounding
    assert (np.abs(probabilities - expected).max(axis=1) <= tolerance).all()
    chosen = np.take_along_axis(expected, positions[:, None], axis=1)[:, 0]
    assert (expected.max(axis=1) - chosen <= tolerance).all()


def rounding_of(model: Model, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each row's scores may lie apart, summed in one order or another."""
    if X.shape[1] == 1:
        return np.zeros(len(X))
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = np.abs(X) @ np.abs(model.coef).T + np.abs(model.intercept)
        found: NDArray[np.float64] = 8 * np.finfo(float).eps * sizes.max(axis=1)
    return np.nan_to_num(found, nan=np.inf, posinf=np.inf)


@given(drawn_tables())
def test_rows_are_scored_as_the_estimator_scores_them(
    drawn: tuple[Model, NDArray[np.float64]],
) -> None:
    """Every row that has a finite score has the estimator's probabilities and class."""
    model, X = drawn
    table = TableScorer(model)
    columns = {name: X[:, i] for i, name in enumerate(f"f{i}" for i in range(X.shape[1]))}

    scored, _ = table.try_score(columns)

    rounding = rounding_of(model, X)
    told = np.setdiff1d(np.flatnonzero(rounding < 1), scored.unscorable)
    ours = scored.positions[told], scored.probabilities[told]
    check_agreement(*ours, theirs(model, X)[told], rounding[told])
    assert np.isnan(scored.probabilities[scored.unscorable]).all()
    assert (np.abs(ours[1].sum(axis=1) - 1) <= TOLERANCE).all()


@given(drawn_tables())
def test_one_row_and_many_have_the_same_answer(
    drawn: tuple[Model, NDArray[np.float64]],
) -> None:
    """What a query is answered with, a table is: the probabilities, or a refusal."""
    model, X = drawn
    scorer = Scorer(model)

    for row in X[rounding_of(model, X) < 1]:
        try:
            position, probabilities = scorer.score_row(row.tolist())
        except InvalidRow:
            with pytest.raises(InvalidRow):
                scorer.table.score_matrix(row[None])
            continue
        scored = scorer.table.score_matrix(row[None])
        check_agreement(
            np.array([position]),
            np.array([probabilities]),
            scored.probabilities,
            rounding_of(model, row[None]),
        )


@given(prepared())
@settings(max_examples=25)
def test_mixed_rows_are_scored_as_scikit_learns_pipeline_scores_them(
    drawn: tuple[Model, Pipeline, NDArray[np.object_]],
) -> None:
    """Filled, scaled and encoded; a text that was not seen counts nothing."""
    model, fitted, rows = drawn
    unseen = rows[:3].copy()
    unseen[[[isinstance(cell, str) for cell in row] for row in unseen]] = "never seen"
    rows = np.vstack([rows, unseen])
    columns = {f"f{i}": column_of(rows[:, i]) for i in reversed(range(rows.shape[1]))}

    scored = TableScorer(model).score(columns)

    check_agreement(scored.positions, scored.probabilities, fitted.predict_proba(rows))


def test_matrix_may_have_gaps_where_training_had() -> None:
    """NaN counts as the number that training fills in, there only."""
    features = (Feature(name="a"), Feature(name="b", missing=True, fill=3.0, mean=1.0, scale=2.0))
    table = TableScorer(make_model(described=features, coef=[[1.0, 1.0]], intercept=[0.0]))

    scored = table.score_matrix(np.array([[1.0, np.nan], [1.0, 3.0]]))

    assert scored.probabilities[0].tolist() == scored.probabilities[1].tolist()
    with pytest.raises(InvalidRow, match="Row 1: 'a' must be a number, it is missing"):
        table.score_matrix(np.array([[1.0, 1.0], [np.nan, 1.0]]))


@pytest.mark.parametrize("classes", [(0, 1), (0, 1, 2)])
@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (np.nan, "'a' must be a number, it is missing"),
        (np.inf, "'a' must be finite, it is infinite"),
        (-np.inf, "'a' must be finite, it is infinite"),
        (MOST, "they overflow float64"),
    ],
)
def test_rows_without_a_score_are_named(classes: tuple[int, ...], cell: float, reason: str) -> None:
    """Each is told by its number and reason, the first 20 of them, and counted."""
    n_rows = 1 if len(classes) == 2 else 3
    table = TableScorer(
        make_model(classes=classes, coef=np.full((n_rows, 2), 1e200), intercept=np.zeros(n_rows))
    )
    X = np.zeros((40, 2))
    X[1::2, 0] = X[1::2, 1] = cell

    with pytest.raises(InvalidRow, match=f"Row 1: .*{reason}.* \\(and 19 more rows\\)") as caught:
        table.score_matrix(X)

    rows = [fault.detail.partition(":")[0] for fault in caught.value.errors]
    assert rows == [f"Row {i}" for i in range(1, 40, 2)]
    assert caught.value.members["error_count"] == 20


def test_matrix_of_another_width_is_refused() -> None:
    """Columns that a matrix lacks cannot be guessed."""
    with pytest.raises(InvalidRow, match=r"must have 2 numbers, the array's shape is \[3, 1\]"):
        TableScorer(make_model()).score_matrix(np.zeros((3, 1)))


def test_matrix_is_refused_where_a_feature_is_text() -> None:
    """Numbers are no categories."""
    features = (Feature(name="a", kind="text", categories=("x",)),)
    table = TableScorer(make_model(described=features, coef=[[1.0]], intercept=[0.0]))

    with pytest.raises(InvalidRow, match="the feature 'a' is text"):
        table.score_matrix(np.zeros((3, 1)))


def test_model_of_texts_only_scores_by_its_categories() -> None:
    """Without a number, scores are the intercept and what the categories add."""
    features = (Feature(name="a", kind="text", missing=True, categories=("x", "y")),)
    table = TableScorer(make_model(described=features, coef=[[1.0, 2.0, 4.0]], intercept=[8.0]))
    column = Texts(("x", "y", "z"), np.array([0, 1, 2, -1]))

    assert table.log_odds({"a": column})[:, 0].tolist() == [9.0, 10.0, 8.0, 12.0]


@settings(max_examples=50)
@given(st.data(), st.integers(1, 3000), st.sampled_from([1, 3, 40, 1500]))
def test_ends_of_columns_are_those_of_each_column(
    data: st.DataObject, rows: int, width: int
) -> None:
    """However many rows are taken together, and wherever one is missing."""
    rows = min(rows, 60_000 // width)
    X = np.random.default_rng(rows).normal(size=(rows, width))
    places = st.tuples(st.integers(0, rows - 1), st.integers(0, width - 1))
    for row, place in data.draw(st.lists(places, max_size=4)):
        X[row, place] = data.draw(st.sampled_from([np.nan, np.inf, -1e300]))

    least, most = ends_of(X)

    np.testing.assert_array_equal(least, X.min(axis=0))
    np.testing.assert_array_equal(most, X.max(axis=0))
