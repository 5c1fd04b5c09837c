"""From a search to its points, each checked as a training's own parameters are.

The points are those of scikit-learn's `ParameterGrid` and `ParameterSampler`,
in their order. The folds are made of the rows that are not held out.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from scipy.stats import loguniform, uniform
from sklearn.model_selection import ParameterGrid, ParameterSampler

from mlservice.catalogue import Params
from mlservice.errors import Fault, InvalidEvaluation, InvalidParams, InvalidSearch
from mlservice.evaluation import Evaluation
from mlservice.params import resolve
from mlservice.schemas import Description, FitWarning, Label
from mlservice.search import N_ITER, SEARCHED, RatioRange, Search, SearchDocument, StrengthRange
from mlservice.settings import Settings, variable
from mlservice.splits import Part, Rows, Splits, check_folds

_TWO_CLASSES = {"roc_auc", "average_precision", "precision", "recall", "f1"}
_MOST_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A search, all checks done.

    Attributes
    ----------
    asked : Search
        As the client sent it.
    points : tuple of dict
        What is searched, by name, of each point.
    params : tuple of dict
        The estimator's parameters of each point, see `params.resolve`.
    rows : ndarray of intp
        The rows that the search sees, in their order.
    splits : Splits
        How these rows are parted; it counts them from 0.
    """

    asked: Search
    points: tuple[dict[str, Any], ...]
    params: tuple[dict[str, Any], ...]
    rows: Rows
    splits: Splits

    def folds(self) -> Iterator[Part]:
        """Yield the rows of the dataset to fit on and those to score on, a fold at a time."""
        for fitted, measured in self.splits.folds():
            yield self.rows[fitted], self.rows[measured]

    @property
    def shared(self) -> dict[str, Any]:
        """The parameters that no point has otherwise."""
        first, *others = self.params
        return {
            name: value
            for name, value in first.items()
            if all(other[name] == value for other in others)
        }

    def document(self) -> SearchDocument:
        """Return what is known of the search before it is done."""
        fits = len(self.points) * self.asked.folds
        return SearchDocument(asked=self.asked, scoring=self.asked.scoring, fits=fits)

    def told(self, evaluation: Evaluation) -> list[FitWarning]:
        """Return what the owner should know of the metrics that follow a search."""
        if not evaluation.folds:
            return []
        return [FitWarning(code="optimistic-cross-validation", detail=_OPTIMISTIC)]


_OPTIMISTIC = (
    "The rows of the cross-validation chose the parameters too, so that its metrics are "
    "optimistic; those of the test part are not."
)


def plan(
    asked: Search,
    params: Params,
    labels: Sequence[Label],
    splits: Splits,
    *,
    shape: tuple[int, int],
    limits: Settings,
) -> Plan:
    """Check a search, and return its points and folds.

    Parameters
    ----------
    asked : Search
        What the client wants to be searched.
    params : Params
        What all points share.
    labels : sequence of str, int or bool
        The classes of the target, sorted.
    splits : Splits
        How the dataset's rows are parted.
    shape : pair of int
        Rows and columns, for `solver` `auto`.
    limits : Settings
        Most points.

    Raises
    ------
    InvalidSearch
        If what is asked for contradicts itself, is too much, or a point cannot
        be fitted.
    """
    check_options(asked, params)
    if len(labels) > 2 and asked.scoring in _TWO_CLASSES:
        raise _invalid("/search/scoring", _two_classes(asked.scoring, len(labels)))
    points = tuple(_points(asked, limits))
    rows, parted = _unseen(splits, asked.folds)
    try:
        check_folds(parted)
    except InvalidEvaluation as error:
        raise _invalid("/search/folds", error.detail) from error
    resolved = _resolved(points, params, list(labels), shape)
    return Plan(asked=asked, points=points, params=resolved, rows=rows, splits=parted)


def _unseen(splits: Splits, folds: int) -> tuple[Rows, Splits]:
    """Return the rows that are not held out, and how they alone, counted from 0, make folds."""
    part = splits.hold_out()
    if part is not None:
        rows = part[0]
    else:
        rows = np.arange(len(splits.y)) if splits.order is None else splits.order
    return rows, replace(
        splits,
        evaluation=msgspec.structs.replace(splits.evaluation, test_size=0.0, folds=folds),
        y=splits.y[rows],
        groups=None if splits.groups is None else splits.groups[rows],
        # What is not held out comes in its order.
        order=None if splits.order is None else np.arange(len(rows)),
        weight=None if splits.weight is None else splits.weight[rows],
        told=(),
    )


def _searched(asked: Search) -> dict[str, Any]:
    values = {name: getattr(asked, name) for name in SEARCHED}
    return {name: each for name, each in values.items() if each is not UNSET}


