"""The fit itself: scikit-learn's, bit for bit."""

import json
import math
import warnings
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from mlservice import __version__, coefficients
from mlservice.catalogue import Solver
from mlservice.dataset import prepare
from mlservice.errors import InvalidParams, InvalidTable, MalformedJson, NumericalFailure
from mlservice.model import decode, encode
from mlservice.schemas import FitWarning, TrainingRequest, read_training
from mlservice.scoring import Scorer, pipeline
from mlservice.settings import Settings
from tests.support import iris_columns, make_request
from workers.training import Trained, train

SOLVERS: tuple[Solver, ...] = get_args(Solver)
PENALTIES: dict[str, dict[str, Any]] = {
    "l2": {"C": 0.5},
    "l1": {"C": 0.5, "l1_ratio": 1.0},
    "elasticnet": {"C": 0.5, "l1_ratio": 0.3},
    "none": {"C": None},
}
REFUSED = {
    (solver, penalty)
    for solver in ("lbfgs", "newton-cg", "newton-cholesky", "sag")
    for penalty in ("l1", "elasticnet")
} | {("liblinear", "elasticnet"), ("liblinear", "none")}
TAKEN = [
    (solver, penalty, n_classes)
    for solver, penalty, n_classes in product(SOLVERS, PENALTIES, (2, 3))
    if (solver, penalty) not in REFUSED and (solver, n_classes) != ("liblinear", 3)
]
LABELS: dict[str, list[Any]] = {
    "text": ["no", "yes", "maybe", "Ä", "z"],
    "integers": [3, -7, 2**40, 10, 0],
    "booleans": [True, False],
}


def make_table(*, n_classes: int, labels: list[Any]) -> dict[str, list[Any]]:
    """Return 60 rows of three columns, and a target that depends on them."""
    random = np.random.default_rng(n_classes)
    X = random.normal(size=(60, 3))
    y = (X @ [1.0, -2.0, 0.5] + random.normal(size=60)).argsort().argsort() * n_classes // 60
    columns = {name: X[:, i].tolist() for i, name in enumerate("abc")}
    return columns | {"y": [labels[code] for code in y]}


def train_on(
    data: Any,
    preprocessing: dict[str, Any] | None = None,
    evaluation: dict[str, Any] | None = None,
    **params: Any,
) -> Trained:
    """Train on a table with the target `y`."""
    options = {
        "params": params,
        "preprocessing": preprocessing or {},
        "evaluation": evaluation or {},
    }
    body = json.dumps({"data": data, "target": "y"} | options).encode()
    with threadpool_limits(1):
        return train(body, Settings())


def scikit_learn_on(data: dict[str, list[Any]], **params: Any) -> LogisticRegression:
    """Fit scikit-learn's estimator on the same table, as its user would."""
    X = np.array([data[name] for name in data if name != "y"]).T.copy()
    if params.get("C", 1.0) is None:
        params["C"] = math.inf
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(**{"random_state": 0} | params).fit(X, np.array(data["y"]))


def assert_same(trained: Trained, fitted: LogisticRegression) -> None:
    """Hold each number of a model to the estimator's, bit for bit."""
    model = trained.model
    assert list(model.classes) == fitted.classes_.tolist()
    assert model.coef.tobytes() == fitted.coef_.tobytes()
    assert model.intercept.tobytes() == fitted.intercept_.tobytes()
    assert list(model.n_iter) == fitted.n_iter_.tolist()


@pytest.mark.parametrize(("solver", "penalty", "n_classes"), TAKEN)
def test_model_is_what_scikit_learn_fits(solver: Solver, penalty: str, n_classes: int) -> None:
    """A numeric table gives exactly what `LogisticRegression(**params).fit(X, y)` gives."""
    data = make_table(n_classes=n_classes, labels=LABELS["text"])
    params = PENALTIES[penalty] | {"solver": solver}

    trained = train_on(data, **params)

    assert_same(trained, scikit_learn_on(data, **params))


@pytest.mark.parametrize(
    ("kind", "n_classes"),
    [(kind, n) for kind, labels in LABELS.items() for n in (2, 3, 5) if n <= len(labels)],
)
def test_model_of_each_kind_of_label_is_what_scikit_learn_fits(kind: str, n_classes: int) -> None:
    """Text, integers and booleans are fitted as scikit-learn fits them, and keep their type."""
    data = make_table(n_classes=n_classes, labels=LABELS[kind])

    trained = train_on(data)

    assert_same(trained, scikit_learn_on(data))
    assert {type(label) for label in trained.model.classes} == {type(LABELS[kind][0])}


