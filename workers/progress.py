"""How far a fit is: its phase, and lbfgs's iterations by scikit-learn's callbacks.

Only lbfgs reports its iterations; the other solvers would warn of a callback. What the loss
is by then is found now and then, from the coefficients of the moment.
"""

import time
from collections.abc import Callable
from typing import Protocol

from sklearn.linear_model import LogisticRegression

# Phases are told at once, iterations no more often than this.
TELL_EVERY_S = 0.2
# Of lbfgs, on one core: what an iteration costs at least, and for each product it makes.
_ITERATION_S, _PRODUCT_S = 1e-4, 1e-9


# A loss is found after so many times the time that it takes.
_LOSS_SHARE = 20

Loss = Callable[[LogisticRegression], float]


class Tell(Protocol):
    """Gets the phase, and what is done of how much where that is known."""

    def __call__(self, phase: str, **done: float) -> None:
        """Tell how far the fit is, by members of `schemas.Progress`."""


def nobody(phase: str, **done: float) -> None:
    """Tell nobody."""


def follow(unfitted: LogisticRegression, tell: Tell, products: int, loss: Loss) -> None:
    """Tell of an estimator's fit as it goes on; the fit itself stays as it is.

    Parameters
    ----------
    products : int
        Numbers in the matrix, times the classes that have coefficients.
    loss : callable
        Gets the estimator as it would be if its fit stopped now.
    """
    tell("fitting")
    if unfitted.solver == "lbfgs" and tell is not nobody:
        longest_s = unfitted.max_iter * (_ITERATION_S + _PRODUCT_S * products)
        # A callback takes a fifth of a short iteration, and of a fit that is over by then
        # no iteration would be told.
        if longest_s > TELL_EVERY_S:
            unfitted.set_callbacks(_Iterations(tell, loss))


class _Iterations:
    """A callback of scikit-learn's; its hooks take what they declare."""

    def __init__(self, tell: Tell, loss: Loss) -> None:
        self._tell, self._loss = tell, loss
        self._known: dict[str, float] = {}
        self._last = time.monotonic()
        self._cost_s: float | None = None

    def setup(self, estimator: object, context: object) -> None:
        """Do nothing before the fit."""

    def on_fit_task_begin(
        self,
        estimator: LogisticRegression,
        context: object,
        *,
        fitted_estimator: LogisticRegression | None = None,
    ) -> None:
        """Tell how many iterations are done when the next one begins."""
        if getattr(context, "task_name", "") == "lbfgs-iter":
            done = int(getattr(context, "task_id", 0))
            self._look(fitted_estimator, done)
            self._tell("fitting", iteration=done, max_iter=int(estimator.max_iter), **self._known)

    def _look(self, fitted: LogisticRegression | None, done: int) -> None:
        """Find the loss anew, unless that would take more than a twentieth of the time."""
        now = time.monotonic()
        waited_s = now - self._last
        # Before the first one is known to cost less, it counts as an iteration.
        cost_s = waited_s / max(done, 1) if self._cost_s is None else self._cost_s
        if fitted is not None and waited_s >= max(TELL_EVERY_S, _LOSS_SHARE * cost_s):
            self._known = {"loss": self._loss(fitted)}
            self._last = time.monotonic()
            self._cost_s = self._last - now

    def on_fit_task_end(self, estimator: object, context: object) -> None:
        """Do nothing after an iteration."""

    def teardown(self, estimator: object, context: object) -> None:
        """Do nothing after the fit."""
