"""The best of several parameters, by the score of fits on folds that they had not seen.

A fold is prepared once for all points, by what its own rows to fit on teach.
Every fit starts from nothing, so that each score is what scikit-learn's
`GridSearchCV` finds, whatever runs beside it.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from sklearn.linear_model import LogisticRegression

from mlservice.dataset import Dataset
from mlservice.errors import NumericalFailure
from mlservice.points import Plan
from mlservice.schemas import FitWarning
from mlservice.search import SearchDocument, Tried
from workers.crew import cores, share_out
from workers.metrics import Predicted
from workers.progress import Tell
from workers.scorers import score

Fit = Callable[[Dataset], tuple[LogisticRegression, list[FitWarning]]]
Answer = dict[str, Any]


class _Fits:
    """The fits of a search by their numbers: all points of the first fold, then of the next."""

    def __init__(self, dataset: Dataset, search: Plan, fit: Fit) -> None:
        self._dataset, self._search, self._fit = dataset, search, fit
        self._folds = list(search.folds())
        self._fold = -1
        self._taken, self._X = dataset, dataset.X

    def __len__(self) -> int:
        return len(self._folds) * len(self._search.points)

    def __call__(self, number: int) -> Answer:
        """Fit one point on one fold, and score it."""
        fold, point = divmod(number, len(self._search.points))
        if fold != self._fold:
            self._prepare(fold)
        params = self._search.params[point]
        try:
            fitted, told = self._fit(replace(self._taken, params=params))
        except NumericalFailure as problem:
            return {"error": problem.detail[:500]}
        return {
            "score": score(self._search.asked.scoring, self._predicted(fold, fitted)),
            "n_iter": int(max(fitted.n_iter_)),
            "converged": all(each.code != "not-converged" for each in told),
        }

    def _prepare(self, fold: int) -> None:
        fitted, measured = self._folds[fold]
        # The one before goes first, since a fold may be nearly all of the table.
        self._taken, self._X = self._dataset, self._dataset.X
        self._taken = self._dataset.take(fitted)
        self._X = self._dataset.prepared(self._taken.preparation, measured)
        self._fold = fold

    def _predicted(self, fold: int, fitted: LogisticRegression) -> Predicted:
        rows, weight = self._folds[fold][1], self._dataset.sample_weight
        return Predicted(
            y=self._dataset.y[rows],
            P=fitted.predict_proba(self._X),
            weight=np.ones(len(rows)) if weight is None else weight[rows],
        )


def choose(
    dataset: Dataset, search: Plan, fit: Fit, *, processes: int, tell: Tell
) -> tuple[Dataset, SearchDocument, list[FitWarning]]:
    """Try each point on each fold, and take the best.

    Parameters
    ----------
    dataset : Dataset
        All rows; those that are held out are not looked at.
    search : Plan
        Points and folds.
    fit : callable
        Fits a dataset as its parameters say.
    processes : int
        Most fits side by side; 0: as many as there are cores.
    tell : callable
        Gets how many fits are done.

    Returns
    -------
    dataset : Dataset
        With the parameters of the best point. Of equal scores the stronger
        penalty counts as better, then the earlier point.
    document : SearchDocument
        Every point.
    warnings : list of FitWarning
        What its reader should know.

    Raises
    ------
    NumericalFailure
        If no point has a score.
    """
    fits = _Fits(dataset, search, fit)
    answers: list[Answer] = [{} for _ in range(len(fits))]
    tell("search", fit=0, fits=len(fits))
    for done, (number, answer) in enumerate(share_out(fits, len(fits), processes or cores()), 1):
        answers[number] = answer
        tell("search", fit=done, fits=len(fits))
    count = len(search.points)
    points = [_tried(search.points[i], answers[i::count]) for i in range(count)]
    best = _best(points, search)
    document = msgspec.structs.replace(
        search.document(),
        best_index=best,
        best_params=search.points[best],
        best_score=points[best].mean,
        points=points,
    )
    return replace(dataset, params=search.params[best]), document, _warnings(points, best)


def _tried(params: dict[str, Any], folds: list[Answer]) -> Tried:
    scores = [fold.get("score") for fold in folds]
    whole = [each for each in scores if each is not None]
    is_whole = len(whole) == len(scores)
    errors = [fold["error"] for fold in folds if "error" in fold]
    if not (is_whole or errors):
        errors = ["The score is not defined on a fold."]
    return Tried(
        params=params,
        mean=float(np.mean(whole)) if is_whole else None,
        std=float(np.std(whole)) if is_whole else None,
        scores=scores,
        n_iter=[fold.get("n_iter") for fold in folds],
        converged=all(fold.get("converged", False) for fold in folds),
        error=errors[0] if errors else None,
    )


def _best(points: list[Tried], search: Plan) -> int:
    scored = [i for i, point in enumerate(points) if point.mean is not None]
    if not scored:
        raise NumericalFailure(
            f"A point of the search must have a score, none of {len(points)} has; "
            f"the first: {points[0].error}"
        )

    def goodness(i: int) -> tuple[float, float]:
        C = search.params[i]["C"]
        return points[i].mean or 0.0, -(math.inf if C is None else C)

    return max(scored, key=goodness)


def _warnings(points: list[Tried], best: int) -> list[FitWarning]:
    count = len(points)
    failed = sum(point.mean is None for point in points)
    stopped = sum(point.mean is not None and not point.converged for point in points)
    told = []
    if failed:
        told.append(FitWarning(code="search-failed", detail=_FAILED.format(failed, count)))
    if stopped:
        told.append(FitWarning(code="search-not-converged", detail=_STOPPED.format(stopped, count)))
    if _is_at_end(points, best):
        told.append(FitWarning(code="search-at-end", detail=_AT_END))
    return told


_FAILED = "{0} of the {1} points of the search have no score and were not chosen from; see error."
_STOPPED = (
    "{0} of the {1} points of the search did not converge on each fold, and their scores may be "
    "off; raise max_iter, or scale the columns."
)
_AT_END = "The best C is the smallest or the largest that was tried; search beyond it as well."


def _is_at_end(points: list[Tried], best: int) -> bool:
    tried = {point.params.get("C", math.nan) for point in points}
    numbers = sorted({math.inf if C is None else C for C in tried})
    # No penalty at all is the end of the line.
    found = points[best].params.get("C")
    return len(numbers) > 2 and found is not None and found in (numbers[0], numbers[-1])
