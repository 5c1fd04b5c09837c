"""From a request's parameters to the estimator's, checked against each other.

scikit-learn checks most of these inside `fit`; here they are checked before
anything is queued, so that the client hears of it at once.
"""

from typing import Any, Literal

from msgspec import UNSET

from mlservice.catalogue import Params, Solver
from mlservice.errors import Fault, InvalidParams, escape
from mlservice.schemas import Label, label_name

_PENALTIES_OF: dict[str, set[str | None]] = {
    "lbfgs": {"l2", None},
    "liblinear": {"l1", "l2"},
    "newton-cg": {"l2", None},
    "newton-cholesky": {"l2", None},
    "sag": {"l2", None},
    "saga": {"l1", "l2", "elasticnet", None},
}


# Work of a Newton step, rows times parameters squared: 0.1 s, and about 10 s.
_AT_ONCE, _AFFORDABLE = 1e8, 1e11


def resolve(
    params: Params, labels: list[Label], *, shape: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """Turn a request's parameters into the estimator's, all checks done.

    Parameters
    ----------
    params : Params
        As the client sent them.
    labels : list of str, int or bool
        The classes of the target, sorted.
    shape : pair of int
        Rows and columns, for `solver` `auto`.

    Returns
    -------
    dict
        Every parameter of `LogisticRegression` that has an effect, in JSON's
        terms: `C` is None for no penalty, and the keys of `class_weight` are
        labels as JSON writes them.

    Raises
    ------
    InvalidParams
        If the penalty is named twice and differently, a label of
        `class_weight` is no class, or the solver cannot do what is asked.

    References
    ----------
    scikit-learn 1.9, `LogisticRegression`, section "Parameters".
    """
    C, l1_ratio = _strength(params)
    solver = "lbfgs" if params.solver is UNSET else params.solver
    if solver == "auto":
        solver = _pick(_name(C, l1_ratio), *shape, len(labels))
    _check_solver(params, solver, _name(C, l1_ratio), len(labels))
    class_weight = None if params.class_weight is UNSET else params.class_weight
    _check_weights(class_weight, labels)
    return {
        "C": C,
        "l1_ratio": l1_ratio,
        "solver": solver,
        "dual": params.dual,
        "tol": params.tol,
        "fit_intercept": params.fit_intercept,
        "intercept_scaling": params.intercept_scaling,
        "class_weight": class_weight,
        "random_state": params.random_state or 0,
        "max_iter": params.max_iter,
    }


def _pick(penalty: str | None, rows: int, columns: int, n_classes: int) -> Solver:
    """Return the solver that `auto` begins with."""
    if penalty in {"l1", "elasticnet"}:
        return "saga"
    small = _newton_work(rows, columns, n_classes) <= _AT_ONCE
    return "newton-cholesky" if small else "lbfgs"


def _newton_work(rows: int, columns: int, n_classes: int) -> float:
    parameters = columns * (n_classes if n_classes > 2 else 1)
    return float(max(rows, parameters)) * parameters**2


def is_newton_affordable(rows: int, columns: int, n_classes: int) -> bool:
    """Tell whether newton-cholesky takes a step within seconds, and its matrix is regular."""
    parameters = columns * (n_classes if n_classes > 2 else 1)
    return rows >= parameters and _newton_work(rows, columns, n_classes) <= _AFFORDABLE


def why(solver: str, resolved: dict[str, Any]) -> str:
    """Say why `auto` ended with a solver.

    Parameters
    ----------
    solver : str
        What it ended with.
    resolved : dict
        The parameters that it began with, see `resolve`.
    """
    if solver != resolved["solver"]:
        return f"{resolved['solver']} had not converged after 100 iterations."
    return {
        "saga": "The one solver that takes this penalty and leaves the intercept out of it.",
        "newton-cholesky": "The table is small enough for its few, exact steps.",
        "lbfgs": "The table is large, and it converged within 100 iterations.",
    }[solver]


def _strength(params: Params) -> tuple[float | None, float]:
    """Return `C` (None for no penalty) and `l1_ratio`, the old spelling translated."""
    C = 1.0 if params.C is UNSET else params.C
    l1_ratio = 0.0 if params.l1_ratio is UNSET else params.l1_ratio
    if params.penalty is None and params.C is UNSET:
        C = None
    if params.penalty == "l1" and params.l1_ratio is UNSET:
        l1_ratio = 1.0
    if C is None and l1_ratio > 0:
        raise _invalid("l1_ratio", f"l1_ratio must be 0 without a penalty, it is {l1_ratio}.")
    if params.penalty is not UNSET and params.penalty != _name(C, l1_ratio):
        raise _invalid("penalty", _contradiction(params.penalty, C, l1_ratio))
    return C, l1_ratio


def _name(C: float | None, l1_ratio: float) -> str | None:
    """Return the older name of a penalty."""
    if C is None:
        return None
    return {0.0: "l2", 1.0: "l1"}.get(l1_ratio, "elasticnet")


def _contradiction(penalty: str | None, C: float | None, l1_ratio: float) -> str:
    needs = {
        None: "C to be null or left out",
        "l1": "a C, and l1_ratio to be 1 or left out",
        "l2": "a C, and l1_ratio to be 0 or left out",
        "elasticnet": "a C, and an l1_ratio between 0 and 1",
    }[penalty]
    name = "null" if penalty is None else f'"{penalty}"'
    return (
        f"penalty {name} needs {needs}; "
        f"C is {'null' if C is None else C} and l1_ratio is {l1_ratio}."
    )


def _check_solver(params: Params, solver: Solver, penalty: str | None, n_classes: int) -> None:
    takes = _PENALTIES_OF[solver]
    if penalty not in takes:
        able = ", ".join(solver for solver, does in _PENALTIES_OF.items() if penalty in does)
        raise _invalid(
            "solver",
            f"solver {solver} cannot do {_words(penalty)}; solvers that can: {able}.",
        )
    if solver == "liblinear" and n_classes > 2:
        raise _invalid(
            "solver",
            f"solver liblinear takes two classes, the target has {n_classes}; take another solver.",
        )
    if solver == "liblinear" and params.tol == 0:
        raise _invalid("tol", "tol must be above 0 with solver liblinear, it is 0.")
    if params.dual and (solver != "liblinear" or penalty != "l2"):
        raise _invalid(
            "dual",
            "dual must be false unless the solver is liblinear with an L2 penalty; "
            f"the solver is {solver} with {_words(penalty)}.",
        )


def _words(penalty: str | None) -> str:
    return {
        None: "no penalty",
        "l1": "an L1 penalty",
        "l2": "an L2 penalty",
        "elasticnet": "an elastic-net penalty",
    }[penalty]


def _check_weights(
    weights: dict[str, float] | Literal["balanced"] | None, labels: list[Label]
) -> None:
    if not isinstance(weights, dict):
        return
    names = [label_name(label) for label in labels]
    for name in weights:
        if name not in names:
            raise _invalid(
                f"class_weight/{escape(name)}",
                f"class_weight must name classes of the target, {name!r} is none of them.",
            )
    if sum(weights.get(name, 1.0) > 0 for name in names) < 2:
        raise _invalid("class_weight", "class_weight must leave two classes a weight above 0.")


def _invalid(place: str, detail: str) -> InvalidParams:
    return InvalidParams(detail, errors=[Fault(pointer=f"/params/{place}", detail=detail)])
