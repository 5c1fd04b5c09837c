"""Which parameters fit together: scikit-learn is the judge."""

import warnings
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from mlservice.catalogue import Params, Solver
from mlservice.errors import InvalidParams
from mlservice.params import resolve
from mlservice.schemas import Label
from mlservice.scoring import estimator
from tests.support import DEFAULT_PARAMS

SOLVERS: tuple[Solver, ...] = get_args(Solver)
PENALTIES: dict[str, dict[str, Any]] = {
    "l2": {},
    "l1": {"l1_ratio": 1.0},
    "elasticnet": {"l1_ratio": 0.5},
    "none": {"C": None},
}
MATRIX = list(product(SOLVERS, PENALTIES, (2, 3), (False, True)))


def scikit_learn_takes(named: dict[str, Any], n_classes: int) -> bool:
    """Tell whether a fit on a small table works."""
    X = np.random.default_rng(0).normal(size=(24, 2))
    y = np.arange(24) % n_classes
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", RuntimeWarning)  # of a line search without tolerance
            LogisticRegression(**named, max_iter=5).fit(X, y)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("solver", "penalty", "n_classes", "dual"), MATRIX)
def test_combination_is_taken_exactly_when_scikit_learn_takes_it(
    solver: Solver, penalty: str, n_classes: int, dual: bool
) -> None:
    """No combination is refused that would fit, and none is queued that would not."""
    chosen = PENALTIES[penalty] | {"solver": solver, "dual": dual}
    expected = scikit_learn_takes({"C": 1.0} | chosen | _c(chosen), n_classes)

    try:
        resolve(Params(**chosen), list(range(n_classes)))
        taken = True
    except InvalidParams:
        taken = False

    assert taken == expected


def _c(chosen: dict[str, Any]) -> dict[str, float]:
    return {"C": np.inf} if chosen.get("C", 1.0) is None else {}


def test_matrix_has_both_outcomes() -> None:
    """The judge above says yes to some combinations and no to others."""
    assert scikit_learn_takes({"solver": "saga", "l1_ratio": 0.5}, 3)
    assert not scikit_learn_takes({"solver": "liblinear"}, 3)


def test_defaults_are_those_of_scikit_learn() -> None:
    """A request without parameters fits what `LogisticRegression()` fits."""
    ours = resolve(Params(), [0, 1])

    theirs = LogisticRegression().get_params()
    assert ours == DEFAULT_PARAMS
    assert {name: theirs[name] for name in ours} == ours | {"random_state": None}


@pytest.mark.parametrize(
    ("given", "C", "l1_ratio"),
    [
        ({"penalty": "l2"}, 1.0, 0.0),
        ({"penalty": "l1"}, 1.0, 1.0),
        ({"penalty": "l1", "l1_ratio": 1.0, "C": 2.0}, 2.0, 1.0),
        ({"penalty": "elasticnet", "l1_ratio": 0.3}, 1.0, 0.3),
        ({"penalty": None}, None, 0.0),
        ({"penalty": None, "C": None}, None, 0.0),
        ({"C": None}, None, 0.0),
        ({"C": 0.5}, 0.5, 0.0),
    ],
)
def test_old_spelling_is_translated(
    given: dict[str, Any], C: float | None, l1_ratio: float
) -> None:
    """`penalty` becomes `C` and `l1_ratio`, and is never passed on."""
    resolved = resolve(Params(solver="saga", **given), [0, 1])

    assert (resolved["C"], resolved["l1_ratio"]) == (C, l1_ratio)
    assert "penalty" not in resolved


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"penalty": "l1", "l1_ratio": 0.0}, "penalty"),
        ({"penalty": "l2", "l1_ratio": 1.0}, "penalty"),
        ({"penalty": "elasticnet"}, "penalty"),
        ({"penalty": "elasticnet", "l1_ratio": 1.0}, "penalty"),
        ({"penalty": "l2", "C": None}, "penalty"),
        ({"penalty": None, "C": 1.0}, "penalty"),
        ({"penalty": None, "l1_ratio": 0.5}, "l1_ratio"),
        ({"C": None, "l1_ratio": 1.0}, "l1_ratio"),
        ({"C": None, "penalty": "l1"}, "l1_ratio"),
    ],
)
def test_contradiction_is_refused(given: dict[str, Any], place: str) -> None:
    """A penalty that is named twice and differently is not guessed at."""
    with pytest.raises(InvalidParams) as refused:
        resolve(Params(solver="saga", **given), [0, 1])

    assert [fault.pointer for fault in refused.value.errors] == [f"/params/{place}"]


