"""Which rows are fitted on and which are measured on, decided before anything is queued.

The same request gives the same parts wherever they are made: the service makes
them to check them, a worker to fit on them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.utils import check_array

from mlservice.errors import Fault, InvalidEvaluation
from mlservice.evaluation import TEST_SIZE, Evaluation
from mlservice.schemas import FitWarning, Label

Rows = NDArray[np.intp]
Part = tuple[Rows, Rows]

# The first check of an array looks for plugins on the disk: here, and not on the event loop.
check_array([[0.0]])


@dataclass(frozen=True, kw_only=True)
class Splits:
    """How a dataset's rows are parted.

    Attributes
    ----------
    evaluation : Evaluation
        Resolved: what stands there is done.
    y : ndarray of shape (n_samples,)
        Position of each sample's class.
    classes : tuple of str, int or bool
        The target's values.
    groups : ndarray of shape (n_samples,), optional
        Number of each sample's group.
    order : ndarray of shape (n_samples,), optional
        Positions of the samples, the first first.
    weight : ndarray of shape (n_samples,), optional
        What each sample counts; those that count 0 are in no part's count.
    told : tuple of FitWarning
        What was left out, and why.
    """

    evaluation: Evaluation
    y: Rows
    classes: tuple[Label, ...]
    groups: Rows | None = None
    order: Rows | None = None
    weight: NDArray[np.float64] | None = None
    told: tuple[FitWarning, ...] = ()

    def hold_out(self) -> Part | None:
        """Return the rows to fit on and those to measure on, if any are held out."""
        return self._held_out

    @cached_property
    def _held_out(self) -> Part | None:
        # Kept: the check makes the parts that the fit needs, which takes scikit-learn 1 ms.
        size = self.evaluation.test_size
        if not size:
            return None
        if self.order is not None:
            first = len(self.y) - math.ceil(len(self.y) * float(size))
            return self.order[:first], self.order[first:]
        return next(self._shuffled(float(size)))

    def folds(self) -> Iterator[Part]:
        """Yield the rows to fit on and those to measure on, a fold at a time."""
        if not self.evaluation.folds:
            return
        for fitted, measured in self._folder().split(self.y, self.y, self.groups):
            if self.order is None:
                yield fitted, measured
            else:
                yield self.order[fitted], self.order[measured]

    def _shuffled(self, size: float) -> Iterator[Part]:
        kind = StratifiedShuffleSplit if self.evaluation.stratify else ShuffleSplit
        if self.groups is not None:
            kind = GroupShuffleSplit
        splitter = kind(n_splits=1, test_size=size, random_state=self.evaluation.random_state)
        parts: Iterator[Part] = splitter.split(self.y, self.y, self.groups)
        return parts

    def _folder(self) -> Any:
        asked = self.evaluation
        if self.order is not None:
            return TimeSeriesSplit(asked.folds)
        grouped = StratifiedGroupKFold if asked.stratify else GroupKFold
        alone = StratifiedKFold if asked.stratify else KFold
        kind = alone if self.groups is None else grouped
        return kind(asked.folds, shuffle=True, random_state=asked.random_state)


def taken(evaluation: Evaluation, columns: Sequence[str], target: str) -> dict[str, str]:
    """Return the columns that an evaluation takes, which are no features.

    Returns
    -------
    dict
        `group` or `order` to the column's name.

    Raises
    ------
    InvalidEvaluation
        If one is no column or is the target, or both are named.
    """
    named = {"group": evaluation.group, "order": evaluation.order}
    roles = {role: name for role, name in named.items() if name is not None}
    for role, name in roles.items():
        if name not in columns or name == target:
            what = "is the target" if name == target else "is none"
            raise _invalid(role, f"{role} must be a column beside the target, {name!r} {what}.")
    if len(roles) == 2:
        raise _invalid("order", "Rows are parted by group or by order, both were named.")
    return roles


def split(
    evaluation: Evaluation,
    y: Rows,
    classes: tuple[Label, ...],
    cells: dict[str, list[Any]],
    weight: NDArray[np.float64] | None = None,
) -> Splits:
    """Decide how rows are parted.

    Parameters
    ----------
    evaluation : Evaluation
        As the client sent it.
    y : ndarray of shape (n_samples,)
        Position of each sample's class.
    classes : tuple of str, int or bool
        The target's values.
    cells : dict
        The columns that `taken` named, by their role, each of one kind and without gaps.
    weight : ndarray of shape (n_samples,), optional
        What each sample counts.

    Raises
    ------
    InvalidEvaluation
        If the rows are too few for the parts that were asked for.
    """
    asked = evaluation.test_size is not UNSET
    resolved = msgspec.structs.replace(
        evaluation, test_size=evaluation.test_size if asked else TEST_SIZE
    )
    splits = Splits(
        evaluation=resolved,
        y=y,
        classes=classes,
        groups=_groups(cells["group"]) if "group" in cells else None,
        order=_order(cells["order"]) if "order" in cells else None,
        weight=weight,
    )
    check_folds(splits)
    lack = _hold_out_lack(splits)
    if lack and asked:
        raise _invalid("test_size", f"The table is too small for a test part: {lack}.")
    return _without_test(splits, lack) if lack else splits


def _without_test(splits: Splits, lack: str) -> Splits:
    told = FitWarning(
        code="no-test-part",
        detail=f"No rows were held out to measure on: {lack}. The metrics are of the rows "
        "that the model was fitted on.",
    )
    evaluation = msgspec.structs.replace(splits.evaluation, test_size=0.0)
    return replace(splits, evaluation=evaluation, told=(told,))


def _hold_out_lack(splits: Splits) -> str | None:
    """Return what a test part lacks, or None."""
    try:
        part = splits.hold_out()
    # scikit-learn refuses parts without a row, or smaller than the classes.
    except ValueError:
        return f"{len(splits.y)} rows in {len(splits.classes)} classes cannot be parted so"
    if part is None:
        return None
    alone = splits.evaluation.stratify and splits.groups is None and splits.order is None
    return _lack(splits, part[0], 2 if alone else 1) or (
        _lack(splits, part[1], 2, "the test part") if alone else _empty(splits, part[1])
    )


def _lack(splits: Splits, rows: Rows, least: int, name: str = "the training part") -> str | None:
    counts = _counts(splits, rows)
    scarce = int(counts.argmin())
    if counts[scarce] >= least:
        return None
    what = f"{least} rows" if least > 1 else "a row"
    label = _label(splits, scarce)
    return f"{name} must have {what} of each class, of {label} it has {counts[scarce]}"


def _counts(splits: Splits, rows: Rows) -> Rows:
    """Return how many rows of each class count."""
    if splits.weight is not None:
        rows = rows[splits.weight[rows] > 0]
    return np.bincount(splits.y[rows], minlength=len(splits.classes))


def _empty(splits: Splits, rows: Rows) -> str | None:
    return None if _counts(splits, rows).any() else "the part to measure on has no row that counts"


def _label(splits: Splits, code: int) -> str:
    return repr(splits.classes[code])[:100]


def check_folds(splits: Splits) -> None:
    """Refuse more folds than the rows can make.

    Raises
    ------
    InvalidEvaluation
        If a part of a fold would lack rows, or one of a class.
    """
    folds = splits.evaluation.folds
    if folds == 1:
        raise _invalid("folds", "folds must be 0 or 2 to 20, it is 1.")
    counts = np.bincount(splits.y)
    alone = splits.evaluation.stratify and splits.groups is None and splits.order is None
    if alone and counts.min() < folds:
        code = int(counts.argmin())
        raise _invalid(
            "folds",
            f"Each class must have a row for each of the {folds} folds, "
            f"{_label(splits, code)} has {counts[code]}.",
        )
    try:
        lacks = [
            _lack(splits, fitted, 1) or _empty(splits, measured)
            for fitted, measured in splits.folds()
        ]
    except ValueError as error:
        what = "groups" if splits.groups is not None else "rows"
        raise _invalid("folds", f"{folds} folds need more {what} than the table has.") from error
    if lack := next(filter(None, lacks), None):
        raise _invalid("folds", f"{folds} folds cannot be made: {lack} in one of them.")


def _groups(cells: list[Any]) -> Rows:
    # In their order, so that the parts are those of scikit-learn with the cells themselves.
    numbers = {cell: number for number, cell in enumerate(sorted(set(cells)))}
    return np.array([numbers[cell] for cell in cells], np.intp)


def _order(cells: list[Any]) -> Rows:
    return np.array(sorted(range(len(cells)), key=cells.__getitem__), np.intp)


def _invalid(place: str, detail: str) -> InvalidEvaluation:
    return InvalidEvaluation(detail, errors=[Fault(pointer=f"/evaluation/{place}", detail=detail)])
