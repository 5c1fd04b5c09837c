"""scikit-learn without its search for an array library: quicker, and the same to the last bit."""

import contextlib

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression, _linear_loss

from workers.lean import ANSWERS, numpy_only

Table = tuple[NDArray[np.float64], NDArray[np.intp]]


@pytest.fixture(params=["iris", "breast cancer"])
def table(request: pytest.FixtureRequest) -> Table:
    """Return a table of three classes, and one of two."""
    X, y = (load_iris if request.param == "iris" else load_breast_cancer)(return_X_y=True)
    return X, y


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky"])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_fit_is_the_same_to_the_last_bit(
    table: Table, solver: str, is_weighted: bool, is_sparse: bool
) -> None:
    """Coefficients and iterations are those of scikit-learn alone."""
    X, y = table
    weight = np.linspace(0.5, 2, len(y)) if is_weighted else None
    taken = csr_array(X) if is_sparse else X

    alone = LogisticRegression(solver=solver, max_iter=60).fit(taken, y, sample_weight=weight)
    with numpy_only():
        lean = LogisticRegression(solver=solver, max_iter=60).fit(taken, y, sample_weight=weight)

    assert lean.coef_.tobytes() == alone.coef_.tobytes()
    assert lean.intercept_.tobytes() == alone.intercept_.tobytes()
    assert lean.n_iter_ == alone.n_iter_


def test_what_is_answered_for_is_what_scikit_learn_asks() -> None:
    """Each name is there in this version, and is its own again afterwards, also after an error."""
    own = {name: getattr(_linear_loss, name) for name in ANSWERS}

    with contextlib.suppress(ZeroDivisionError), numpy_only():
        within = {name: getattr(_linear_loss, name) for name in ANSWERS}
        raise ZeroDivisionError

    assert within == ANSWERS
    assert {name: getattr(_linear_loss, name) for name in ANSWERS} == own


def test_lbfgs_asks_nothing_of_the_search(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within, the loss never calls scikit-learn's own functions, which take the time."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    for name in ANSWERS:
        monkeypatch.setattr(_linear_loss, name, fail)
    X, y = table

    with numpy_only():
        LogisticRegression(max_iter=5000).fit(X, y)
    with pytest.raises(AssertionError):
        LogisticRegression(max_iter=5000).fit(X, y)
