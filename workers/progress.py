"""How far a fit is: its phase, and lbfgs's iterations by scikit-learn's callbacks.

Only lbfgs reports its iterations; the other solvers would warn of a callback.
"""

from typing import Protocol

from sklearn.linear_model import LogisticRegression

# Phases are told at once, iterations no more often than this.
TELL_EVERY_S = 0.2
# Of lbfgs, on one core: what an iteration costs at least, and for each product it makes.
_ITERATION_S, _PRODUCT_S = 1e-4, 1e-9


class Tell(Protocol):
    """Gets the phase, and what is done of how much where that is known."""

    def __call__(self, phase: str, **done: int) -> None:
        """Tell how far the fit is, by members of `schemas.Progress`."""


def nobody(phase: str, **done: int) -> None:
    """Tell nobody."""


def follow(unfitted: LogisticRegression, tell: Tell, products: int) -> None:
    """Tell of an estimator's fit as it goes on; the fit itself stays as it is.

    Parameters
    ----------
    products : int
        Numbers in the matrix, times the classes that have coefficients.
    """
    tell("fitting")
    if unfitted.solver == "lbfgs" and tell is not nobody:
        longest_s = unfitted.max_iter * (_ITERATION_S + _PRODUCT_S * products)
        # A callback takes a fifth of a short iteration, and of a fit that is over by then
        # no iteration would be told.
        if longest_s > TELL_EVERY_S:
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
            done = int(getattr(context, "task_id", 0))
            self._tell("fitting", iteration=done, max_iter=int(estimator.max_iter))

    def on_fit_task_end(self, estimator: object, context: object) -> None:
        """Do nothing after an iteration."""

    def teardown(self, estimator: object, context: object) -> None:
        """Do nothing after the fit."""