@pytest.mark.parametrize(
    "params",
    [
        {"class_weight": "balanced"},
        {"fit_intercept": False},
        {"tol": 1e-9, "max_iter": 500},
        {"max_iter": 3},
        {"solver": "sag", "random_state": 7},
        {"solver": "liblinear", "dual": True, "random_state": 7},
        {"solver": "liblinear", "intercept_scaling": 10.0},
        {"solver": "saga", "random_state": 2**32 - 1},
    ],
)
def test_each_parameter_reaches_scikit_learn(params: dict[str, Any]) -> None:
    """No parameter that has an effect is lost on the way."""
    data = make_table(n_classes=2, labels=LABELS["text"])

    assert_same(train_on(data, **params), scikit_learn_on(data, **params))


@pytest.mark.parametrize(
    ("labels", "named", "theirs"),
    [
        (["no", "yes"], {"yes": 3.0}, {"yes": 3.0}),
        ([10, 9], {"9": 3.0, "10": 0.5}, {9: 3.0, 10: 0.5}),
        ([True, False], {"true": 3.0}, {True: 3.0}),
    ],
)
def test_class_weights_reach_the_classes_that_they_name(
    labels: list[Any], named: dict[str, float], theirs: dict[Any, float]
) -> None:
    """A weight by the label's name is scikit-learn's weight by the label."""
    data = make_table(n_classes=2, labels=labels)

    trained = train_on(data, class_weight=named)

    assert_same(trained, scikit_learn_on(data, class_weight=theirs))


def mixed_table(*, rows: int = 80) -> dict[str, list[Any]]:
    """Return numbers, numbers with gaps, texts, texts with gaps, booleans, and a target."""
    random = np.random.default_rng(3)
    a, b = random.normal(size=rows) * 7 + 40, random.normal(size=rows) / 100
    table: dict[str, list[Any]] = {
        "island": random.choice(["Biscoe", "Dream", "Torgersen"], rows).tolist(),
        "a": a.tolist(),
        "sex": random.choice(["f", "m"], rows).tolist(),
        "b": b.tolist(),
        "wild": (random.random(rows) < 0.5).tolist(),
        "y": np.where(a + 500 * b + random.normal(size=rows) * 5 > 40, "yes", "no").tolist(),
    }
    table["b"][3] = table["b"][5] = table["sex"][5] = table["sex"][8] = None
    return table


def scikit_learn_pipeline(
    table: dict[str, list[Any]], options: dict[str, Any], **params: Any
) -> tuple[Pipeline, Any]:
    """Return scikit-learn's own pipeline for a mixed table, not fitted, and the raw rows."""
    names = [name for name in table if name != "y"]
    X = np.array([table[name] for name in names], dtype=object).T
    texts = [i for i, name in enumerate(names) if any(isinstance(c, str) for c in table[name])]
    strategy = {"zero": "constant"}.get(impute := options.get("impute", "median"), impute)
    numbers = make_pipeline(
        FunctionTransformer(lambda cells: cells.astype(np.float64)),
        SimpleImputer(strategy=strategy, fill_value=0.0),
        StandardScaler() if options.get("scale") == "standard" else "passthrough",
    )
    transformer = ColumnTransformer(
        [
            ("numbers", numbers, [i for i in range(len(names)) if i not in texts]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), texts),
        ],
        sparse_threshold=0.0,
    )
    return make_pipeline(transformer, LogisticRegression(random_state=0, **params)), X


@pytest.mark.parametrize("scale", ["none", "standard"])
@pytest.mark.parametrize("impute", ["median", "mean", "zero"])
def test_mixed_table_is_fitted_as_scikit_learns_pipeline_fits_it(impute: str, scale: str) -> None:
    """Filled, encoded and scaled, a table gives the probabilities of the usual pipeline."""
    table, options = mixed_table(), {"impute": impute, "scale": scale}
    params: dict[str, Any] = {"solver": "newton-cholesky", "tol": 1e-10, "max_iter": 200}

    trained = train_on(table, options, **params)

    theirs, X = scikit_learn_pipeline(table, options, **params)
    theirs.fit(X, np.array(table["y"]))
    ours = pipeline(decode(encode(trained.model))).predict_proba(X)
    assert np.abs(ours - theirs.predict_proba(X)).max() <= 1e-12
    rows = [Scorer(trained.model).score_row(row.tolist())[1] for row in X]
    assert np.abs(np.array(rows) - theirs.predict_proba(X)).max() <= 1e-12


