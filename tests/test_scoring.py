"""Scoring one row: the estimator's answer by plain arithmetic."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from mlservice import load
from mlservice.errors import InvalidRow
from mlservice.learning import learn
from mlservice.model import Model, decode, encode
from mlservice.preparation import Column, Preparation, Texts
from mlservice.row import RowEncoder
from mlservice.schemas import Feature, Label, Preprocessing
from mlservice.scoring import PURE_PYTHON, Scorer, estimator, pipeline, reconstruct
from tests.support import DEFAULT_PARAMS, make_model

TOLERANCE = 1e-12
LABELS: dict[str, list[Label]] = {
    "text": ["maybe", "no", "yes", "z", "Ä"],
    "integers": [-7, 0, 3, 10, 2**40],
    "booleans": [False, True],
}
MOST = 1.7976931348623157e308


@st.composite
def scored(draw: st.DrawFn) -> tuple[Model, list[float]]:
    """Draw a model and a row, the number of coefficients on either side of `PURE_PYTHON`."""
    n_classes = draw(st.integers(2, 6))
    rows = 1 if n_classes == 2 else n_classes
    edge = PURE_PYTHON // rows
    n_features = draw(st.one_of(st.integers(1, 8), st.sampled_from([edge, edge + 1, 2 * edge])))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    # Scores of up to some 100, so that 1e-12 is within the rounding of a sum.
    scale = draw(st.sampled_from([0.0, 1e-320, 1e-3, 1.0, 30.0])) / math.sqrt(n_features)
    names = tuple(f"f{i}" for i in range(n_features))
    model = make_model(
        classes=tuple(range(n_classes)),
        features=names,
        coef=random.normal(size=(rows, n_features)) * scale,
        intercept=random.integers(-2, 3, rows) * 1.0,
    )
    return model, random.normal(size=n_features).tolist()


def expected(model: Model, row: list[float]) -> NDArray[np.float64]:
    """Return what the estimator's own method gives for one row."""
    with np.errstate(over="ignore"):  # scikit-learn's differences of the largest scores
        probabilities: NDArray[np.float64] = reconstruct(model).predict_proba(np.array([row]))[0]
    return probabilities


@given(scored())
def test_row_is_scored_as_the_estimator_scores_it(drawn: tuple[Model, list[float]]) -> None:
    """Probabilities agree within 1e-12, and so does the class unless two tie within that."""
    model, row = drawn

    position, probabilities = Scorer(model).score_row(row)

    theirs = expected(model, row)
    assert np.abs(theirs - probabilities).max() <= TOLERANCE
    assert theirs.max() - theirs[position] <= TOLERANCE
    assert sum(probabilities) == pytest.approx(1.0, abs=TOLERANCE)


@st.composite
def prepared(draw: st.DrawFn) -> tuple[Model, Pipeline, NDArray[np.object_]]:
    """Draw a mixed table; return scikit-learn's own pipeline of it, our model of it, and rows."""
    seed, n_rows = draw(st.integers(0, 2**32 - 1)), 40
    random = np.random.default_rng(seed)
    options = Preprocessing(
        impute=draw(st.sampled_from(["median", "mean", "zero"])),
        scale=draw(st.sampled_from(["none", "standard"])),
    )
    kinds = draw(st.lists(st.sampled_from(["full", "holes", "text", "texts"]), min_size=1))
    table = np.array([_cells(kind, random, n_rows) for kind in kinds], dtype=object).T
    y = np.arange(n_rows) % draw(st.integers(2, 4))
    theirs = _pipeline(kinds, options).fit(table, y)
    columns = {f"f{i}": column_of(table[:, i]) for i in range(len(kinds))}
    fitted = theirs[-1]
    model = Model(
        features=learn(columns, options).features,
        target="y",
        classes=tuple(fitted.classes_.tolist()),
        coef=fitted.coef_,
        intercept=fitted.intercept_,
        n_iter=(1,),
        params=DEFAULT_PARAMS,
    )
    return decode(encode(model)), theirs, table


