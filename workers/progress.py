"""How far a fit is: its phase, and lbfgs's iterations by scikit-learn's callbacks.

Only lbfgs reports its iterations; the other solvers would warn of a callback.
"""

from typing import Protocol

from sklearn.linear_model import LogisticRegression


class Tell(Protocol):
    """Gets the phase, and the iteration and its limit where the solver has them."""

    def __call__(
        self, phase: str, iteration: int | None = None, max_iter: int | None = None
    ) -> None:
        """Tell how far the fit is."""


def nobody(phase: str, iteration: int | None = None, max_iter: int | None = None) -> None:
    """Tell nobody."""


def follow(unfitted: LogisticRegression, tell: Tell) -> None:
    """Tell of an estimator's fit as it goes on; the fit itself stays as it is."""
    tell("fitting")
    if unfitted.solver == "lbfgs" and tell is not nobody:
        unfitted.set_callbacks(_Iterations(tell))


class _Iterations:
    """A callback of scikit-learn's; its hooks take what they declare."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def setup(self, estimator: object, context: object) -> None:
        """Do nothing before the fit."""

    def on_fit_task_begin(self, estimator: LogisticRegression, context: object) -> None:
        """Tell how many iterations are done when the next one begins."""
        if getattr(context, "task_name", "") == "lbfgs-iter":
            self._tell("fitting", int(getattr(context, "task_id", 0)), int(estimator.max_iter))

    def on_fit_task_end(self, estimator: object, context: object) -> None:
        """Do nothing after an iteration."""

    def teardown(self, estimator: object, context: object) -> None:
        """Do nothing after the fit."""