def check_options(asked: Search, params: Params) -> None:
    """Refuse what can be told to be wrong without a table.

    Raises
    ------
    InvalidSearch
        If what is asked for contradicts itself.
    """
    searched = _searched(asked)
    if not searched:
        raise _invalid("/search", f"A search must have one of {', '.join(SEARCHED)}, it has none.")
    for name, values in searched.items():
        if getattr(params, name) is not UNSET:
            raise _invalid(
                f"/params/{name}", f"{name} must stand in search or in params, it is in both."
            )
        if isinstance(values, StrengthRange | RatioRange):
            _check_range(name, values, asked)
    if asked.strategy == "grid" and asked.n_iter is not UNSET:
        raise _invalid("/search/n_iter", "n_iter must be left out with a grid, which tries all.")


def _check_range(name: str, values: StrengthRange | RatioRange, asked: Search) -> None:
    if asked.strategy == "grid":
        raise _invalid(
            f"/search/{name}",
            f"{name} must be a list with a grid; a range is drawn from at random.",
        )
    # The width may overflow, and nothing can be drawn from it then.
    if not (
        values.low < values.high and math.isfinite(values.high / values.low if values.low else 1)
    ):
        raise _invalid(
            f"/search/{name}",
            f"low of {name} must be below high, and their ratio a number; "
            f"they are {values.low} and {values.high}.",
        )


def _two_classes(scoring: str, n_classes: int) -> str:
    others = {
        "roc_auc": "take roc_auc_ovr",
        "average_precision": "take roc_auc_ovr",
    }.get(scoring, f"take {scoring}_macro or {scoring}_weighted")
    return f"scoring {scoring} must have two classes, the target has {n_classes}; {others}."


def _points(asked: Search, limits: Settings) -> list[dict[str, Any]]:
    searched = _searched(asked)
    lists = {name: values for name, values in searched.items() if isinstance(values, list)}
    combinations = math.prod(map(len, lists.values()))
    if asked.strategy == "grid":
        _check_count(combinations, "The grid", "/search", limits)
        return list(ParameterGrid(lists))
    n_iter = N_ITER if asked.n_iter is UNSET else asked.n_iter
    _check_count(n_iter, "n_iter", "/search/n_iter", limits)
    if len(lists) == len(searched) and n_iter > combinations:
        raise _invalid(
            "/search/n_iter",
            f"n_iter must be at most the {combinations} combinations of the lists, it is {n_iter}.",
        )
    drawn = {name: _distribution(values) for name, values in searched.items()}
    sampler = ParameterSampler(drawn, n_iter, random_state=asked.random_state)
    return [{name: _plain(value) for name, value in point.items()} for point in sampler]


def _check_count(count: int, what: str, pointer: str, limits: Settings) -> None:
    most = limits.max_search_points
    if count > most:
        raise _invalid(
            pointer,
            f"{what} may have at most {most} points ({variable('max_search_points')}), "
            f"it has {count}.",
        )


def _distribution(values: Any) -> Any:
    if isinstance(values, StrengthRange):
        return loguniform(values.low, values.high)
    if isinstance(values, RatioRange):
        return uniform(values.low, values.high - values.low)
    return values


def _plain(value: Any) -> Any:
    """Return a number that numpy drew as Python's own."""
    return float(value) if isinstance(value, float) else value


def _resolved(
    points: Sequence[Mapping[str, Any]], params: Params, labels: list[Label], shape: tuple[int, int]
) -> tuple[dict[str, Any], ...]:
    """Return each point's parameters; all that cannot be fitted are told."""
    resolved, faults = [], []
    for number, point in enumerate(points):
        try:
            whole = msgspec.structs.replace(params, **point)
            resolved.append(resolve(whole, labels, shape=shape))
        except InvalidParams as error:
            faults.append(Fault(pointer="/search", detail=_refused(number, point, error.detail)))
    if faults:
        more = f" (and {len(faults) - 1} more points)" if len(faults) > 1 else ""
        raise InvalidSearch(faults[0].detail + more, errors=faults[:_MOST_TOLD])
    return tuple(resolved)


def _refused(number: int, point: Mapping[str, Any], why: str) -> str:
    words = ", ".join(
        f"{name} {msgspec.json.encode(each).decode()}" for name, each in point.items()
    )
    return f"Point {number} ({words[:200]}) cannot be fitted: {why}"


def _invalid(pointer: str, detail: str) -> InvalidSearch:
    return InvalidSearch(detail, errors=[Fault(pointer=pointer, detail=detail)])


def count_fits(description: Description) -> int:
    """Return how many fits a training takes: of its search, its parts, and what is kept."""
    search, evaluation = description.search, description.evaluation
    fits = 1 + (search.fits if search else 0)
    if evaluation:
        # What is held out is measured by another fit, unless the model that is kept is that.
        fits += evaluation.folds + int(bool(evaluation.test_size) and evaluation.refit)
    return fits