def _cells(kind: str, random: np.random.Generator, length: int) -> list[Any]:
    if kind.startswith("text"):
        cells: list[Any] = random.choice(["a", "b", "z", "\u00fc"], length).tolist()
    else:
        cells = (random.normal(size=length) * 10 + 5).tolist()
    if kind in {"holes", "texts"}:
        cells[0] = cells[7] = None
    return cells


def column_of(cells: NDArray[np.object_]) -> Column:
    """Return a column as preparation takes it."""
    if not any(isinstance(cell, str) for cell in cells):
        return cells.astype(np.float64)
    values = tuple(sorted({cell for cell in cells if cell is not None}))
    codes = [-1 if cell is None else values.index(cell) for cell in cells]
    return Texts(values, np.array(codes, dtype=np.intp))


def _pipeline(kinds: list[str], options: Preprocessing) -> Pipeline:
    numbers = [place for place, kind in enumerate(kinds) if not kind.startswith("text")]
    texts = [place for place, kind in enumerate(kinds) if kind.startswith("text")]
    strategy = "constant" if options.impute == "zero" else options.impute
    steps = [
        FunctionTransformer(lambda cells: cells.astype(np.float64)),
        SimpleImputer(strategy=strategy, fill_value=0.0),
        StandardScaler() if options.scale == "standard" else "passthrough",
    ]
    encoder = OneHotEncoder(handle_unknown="ignore")
    transformer = ColumnTransformer(
        [("numbers", make_pipeline(*steps), numbers), ("texts", encoder, texts)]
    )
    return make_pipeline(transformer, LogisticRegression(max_iter=1000))


@given(prepared())
@settings(max_examples=25)
def test_mixed_row_is_scored_as_scikit_learns_pipeline_scores_it(
    drawn: tuple[Model, Pipeline, NDArray[np.object_]],
) -> None:
    """Filled, scaled and encoded, a row has its probabilities within 1e-12."""
    model, theirs, table = drawn
    row = table[0].copy()
    row[[isinstance(cell, str) for cell in row]] = "never seen"
    scorer = Scorer(model)

    for each in (*table[:8], row):
        position, probabilities = scorer.score_row(each.tolist())

        expected = theirs.predict_proba(each.reshape(1, -1))[0]
        assert np.abs(expected - probabilities).max() <= TOLERANCE
        assert expected.max() - expected[position] <= TOLERANCE


@given(prepared())
@settings(max_examples=25)
def test_mixed_model_is_loaded_as_a_pipeline(
    drawn: tuple[Model, Pipeline, NDArray[np.object_]],
) -> None:
    """From storage comes what predicts from rows as they were in the table."""
    model, theirs, table = drawn

    loaded = pipeline(model)

    assert loaded.predict(table).tolist() == theirs.predict(table).tolist()
    difference = loaded.predict_proba(table) - theirs.predict_proba(table)
    assert np.abs(difference).max() <= TOLERANCE


def test_model_without_preparation_is_loaded_as_the_estimator(tmp_path: Path) -> None:
    """Numbers that pass through unchanged need no pipeline."""
    (tmp_path / "model").write_bytes(encode(make_model()))

    assert isinstance(load(tmp_path / "model"), LogisticRegression)


def test_mixed_model_is_loaded_from_its_file(data: Path) -> None:
    """`mlservice.load` reads the golden file of format 2 as what predicts from raw rows."""
    loaded = load(data / "model_format_2.msgpack")

    row = [[1.0, "female", None, 2008.0, "Biscoe"], [1.0, None, 2.0, 2009.0, "nowhere"]]
    assert isinstance(loaded, Pipeline)
    assert set(loaded.predict(np.array(row, dtype=object))) <= {"setosa", "versicolor", "virginica"}


def test_text_that_was_not_seen_is_told() -> None:
    """A row's unknown categories are named, known ones and numbers are not."""
    features = (
        Feature(name="n"),
        Feature(name="a", kind="text", categories=("x",)),
        Feature(name="b", kind="text", missing=True, categories=("x",)),
    )
    encoder = RowEncoder(Preparation(features))

    assert encoder.unseen([1.0, "x", None]) == []
    assert encoder.unseen([1.0, "y", "z"]) == [("a", "y"), ("b", "z")]


