"""What `solver: "auto"` picks."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from mlservice.catalogue import Params
from mlservice.errors import InvalidParams
from mlservice.params import is_newton_affordable, resolve
from mlservice.settings import Settings
from tests.support import Client, create, get, make_request, work
from workers.training import Trained, train


def train_automatically(X: Any, y: Any, **params: Any) -> Trained:
    """Train on a matrix, the whole of it."""
    data = {f"x{i}": column.tolist() for i, column in enumerate(X.T)} | {"y": y.tolist()}
    params = {"solver": "auto"} | params
    body = {"data": data, "target": "y", "params": params, "evaluation": {"test_size": 0}}
    with threadpool_limits(1):
        return train(json.dumps(body).encode(), Settings())


def samples(*, rows: int, columns: int, scale: float = 1.0) -> tuple[Any, Any]:
    """Return rows whose columns have scales from 1 to this one, and what depends on them."""
    random = np.random.default_rng(0)
    X = random.normal(size=(rows, columns))
    y = (X[:, 0] + X[:, -1] + random.normal(size=rows) > 0).astype(int)
    return X * np.logspace(0, np.log10(scale), columns), y


@pytest.mark.parametrize(
    ("params", "shape", "n_classes", "picked"),
    [
        ({}, (150, 4), 3, "newton-cholesky"),
        ({"C": None}, (150, 4), 2, "newton-cholesky"),
        ({}, (10_000, 100), 2, "newton-cholesky"),
        ({}, (10_001, 100), 2, "lbfgs"),
        ({}, (10_000, 50), 3, "lbfgs"),
        ({}, (10, 1000), 2, "lbfgs"),
        ({"l1_ratio": 1.0}, (150, 4), 2, "saga"),
        ({"l1_ratio": 0.5}, (150, 4), 3, "saga"),
    ],
)
def test_auto_picks_by_penalty_and_size(
    params: dict[str, Any], shape: tuple[int, int], n_classes: int, picked: str
) -> None:
    """Rows times parameters squared decides, and the penalties that a solver takes."""
    resolved = resolve(Params(solver="auto", **params), list(range(n_classes)), shape=shape)

    assert resolved["solver"] == picked


def test_auto_refuses_the_dual_form() -> None:
    """What no solver of the rule can do is refused as for a solver that was named."""
    with pytest.raises(InvalidParams, match="dual must be false"):
        resolve(Params(solver="auto", dual=True), [0, 1], shape=(9, 1))


@pytest.mark.parametrize(
    ("rows", "columns", "n_classes", "affordable"),
    [(1000, 1000, 2, True), (999, 1000, 2, False), (10**6, 1000, 2, False), (900, 100, 9, True)],
)
def test_newton_is_affordable_up_to_a_size(
    rows: int, columns: int, n_classes: int, affordable: bool
) -> None:
    """Its matrix must be regular and its step a matter of seconds."""
    assert is_newton_affordable(rows, columns, n_classes) is affordable


def test_lbfgs_is_kept_where_it_converges() -> None:
    """A large table of one scale is fitted as `lbfgs` fits it."""
    X, y = samples(rows=1_500, columns=300)

    trained = train_automatically(X, y, max_iter=1000)

    oracle = LogisticRegression(max_iter=1000).fit(X, y)
    assert trained.model.params["solver"] == "lbfgs"
    assert trained.model.coef == pytest.approx(oracle.coef_, rel=1e-4, abs=1e-6)
    assert trained.description.solver_choice
    assert "converged within 100" in trained.description.solver_choice.reason


def test_newton_takes_over_where_lbfgs_does_not_converge() -> None:
    """A large table of many scales is fitted by a second-order solver, and the document says so."""
    X, y = samples(rows=1_500, columns=300, scale=1e5)

    trained = train_automatically(X, y)

    described = trained.description
    assert described.converged is True
    assert trained.model.params["solver"] == "newton-cholesky"
    assert trained.model.params["max_iter"] == 100
    assert described.params == trained.model.params
    assert described.solver_choice
    assert described.solver_choice.picked == "newton-cholesky"
    assert described.solver_choice.reason == "lbfgs had not converged after 100 iterations."


async def test_document_says_what_was_picked_and_why(client: Client, settings: Settings) -> None:
    """The picked solver stands in the parameters, and the reason beside them."""
    model_id = await create(client, make_request(params={"solver": "auto"}))
    queued = await get(client, f"/models/{model_id}")
    await work(settings)

    document = await get(client, f"/models/{model_id}")

    assert queued["params"]["solver"] == "newton-cholesky"
    assert document["params"]["solver"] == "newton-cholesky"
    assert document["solver_choice"] == {
        "asked": "auto",
        "picked": "newton-cholesky",
        "reason": "The table is small enough for its few, exact steps.",
    }


async def test_solver_that_was_named_leaves_nothing_to_say(client: Client) -> None:
    """Without `auto` there is no choice in the document."""
    model_id = await create(client, make_request())

    assert (await get(client, f"/models/{model_id}"))["solver_choice"] is None