def test_preparation_is_learnt_on_the_training_part_of_each_fold() -> None:
    """Scores are those of the usual pipeline, which never sees the rows it is measured on."""
    table, options = mixed_table(rows=60), {"impute": "mean", "scale": "standard"}
    table["island"][7] = "seen once"
    params: dict[str, Any] = {"solver": "newton-cholesky", "tol": 1e-10}

    trained = train_on(table, options, {"test_size": 0, "folds": 4}, **params)

    theirs, X = scikit_learn_pipeline(table, options, **params)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    P = cross_val_predict(theirs, X, np.array(table["y"]), cv=folds, method="predict_proba")
    measured = trained.description.metrics
    assert measured is not None
    assert measured.cross_validation is not None
    assert measured.cross_validation.log_loss == pytest.approx(log_loss(table["y"], P), abs=1e-10)


def test_model_that_is_not_refitted_is_prepared_by_its_training_part() -> None:
    """What was learnt, and is stored, is of the rows that the kept model was fitted on."""
    table = {"a": [*range(99), None], "y": [0, 1] * 50}
    evaluation = {"test_size": 0.5, "refit": False}

    kept = train_on(table, {"impute": "mean"}, evaluation).model.features[0]

    dataset = prepare(
        read_training(json.dumps({"data": table, "target": "y"}).encode()), Settings()
    )
    part = StratifiedShuffleSplit(1, test_size=0.5, random_state=0)
    rows, _ = next(part.split(dataset.X, dataset.y))
    assert kept.fill == np.nanmean(np.array(table["a"], dtype=float)[rows])


def test_coefficients_are_told_in_the_units_of_the_input() -> None:
    """Scaled or not, an unpenalised fit tells the same log-odds per unit of each column."""
    params: dict[str, Any] = {
        "C": None,
        "solver": "newton-cholesky",
        "tol": 1e-12,
        "max_iter": 200,
    }
    table = {name: cells for name, cells in mixed_table().items() if name in {"a", "b", "y"}}

    plain, scaled = (
        train_on(table, {"scale": scale}, **params).description for scale in ("none", "standard")
    )

    assert plain.coefficients
    assert scaled.coefficients
    assert scaled.coefficients["yes"] == pytest.approx(plain.coefficients["yes"], rel=1e-8)
    assert scaled.intercept == pytest.approx(plain.intercept, rel=1e-8)


def test_coefficients_of_text_are_named_by_feature_and_category() -> None:
    """Numbers stand first; a missing text has a coefficient of its own."""
    described = train_on(mixed_table()).description

    assert list((described.coefficients or {})["yes"]) == [
        *("a", "b", "wild"),
        *("island=Biscoe", "island=Dream", "island=Torgersen"),
        *("sex=f", "sex=m", "sex="),
    ]


@pytest.mark.parametrize("solver", SOLVERS)
def test_wide_one_hot_table_is_fitted_sparse(solver: Solver) -> None:
    """Many categories are fitted by each solver without a matrix full of zeros."""
    random = np.random.default_rng(0)
    table = {
        "c": [f"c{i}" for i in random.integers(0, 400, 1200)],
        "n": random.random(1200).tolist(),
    }
    table["y"] = [int(name[1:]) % 2 for name in table["c"]]

    dataset = prepare(TrainingRequest(data=table, target="y"), Settings())
    trained = train_on(table, {"scale": "standard"}, solver=solver, max_iter=1000)

    assert isinstance(dataset.X, csr_array)
    scorer = Scorer(trained.model)
    assert scorer.labels[scorer.score_row(["c8", 0.5])[0]] == 0
    assert scorer.labels[scorer.score_row(["c9", 0.5])[0]] == 1


def test_same_request_gives_the_same_bytes() -> None:
    """A training can be repeated, digest and all."""
    data = make_table(n_classes=3, labels=LABELS["text"])

    first, second = (encode(train_on(data, solver="saga").model) for _ in range(2))

    assert first == second


def test_whole_iris_of_the_readme_trains() -> None:
    """The usual table converges, and its description tells of it."""
    trained = train(json.dumps(make_request(name="iris")).encode(), Settings())

    described = trained.description
    assert (trained.name, described.rows, described.converged) == ("iris", 150, True)
    assert described.classes == sorted(set(iris_columns()["species"]))
    assert described.warnings == []