@given(scored(), st.floats(-50, 50))
def test_constant_on_all_scores_changes_nothing(
    drawn: tuple[Model, list[float]], constant: float
) -> None:
    """Only differences between the classes' scores count."""
    model, row = drawn
    if len(model.classes) == 2:
        return  # its one score is the difference
    moved = make_model(
        classes=model.classes,
        features=tuple(feature.name for feature in model.features),
        coef=model.coef,
        intercept=model.intercept + constant,
    )

    difference = np.subtract(Scorer(moved).score_row(row)[1], Scorer(model).score_row(row)[1])

    assert np.abs(difference).max() <= 1e-11


@pytest.mark.parametrize(
    "score", [0.0, -0.0, 1e-320, -1e-320, 1.0, -1.0, 36.0, -36.0, 709.0, -709.0]
)
@pytest.mark.parametrize("size", [1, PURE_PYTHON + 1])
def test_binary_score_gives_the_sigmoid(score: float, size: int) -> None:
    """The probability of the second class is the logistic function of the score."""
    names = tuple(f"f{i}" for i in range(size))
    model = make_model(features=names, coef=[[1.0] + [0.0] * (size - 1)], intercept=[0.0])
    row = [score] + [0.0] * (size - 1)

    position, probabilities = Scorer(model).score_row(row)

    assert position == int(score > 0)
    assert np.abs(expected(model, row) - probabilities).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("score", "probability"),
    [(-745.0, 5e-324), (-746.0, 0.0), (-1e300, 0.0), (-MOST, 0.0), (746.0, 1.0), (MOST, 1.0)],
)
def test_certain_class_has_a_probability_and_no_overflow(score: float, probability: float) -> None:
    """Scores beyond the exponential's range are 0 and 1, not an error."""
    scorer = Scorer(make_model(features=("a",), coef=[[1.0]], intercept=[0.0]))

    _, probabilities = scorer.score_row([score])

    assert probabilities == [1.0 - probability, probability]


@pytest.mark.parametrize("row", [[MOST, -MOST], [1e300, 0.0], [0.0, 1e-320], [-MOST, MOST]])
def test_finite_scores_of_many_classes_never_overflow(row: list[float]) -> None:
    """The largest score is taken off before the exponential."""
    model = make_model(classes=(1, 2, 3), coef=[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])

    position, probabilities = Scorer(model).score_row(row)

    theirs = expected(model, row)
    assert np.abs(theirs - probabilities).max() <= TOLERANCE
    assert position == theirs.argmax()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("size", [4, PURE_PYTHON + 2])
