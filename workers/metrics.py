"""Metrics of predicted probabilities, as scikit-learn defines them.

scikit-learn's own functions check and encode their input in each call, which
takes 15 ms for a small table; here one confusion matrix and one ranking a class
give them all. Tests hold each number to scikit-learn's.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.evaluation import (
    AverageMetrics,
    ClassMetrics,
    ConfusionMatrix,
    Curves,
    Metrics,
    Scores,
)
from workers.curves import calibration_of, precision_recall_of, roc_of, thresholds_of
from workers.ranking import Ranking, rank

Vector = NDArray[np.float64]
MOST_CLASSES_TOLD = 100
MOST_CLASSES_DRAWN = 20
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """True classes of some rows, and what was predicted for them.

    Attributes
    ----------
    y : ndarray of shape (n_samples,)
        Position of each row's class.
    P : ndarray of shape (n_samples, n_classes)
        Probability of each class.
    weight : ndarray of shape (n_samples,)
        Weight of each row.
    """

    y: NDArray[np.intp]
    P: Vector
    weight: Vector

    def confusion(self) -> Vector:
        """Return the weight of rows by true and predicted class."""
        k = self.P.shape[1]
        # Of two it is the first unless the second is greater: a seventh of argmax's time.
        guessed = self.P[:, 1] > self.P[:, 0] if k == 2 else self.P.argmax(axis=1)
        cells = self.y * k + guessed
        return _sums(cells, self.weight, k * k).reshape(k, k)

    def ranking(self, code: int) -> Ranking:
        """Rank the rows by the probability of one class."""
        return rank(self.P[:, code], self.y == code, self.weight)


def _sums(positions: NDArray[np.intp], weight: Vector, count: int) -> Vector:
    return np.bincount(positions, weight, minlength=count).astype(np.float64)


def measure(predicted: Predicted, names: list[str], *, draw: bool = False) -> Metrics:
    """Measure predictions.

    Parameters
    ----------
    predicted : Predicted
        Rows with a positive sum of weights.
    names : list of str
        The classes, as JSON writes them.
    draw : bool
        Whether to give curves and thresholds too.
    """
    confusion = predicted.confusion()
    rankings = [predicted.ranking(code) for code in _ranked(names)]
    told = len(names) <= MOST_CLASSES_TOLD
    counts = ConfusionMatrix(classes=names, counts=confusion.tolist()) if told else None
    return Metrics(
        rows=len(predicted.y),
        **_scores(predicted, confusion, rankings),
        **_by_class(confusion, names),
        confusion_matrix=counts,
        **(_drawn(predicted, rankings, names) if draw else {}),
    )


def scores(predicted: Predicted, names: list[str]) -> Scores:
    """Return the metrics that are one number."""
    rankings = [predicted.ranking(code) for code in _ranked(names)]
    return Scores(**_scores(predicted, predicted.confusion(), rankings))


def _ranked(names: list[str]) -> range:
    """Return the classes that are ranked: of two the second, else each."""
    return range(1, 2) if len(names) == 2 else range(len(names))


def _scores(predicted: Predicted, confusion: Vector, rankings: list[Ranking]) -> dict[str, Any]:
    hits, support = confusion.diagonal(), confusion.sum(axis=1)
    there = support > 0
    total = support.sum()
    likelihood = predicted.P[np.arange(len(predicted.y)), predicted.y]
    return {
        "accuracy": float(hits.sum() / total),
        "balanced_accuracy": float(np.mean(hits[there] / support[there])),
        "matthews_corrcoef": _matthews(confusion),
        "log_loss": _log_loss(predicted, likelihood),
        "brier_score": _brier(predicted, likelihood),
        "roc_auc": _mean([ranking.roc_auc() for ranking in rankings]),
        "average_precision": _mean([ranking.average_precision() for ranking in rankings]),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _matthews(confusion: Vector) -> float | None:
    true, guessed = confusion.sum(axis=1), confusion.sum(axis=0)
    # Not by 1 - true @ true: its rounding would hide that there is one class only.
    if np.count_nonzero(true) < 2 or np.count_nonzero(guessed) < 2:
        return None
    shares = confusion / confusion.sum()
    true, guessed = shares.sum(axis=1), shares.sum(axis=0)
    spread = (1 - guessed @ guessed) * (1 - true @ true)
    return float((shares.trace() - true @ guessed) / math.sqrt(spread)) if spread > 0 else None


def _log_loss(predicted: Predicted, likelihood: Vector) -> float:
    losses = -np.log(np.clip(likelihood, _EPS, 1 - _EPS))
    return float(np.average(losses, weights=predicted.weight))


def _brier(predicted: Predicted, likelihood: Vector) -> float:
    squares = np.einsum("ij,ij->i", predicted.P, predicted.P) - 2 * likelihood + 1
    half = 0.5 if predicted.P.shape[1] == 2 else 1.0
    return half * float(np.average(squares, weights=predicted.weight))


def _by_class(confusion: Vector, names: list[str]) -> dict[str, Any]:
    hits, support, guessed = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    columns = [
        _divide(hits, guessed),
        _divide(hits, support),
        _divide(2 * hits, support + guessed),
    ]
    macro, weighted = _average(columns, None), _average(columns, support)
    rows = zip(
        names, support.tolist(), *(map(_known, each.tolist()) for each in columns), strict=True
    )
    per_class = {
        name: ClassMetrics(precision=precision, recall=recall, f1=f1, support=count)
        for name, count, precision, recall, f1 in rows
    }
    told = len(names) <= MOST_CLASSES_TOLD
    return {"macro": macro, "weighted": weighted, "per_class": per_class if told else None}


def _average(columns: list[Vector], weights: Vector | None) -> AverageMetrics:
    precision, recall, f1 = (
        float(np.average(np.nan_to_num(each), weights=weights)) for each in columns
    )
    return AverageMetrics(precision=precision, recall=recall, f1=f1)


def _divide(part: Vector, whole: Vector) -> Vector:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _drawn(predicted: Predicted, rankings: list[Ranking], names: list[str]) -> dict[str, Any]:
    if len(names) > MOST_CLASSES_DRAWN:
        return {"curves": None}
    curves = {
        names[code]: Curves(
            roc=roc_of(ranking),
            precision_recall=precision_recall_of(ranking),
            calibration=calibration_of(predicted.P[:, code], predicted.y == code, predicted.weight),
        )
        for code, ranking in zip(_ranked(names), rankings, strict=True)
    }
    if len(names) > 2:
        return {"curves": curves}
    table, best = thresholds_of(rankings[0])
    return {"curves": curves, "thresholds": table, "best_threshold": best}
