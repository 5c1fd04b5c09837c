"""Which searches are refused, and what points and folds the others have."""

from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import loguniform, uniform
from sklearn.model_selection import ParameterGrid, ParameterSampler

from mlservice.dataset import Dataset, prepare
from mlservice.errors import InvalidRequest, InvalidSearch
from mlservice.points import Plan, count_fits
from mlservice.schemas import read_training
from mlservice.settings import Settings

ROWS = 60


def dataset_of(search: dict[str, Any], *, n_classes: int = 2, **members: Any) -> Dataset:
    """Return a dataset of 60 rows with a search."""
    data = {
        "x": list(range(ROWS)),
        "z": [row * 7 % 11 for row in range(ROWS)],
        "y": [row % n_classes for row in range(ROWS)],
    }
    body = {"data": data, "target": "y", "search": search} | members
    return prepare(read_training(msgspec.json.encode(body)), Settings())


def plan_of(search: dict[str, Any], **members: Any) -> Plan:
    """Return the plan of a search on such rows."""
    plan = dataset_of(search, **members).search
    assert plan
    return plan


def test_grid_has_every_combination_in_scikit_learns_order() -> None:
    """The points are those of `ParameterGrid`."""
    search = {"C": [1, None, 0.1], "class_weight": ["balanced", None], "solver": ["lbfgs", "sag"]}

    plan = plan_of(search)

    assert list(plan.points) == list(ParameterGrid(search))
    assert [params["solver"] for params in plan.params[:2]] == ["lbfgs", "sag"]
    assert plan.shared.keys() == plan.params[0].keys() - {"C", "class_weight", "solver"}


def test_random_points_are_scikit_learns() -> None:
    """The points are those of `ParameterSampler` with the same seed, C uniform in its logarithm."""
    search = {
        "C": {"low": 0.001, "high": 10},
        "l1_ratio": {"low": 0.25, "high": 0.75},
        "solver": ["saga"],
        "strategy": "random",
        "n_iter": 12,
        "random_state": 5,
    }

    plan = plan_of(search)

    drawn = {"C": loguniform(0.001, 10), "l1_ratio": uniform(0.25, 0.5), "solver": ["saga"]}
    assert list(plan.points) == list(ParameterSampler(drawn, 12, random_state=5))
    assert {type(point["C"]) for point in plan.points} == {float}


def test_random_points_of_lists_are_all_different() -> None:
    """From lists alone nothing is drawn twice, ten by default."""
    plan = plan_of({"C": list(range(1, 12)), "strategy": "random"})

    assert len({point["C"] for point in plan.points}) == 10


@pytest.mark.parametrize(
    ("search", "members", "pointer", "words"),
    [
        ({}, {}, "/search", "one of C, class_weight, l1_ratio, solver, it has none"),
        ({"C": [1]}, {"params": {"C": 1}}, "/params/C", "search or in params, it is in both"),
        ({"solver": ["sag"]}, {"params": {"solver": "lbfgs"}}, "/params/solver", "in both"),
        ({"C": [1], "n_iter": 3}, {}, "/search/n_iter", "left out with a grid"),
        ({"C": {"low": 1, "high": 2}}, {}, "/search/C", "must be a list with a grid"),
        (
            {"C": {"low": 2, "high": 1}, "strategy": "random"},
            {},
            "/search/C",
            "low of C must be below high",
        ),
        (
            {"C": {"low": 1e-300, "high": 1e300}, "strategy": "random"},
            {},
            "/search/C",
            "their ratio a number",
        ),
        (
            {"C": [1, 2], "strategy": "random", "n_iter": 3},
            {},
            "/search/n_iter",
            "at most the 2 combinations of the lists, it is 3",
        ),
        (
            {"C": list(range(1, 102)), "l1_ratio": [0] * 10},
            {},
            "/search",
            "at most 1000 points (MLSERVICE_MAX_SEARCH_POINTS), it has 1010",
        ),
        (
            {"C": {"low": 1, "high": 2}, "strategy": "random", "n_iter": 1001},
            {},
            "/search/n_iter",
            "at most 1000 points",
        ),
        ({"C": [1], "scoring": "f1"}, {"n_classes": 3}, "/search/scoring", "take f1_macro"),
        ({"C": [1], "scoring": "roc_auc"}, {"n_classes": 3}, "/search/scoring", "roc_auc_ovr"),
        ({"C": [1]}, {"n_classes": 20}, "/search/folds", "a row for each of the 5 folds"),
        (
            {"C": [0.5, 2], "solver": ["lbfgs", "liblinear"]},
            {"n_classes": 3},
            "/search",
            'Point 1 (C 0.5, solver "liblinear") cannot be fitted: solver liblinear takes two',
        ),
        (
            {"l1_ratio": [0, 0.5]},
            {},
            "/search",
            "Point 1 (l1_ratio 0.5) cannot be fitted: solver lbfgs cannot do an elastic-net",
        ),
        ({"C": [1, None]}, {"params": {"penalty": "l2"}}, "/search", "Point 1 (C null)"),
        ({"class_weight": [{"a": 1}]}, {}, "/search", "must name classes of the target"),
    ],
)
def test_search_that_cannot_be_made_is_refused(
    search: dict[str, Any], members: dict[str, Any], pointer: str, words: str
) -> None:
    """What is wrong is told by its place; of a combination, the point."""
    with pytest.raises(InvalidSearch) as refused:
        plan_of(search, **members)

    first = refused.value.errors[0]
    assert first.pointer == pointer
    assert words in first.detail