@pytest.mark.parametrize("pair", [[MOST, MOST], [MOST, -MOST], [1e200, 1e200]])
def test_score_that_overflows_is_refused(n_classes: int, size: int, pair: list[float]) -> None:
    """A row whose score no float64 holds has no probability, in either arithmetic."""
    rows = 1 if n_classes == 2 else n_classes
    model = make_model(
        classes=tuple(range(n_classes)),
        features=tuple(f"f{i}" for i in range(size)),
        coef=np.full((rows, size), 1e200),
        intercept=np.zeros(rows),
    )

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidRow, match="they overflow float64"):
            Scorer(model).score_row(pair * (size // 2))


@pytest.mark.parametrize("size", [1, PURE_PYTHON])
def test_tie_goes_to_the_first_class_as_in_scikit_learn(size: int) -> None:
    """Classes of equal probability are told apart as the estimator tells them apart."""
    names = tuple(f"f{i}" for i in range(size))
    for classes in [(0, 1), (0, 1, 2)]:
        rows = 1 if len(classes) == 2 else 3
        model = make_model(
            classes=classes,
            features=names,
            coef=np.zeros((rows, size)),
            intercept=np.zeros(rows),
        )

        position, _ = Scorer(model).score_row([1.0] * size)

        assert position == reconstruct(model).predict([[1.0] * size])[0] == 0


@pytest.mark.parametrize(
    ("kind", "n_classes"),
    [(kind, n) for kind, labels in LABELS.items() for n in (2, 3, 5) if n <= len(labels)],
)
def test_reconstructed_is_the_trained_estimator_bit_for_bit(kind: str, n_classes: int) -> None:
    """After storage the estimator predicts exactly what the trained one predicts."""
    random = np.random.default_rng(0)
    X, codes = random.normal(size=(80, 4)), np.arange(80) % n_classes
    labels = LABELS[kind][:n_classes]
    with threadpool_limits(1):
        trained = LogisticRegression().fit(X, np.array(labels)[codes])
        model = _model_of(trained, labels)

        again = reconstruct(decode(encode(model)))

        assert again.predict_proba(X).tobytes() == trained.predict_proba(X).tobytes()
        assert again.decision_function(X).tobytes() == trained.decision_function(X).tobytes()
        assert again.predict(X).tolist() == trained.predict(X).tolist()
        assert again.classes_.dtype == trained.classes_.dtype


def test_reconstructed_liblinear_is_the_trained_one_bit_for_bit() -> None:
    """liblinear's probabilities are its own, and survive storage too."""
    random = np.random.default_rng(0)
    X, y = random.normal(size=(80, 4)), np.arange(80) % 2
    trained = LogisticRegression(solver="liblinear", random_state=0).fit(X, y)

    again = reconstruct(decode(encode(_model_of(trained, [0, 1]))))

    assert again.predict_proba(X).tobytes() == trained.predict_proba(X).tobytes()


def _model_of(trained: LogisticRegression, labels: list[Label]) -> Model:
    return Model(
        features=tuple(Feature(name=name) for name in "abcd"),
        target="y",
        classes=tuple(labels),
        coef=trained.coef_,
        intercept=trained.intercept_,
        n_iter=tuple(trained.n_iter_.tolist()),
        params=DEFAULT_PARAMS | {"solver": trained.solver},
    )


def test_reconstructed_has_every_fitted_attribute() -> None:
    """What scikit-learn documents as fitted attributes is there."""
    trained = LogisticRegression().fit([[0.0], [1.0]], [0, 1])

    again = reconstruct(make_model(features=("a",)))

    fitted = {name for name in vars(trained) if name.endswith("_")}
    assert {name for name in vars(again) if name.endswith("_")} == fitted
    assert again.n_iter_.dtype == trained.n_iter_.dtype


@pytest.mark.parametrize(
    ("labels", "names"),
    [(("no", "yes"), ["no", "yes"]), ((1, 2), ["1", "2"]), ((False, True), ["false", "true"])],
)
def test_scorer_knows_labels_and_their_names(labels: tuple[Label, ...], names: list[str]) -> None:
    """Labels come back as they were sent; their names are as JSON writes them."""
    scorer = Scorer(make_model(classes=labels))

    assert scorer.labels == list(labels)
    assert [type(label) for label in scorer.labels] == [type(label) for label in labels]
    assert scorer.label_names == names


def test_scorer_counts_what_it_holds() -> None:
    """A larger model counts as larger in the cache."""
    small, large = (
        Scorer(make_model(features=tuple(f"f{i}" for i in range(size)))) for size in (2, 2000)
    )

    assert large.size_bytes - small.size_bytes > 1998 * 8


@pytest.mark.parametrize(
    ("params", "name", "value"),
    [
        ({"C": None}, "C", math.inf),
        ({"C": 0.5}, "C", 0.5),
        ({"class_weight": "balanced"}, "class_weight", "balanced"),
        ({"class_weight": {"1": 2.0}}, "class_weight", {1: 2.0}),
        ({"class_weight": None}, "class_weight", None),
    ],
)
def test_estimator_has_the_parameters_of_the_model(
    params: dict[str, Any], name: str, value: object
) -> None:
    """JSON's terms become scikit-learn's."""
    unfitted = estimator(DEFAULT_PARAMS | params, {"0": 0, "1": 1})

    assert unfitted.get_params()[name] == value