def test_description_has_coefficients_by_class_and_column() -> None:
    """With three classes each class has its row of coefficients and its intercept."""
    trained = train_on(make_table(n_classes=3, labels=[7, 8, 9]))

    model, described = trained.model, trained.description
    assert described.coefficients == {
        name: dict(zip("abc", row, strict=True))
        for name, row in zip("789", model.coef.tolist(), strict=True)
    }
    assert described.intercept == dict(zip("789", model.intercept.tolist(), strict=True))


def test_two_classes_have_the_coefficients_of_the_second() -> None:
    """The one row of coefficients is named by the class that it speaks for."""
    described = train_on(make_table(n_classes=2, labels=LABELS["booleans"])).description

    assert list(described.coefficients or {}) == list(described.intercept or {}) == ["true"]


def test_very_many_coefficients_are_left_out_of_the_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A document stays readable; the stored model has all numbers."""
    monkeypatch.setattr(coefficients, "MOST_TOLD", 8)

    trained = train_on(make_table(n_classes=3, labels=[7, 8, 9]))

    assert trained.description.coefficients is None
    assert trained.model.coef.size == 9


def test_provenance_names_versions_data_and_seed() -> None:
    """A model tells what it was made of."""
    provenance = train_on(make_table(n_classes=2, labels=[0, 1]), random_state=5).model.provenance

    assert provenance["versions"]["mlservice"] == __version__
    assert provenance["versions"].keys() >= {"scikit-learn", "scipy", "numpy", "python"}
    assert provenance["data_digest"].startswith("sha256:")
    assert (provenance["rows"], provenance["random_state"]) == (60, 5)


def test_trained_model_survives_storage() -> None:
    """What was fitted is what is stored."""
    model = train_on(make_table(n_classes=3, labels=LABELS["text"])).model

    assert encode(decode(encode(model))) == encode(model)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("max_iter", [0, 1])
def test_fit_that_did_not_converge_says_so_in_words(solver: Solver, max_iter: int) -> None:
    """A solver that ran out of iterations leaves a usable model and a warning."""
    data = make_table(n_classes=2, labels=[0, 1])

    trained = train_on(data, solver=solver, max_iter=max_iter, tol=1e-12)

    described = trained.description
    assert described.converged is False
    [warning] = described.warnings
    assert warning.code == "not-converged"
    assert warning.detail.startswith(f"The solver {solver} stopped after ")
    assert np.isfinite(trained.model.coef).all()


def test_other_warning_of_the_solver_is_passed_on() -> None:
    """What else a solver says stands in the document, in its own words."""
    data = {"a": [1, 2, 3, 4], "y": [0, 1, 0, 1]}

    warned = train_on(data, solver="newton-cg", tol=0.0).description.warnings

    assert {each.code for each in warned} >= {"solver"}
    assert all(isinstance(each, FitWarning) and each.detail for each in warned)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scale", [1e160, 1e200, 1e300])
def test_huge_numbers_are_a_failure_and_no_model(solver: Solver, scale: float) -> None:
    """Numbers whose squares overflow give no model of zeros that claims to have converged."""
    data = {"a": [scale, 2 * scale, -3 * scale, scale / 2], "b": [1, 2, 3, 5], "y": [0, 1, 0, 1]}

    with pytest.raises(NumericalFailure, match="bring the columns to similar scales"):
        train_on(data, solver=solver)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky", "liblinear"])
def test_large_numbers_that_a_solver_gives_up_on_are_a_failure(solver: Solver) -> None:
    """A solver that found no step, or met an overflow, leaves no model."""
    data = {"a": [1e100, 2e100, -3e100, 4e100], "y": [0, 1, 0, 1]}

    with pytest.raises(NumericalFailure):
        train_on(data, solver=solver)


@pytest.mark.parametrize("solver", ["lbfgs", "sag", "saga"])
def test_tiny_c_is_a_failure_and_no_model(solver: Solver) -> None:
    """A penalty whose strength is infinite leaves no model."""
    with pytest.raises(NumericalFailure):
        train_on({"a": [1, 2, 3, 4], "y": [0, 1, 0, 1]}, solver=solver, C=5e-324)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", MalformedJson),
        (b'{"data": {"a": [1, "x"], "y": [0, 1]}, "target": "y"}', InvalidTable),
        (
            b'{"data": {"a": [1, 2], "y": [0, 1]}, "target": "y", "params": {"l1_ratio": 1}}',
            InvalidParams,
        ),
    ],
)
def test_wrong_request_is_told_as_the_service_tells_it(
    body: bytes, problem: type[Exception]
) -> None:
    """A worker refuses what the service would have refused."""
    with pytest.raises(problem):
        train(body, Settings())