def test_all_points_that_cannot_be_fitted_are_told() -> None:
    """Up to 20 of them, and how many there are."""
    with pytest.raises(InvalidSearch, match=r"Point 1 .*and 29 more points") as refused:
        plan_of({"C": list(range(1, 31)), "l1_ratio": [0, 1]})

    assert len(refused.value.errors) == 20


@pytest.mark.parametrize(
    ("search", "pointer"),
    [
        ({"C": []}, "/search/C"),
        ({"C": [0]}, "/search/C"),
        ({"C": [1], "folds": 21}, "/search/folds"),
        ({"C": [1], "folds": 1}, "/search/folds"),
        ({"C": [1], "scoring": "log_loss"}, "/search/scoring"),
        ({"solver": ["auto"]}, "/search/solver"),
        ({"max_iter": [1]}, "/search"),
    ],
)
def test_search_of_the_wrong_form_is_refused(search: dict[str, Any], pointer: str) -> None:
    """Members, types and ranges are those of the declaration."""
    with pytest.raises(InvalidRequest) as refused:
        plan_of(search)

    assert str(refused.value.errors[0].pointer).startswith(pointer)


@pytest.mark.parametrize(
    "evaluation",
    [
        {},
        {"stratify": False},
        {"test_size": 0},
        {"group": "z"},
        {"group": "z", "test_size": 0.3, "stratify": False},
        {"order": "z"},
        {"order": "z", "test_size": 0},
    ],
)
def test_folds_are_parted_as_the_evaluation_says(evaluation: dict[str, Any]) -> None:
    """No fold has a held-out row; groups stay whole, and time goes forward."""
    dataset = dataset_of({"C": [1], "folds": 3}, evaluation=evaluation)
    plan, part = dataset.search, dataset.splits.hold_out()
    assert plan

    folds = list(plan.folds())

    seen = set(part[0].tolist()) if part else set(range(ROWS))
    z = np.arange(ROWS) * 7 % 11
    assert len(folds) == 3
    for fitted, measured in folds:
        assert not {*fitted} & {*measured}
        assert {*fitted.tolist(), *measured.tolist()} <= seen
        if "group" in evaluation:
            assert not {*z[fitted]} & {*z[measured]}
        elif "order" in evaluation:
            assert z[fitted].max() <= z[measured].min()
        elif not evaluation:
            assert abs(dataset.y[measured].mean() - 0.5) < 0.1


@pytest.mark.parametrize(
    ("evaluation", "fits"),
    [({}, 8), ({"refit": False}, 7), ({"test_size": 0}, 7), ({"folds": 4}, 12)],
)
def test_fits_are_counted(evaluation: dict[str, Any], fits: int) -> None:
    """Points times folds, the parts, and the model that is kept."""
    described = dataset_of({"C": [1, 2], "folds": 3}, evaluation=evaluation).describe()

    assert count_fits(described) == fits
