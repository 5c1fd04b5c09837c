"""Progress of a fit, which changes nothing in it."""

from typing import Any

import msgspec
import numpy as np
import pytest

from mlservice.dataset import prepare
from mlservice.schemas import read_training
from mlservice.settings import Settings
from tests.support import make_request
from workers import progress
from workers.fitting import fit
from workers.training import train


class _Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.all: list[tuple[str, float | None, float | None]] = []
        self.losses: list[tuple[float, float]] = []

    def __call__(self, phase: str, **done: float) -> None:
        self.all.append((phase, done.get("iteration"), done.get("max_iter")))
        if "loss" in done:
            self.losses.append((done["iteration"], done["loss"]))


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"])
@pytest.mark.parametrize("max_iter", [3, 5000])
def test_a_fit_that_is_followed_gives_the_same_coefficients(solver: str, max_iter: int) -> None:
    """Bit for bit, with and without progress, and with the same warnings."""
    body = make_request(params={"solver": solver, "max_iter": max_iter})
    dataset = prepare(read_training(msgspec.json.encode(body)), Settings())

    alone, said = fit(dataset)
    followed, said_followed = fit(dataset, _Told())

    assert np.array_equal(alone.coef_, followed.coef_)
    assert np.array_equal(alone.intercept_, followed.intercept_)
    assert said == said_followed


def test_lbfgs_tells_each_iteration() -> None:
    """Iterations are told one by one, from none to as many as it took."""
    told = _Told()
    body = make_request(params={"max_iter": 10_000})

    trained = train(msgspec.json.encode(body), Settings(), told)

    done = trained.model.n_iter[0]
    assert told.all == [
        ("fitting", None, None),
        *(("fitting", i, 10_000) for i in range(done + 1)),
        ("evaluating", None, None),
    ]


def test_lbfgs_tells_the_loss_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the log loss of a fit that stops there, and is found after 20 iterations at least."""
    monkeypatch.setattr(progress, "TELL_EVERY_S", 0)
    told = _Told()
    options: dict[str, Any] = {"tol": 1e-10, "max_iter": 10_000}
    body = make_request(params=options, evaluation={"test_size": 0})

    trained = train(msgspec.json.encode(body), Settings(), told)

    iteration, loss = told.losses[0]
    stopped = make_request(params=options | {"max_iter": iteration}, evaluation={"test_size": 0})
    metrics = train(msgspec.json.encode(stopped), Settings()).description.metrics
    assert metrics
    assert loss == pytest.approx(metrics.train.log_loss)
    assert 20 <= iteration < trained.model.n_iter[0]


def test_a_fit_that_cannot_last_is_not_followed() -> None:
    """Of a fit that is over before an iteration would be told, none is counted."""
    told = _Told()

    train(msgspec.json.encode(make_request()), Settings(), told)

    assert told.all == [("fitting", None, None), ("evaluating", None, None)]


@pytest.mark.parametrize("solver", ["newton-cg", "newton-cholesky", "sag", "saga"])
def test_other_solvers_tell_their_phase(solver: str) -> None:
    """There is no iteration to tell, and no warning of it."""
    told = _Told()
    body: dict[str, Any] = make_request(params={"solver": solver, "max_iter": 10_000})

    trained = train(msgspec.json.encode(body), Settings(), told)

    assert [phase for phase, *_ in told.all] == ["fitting", "evaluating"]
    assert [each.code for each in trained.description.warnings] in ([], ["not-converged"])