def test_refused_solver_is_told_with_those_that_can() -> None:
    """The client reads which solver to take instead."""
    with pytest.raises(InvalidParams, match="elastic-net penalty; solvers that can: saga"):
        resolve(Params(solver="lbfgs", l1_ratio=0.5), [0, 1])


@pytest.mark.parametrize("solver", SOLVERS)
def test_tolerance_of_zero_is_taken_exactly_when_scikit_learn_takes_it(solver: Solver) -> None:
    """liblinear needs a tolerance, the other solvers then use all iterations."""
    params = Params(solver=solver, tol=0.0)

    if scikit_learn_takes({"solver": solver, "tol": 0.0}, 2):
        assert resolve(params, [0, 1])["tol"] == 0.0
    else:
        with pytest.raises(InvalidParams, match="tol must be above 0"):
            resolve(params, [0, 1])


@pytest.mark.parametrize(
    ("labels", "weights"),
    [
        (["a", "b"], {"a": 2.0}),
        ([1, 2], {"1": 2.0, "2": 0.5}),
        ([-1, 10], {"-1": 2.0}),
        ([False, True], {"true": 3.0}),
        (["a", "b", "c"], {"a": 0.0}),
    ],
)
def test_class_weight_names_labels_as_json_writes_them(
    labels: list[Label], weights: dict[str, float]
) -> None:
    """Each key of `class_weight` is a class's name as a member."""
    resolved = resolve(Params(class_weight=weights), labels)

    assert resolved["class_weight"] == weights


@pytest.mark.parametrize("name", ["True", "1", "c", ""])
def test_weight_of_no_class_is_refused(name: str) -> None:
    """A weight that would have no effect is refused by its name."""
    with pytest.raises(InvalidParams) as refused:
        resolve(Params(class_weight={name: 1.0}), [False, True])

    assert [fault.pointer for fault in refused.value.errors] == [f"/params/class_weight/{name}"]


def test_weight_of_a_name_with_a_slash_is_pointed_at() -> None:
    """The pointer escapes what RFC 6901 escapes."""
    with pytest.raises(InvalidParams) as refused:
        resolve(Params(class_weight={"a/~b": 1.0}), ["a", "b"])

    assert [fault.pointer for fault in refused.value.errors] == ["/params/class_weight/a~1~0b"]


def test_weights_that_leave_one_class_are_refused() -> None:
    """A class of weight 0 is no class of the fit."""
    with pytest.raises(InvalidParams, match="two classes a weight above 0"):
        resolve(Params(class_weight={"a": 0.0}), ["a", "b"])


def test_weight_reaches_the_class_that_it_names() -> None:
    """The estimator gets its weights by its own labels."""
    resolved = resolve(Params(class_weight={"true": 3.0}), [False, True])

    unfitted = estimator(resolved, {"false": 0, "true": 1})

    assert unfitted.class_weight == {1: 3.0}


@pytest.mark.parametrize(("given", "seed"), [(None, 0), (0, 0), (7, 7)])
def test_seed_is_0_when_none_is_given(given: int | None, seed: int) -> None:
    """A training can be repeated even where nobody asked for it."""
    assert resolve(Params(random_state=given), [0, 1])["random_state"] == seed
