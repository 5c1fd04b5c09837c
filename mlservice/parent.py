"""Another model that a fit starts from: which ones can, and their coefficients as a start.

A start is the same function of a row as the parent's, in the units of the new
fit's matrix: the scales that the two have learnt may differ.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import Fault, InvalidWarmStart, ModelNotFound, ModelNotReady
from mlservice.model import Model, decode
from mlservice.preparation import Preparation
from mlservice.schemas import Feature, Label

MEMBER = "warm_start_from"
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A stored model, as it was when the training was asked for.

    Attributes
    ----------
    id : str
        The model's id.
    file : bytes
        Its stored form.
    """

    id: str
    file: bytes | bytearray


def open_parent(
    parent: Parent,
    features: Sequence[Feature],
    classes: Sequence[Label],
    solvers: Collection[str],
) -> Model:
    """Read a model that a fit can start from.

    Parameters
    ----------
    features : sequence of Feature
        Of the fit, with what was learnt of each.
    classes : sequence of str, int or bool
        Of the fit, ascending.
    solvers : collection of str
        Those that may make the fit.

    Raises
    ------
    InvalidWarmStart
        If the parent has other features, categories or classes, or a solver is
        liblinear, on which a start has no effect.
    BrokenModel
        If the stored bytes are no model.
    """
    if "liblinear" in solvers:
        raise invalid(f"solver must not be liblinear with {MEMBER}, it always starts from nothing.")
    model = decode(bytes(parent.file))
    theirs, ours = _kinds(model.features), _kinds(features)
    _agree("features", theirs, ours)
    _agree("columns", Preparation(model.features).names, Preparation(tuple(features)).names)
    # 1 and true are equal in Python, and are different classes.
    _agree("classes", [*map(repr, model.classes)], [*map(repr, classes)])
    return model


def start(
    parent: Model, preparation: Preparation
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where a fit starts.

    Parameters
    ----------
    parent : Model
        As `open_parent` gave it.
    preparation : Preparation
        Of the rows that are fitted on; it may lack some of the parent's categories.

    Returns
    -------
    coef : ndarray of shape (n_rows, n_columns)
        For the columns of the fit's matrix.
    intercept : ndarray of shape (n_rows,)
        Log-odds where that matrix is zero.

    Raises
    ------
    InvalidWarmStart
        If they overflow in the new units.
    """
    theirs = Preparation(parent.features)
    place = {name: i for i, name in enumerate(theirs.names)}
    means, scales = preparation.scales
    with np.errstate(over="ignore", invalid="ignore"):
        coef, intercept = theirs.in_units_of_input(parent.coef, parent.intercept)
        coef = coef[:, [place[name] for name in preparation.names]]
        coef, intercept = np.ascontiguousarray(coef * scales), intercept + coef @ means
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise invalid(f"The coefficients of {MEMBER} must be finite in the table's units.")
    return coef, intercept


def unusable(problem: ModelNotFound | ModelNotReady) -> ModelNotFound | ModelNotReady:
    """Return the error for a model that was asked for as a parent."""
    detail = f"{MEMBER} must name a ready model: {problem.detail}"
    return type(problem)(
        detail,
        errors=[Fault(pointer=f"/{MEMBER}", detail=detail)],
        headers=problem.headers,
        members=problem.members,
    )


def invalid(detail: str) -> InvalidWarmStart:
    """Return the error for a start that cannot be made."""
    return InvalidWarmStart(detail, errors=[Fault(pointer=f"/{MEMBER}", detail=detail)])


def _kinds(features: Sequence[Feature]) -> list[str]:
    return [f"{each.name!r} ({each.kind})" for each in features]


def _agree(what: str, theirs: Sequence[str], ours: Sequence[str]) -> None:
    lacking, more = sorted({*theirs} - {*ours}), sorted({*ours} - {*theirs})
    if not (lacking or more):
        return
    said = [
        f"{word} {_first(names)}" for word, names in (("lacks", lacking), ("has", more)) if names
    ]
    raise invalid(
        f"The model of {MEMBER} must have the table's {what}; the table {' and '.join(said)}."
    )


def _first(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMED
    told = ", ".join(name[:100] for name in names[:_MOST_NAMED])
    return told + (f" and {rest} more" if rest > 0 else "")
