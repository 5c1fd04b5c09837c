"""The fit itself: scikit-learn's, bit for bit."""

import json
import math
import warnings
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from mlservice import __version__
from mlservice.errors import InvalidParams, InvalidTable, MalformedJson, NumericalFailure
from mlservice.model import decode, encode
from mlservice.schemas import FitWarning, Solver
from mlservice.settings import Settings
from tests.support import iris_columns, make_request
from workers import training
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


def train_on(data: Any, **params: Any) -> Trained:
    """Train on a table with the target `y`."""
    body = json.dumps({"data": data, "target": "y", "params": params}).encode()
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
    monkeypatch.setattr(training, "MOST_COEFFICIENTS_TOLD", 8)

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
