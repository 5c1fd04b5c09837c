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
    CalibrationBin,
    ClassMetrics,
    ConfusionMatrix,
    Curves,
    Metrics,
    PrecisionRecallPoint,
    RocPoint,
    Scores,
    Threshold,
)

Vector = NDArray[np.float64]
MOST_POINTS = 100
MOST_CLASSES_TOLD = 100
MOST_CLASSES_DRAWN = 20
_EPS = float(np.finfo(np.float64).eps)
_BINS = np.linspace(0, 1, 11)[1:-1]


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
        cells = self.y * k + self.P.argmax(axis=1)
        return _sums(cells, self.weight, k * k).reshape(k, k)

    def ranking(self, code: int) -> "Ranking":
        """Rank the rows by the probability of one class."""
        score = self.P[:, code]
        order = np.argsort(-score, kind="stable")
        score, weight = score[order], self.weight[order]
        is_class = self.y[order] == code
        # The last row of each probability.
        last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
        return Ranking(
            threshold=score[last],
            tps=np.cumsum(weight * is_class)[last],
            fps=np.cumsum(weight * ~is_class)[last],
        )


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Weights of rows at or above each threshold, of the class and of the others."""

    threshold: Vector
    tps: Vector
    fps: Vector

    def roc_auc(self) -> float | None:
        """Return the area under the ROC, None without rows of both kinds."""
        if not (self.tps[-1] and self.fps[-1]):
            return None
        # Shares first: products of weights may not fit in float64.
        heights = (np.append(0, self.tps[:-1]) + self.tps) / self.tps[-1]
        return float(np.sum(np.diff(self.fps, prepend=0) / self.fps[-1] * heights) / 2)

    def average_precision(self) -> float | None:
        """Return the mean precision over the steps of recall, None without the class."""
        if not self.tps[-1]:
            return None
        steps = np.diff(self.tps, prepend=0) / self.tps[-1]
        return float(np.sum(steps * self.precision()))

    def precision(self) -> Vector:
        """Return the share of the class at or above each threshold."""
        found = self.tps + self.fps
        return np.divide(self.tps, found, out=np.zeros_like(found), where=found > 0)

    def some(self) -> NDArray[np.intp]:
        """Return at most 99 positions, the first and the last among them."""
        return _thin(np.arange(len(self.threshold)))

    def corners(self) -> NDArray[np.intp]:
        """Return at most 99 positions where the ROC turns."""
        turns = (np.diff(each, 2, prepend=0) != 0 for each in (self.fps, self.tps))
        return _thin(np.flatnonzero(np.append(np.logical_or(*turns), True)))


def _thin(positions: NDArray[np.intp]) -> NDArray[np.intp]:
    count = len(positions)
    return positions[np.linspace(0, count - 1, min(count, MOST_POINTS - 1)).astype(np.intp)]


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
    return {
        "accuracy": float(hits.sum() / total),
        "balanced_accuracy": float(np.mean(hits[there] / support[there])),
        "matthews_corrcoef": _matthews(confusion),
        "log_loss": _log_loss(predicted),
        "brier_score": _brier(predicted),
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


def _log_loss(predicted: Predicted) -> float:
    likelihood = predicted.P[np.arange(len(predicted.y)), predicted.y]
    losses = -np.log(np.clip(likelihood, _EPS, 1 - _EPS))
    return float(np.average(losses, weights=predicted.weight))


def _brier(predicted: Predicted) -> float:
    likelihood = predicted.P[np.arange(len(predicted.y)), predicted.y]
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
            roc=_roc(ranking),
            precision_recall=_precision_recall(ranking),
            calibration=_calibration(predicted, code),
        )
        for code, ranking in zip(_ranked(names), rankings, strict=True)
    }
    if len(names) > 2:
        return {"curves": curves}
    table, best = _thresholds(rankings[0])
    return {"curves": curves, "thresholds": table, "best_threshold": best}


def _roc(ranking: Ranking) -> list[RocPoint]:
    if not (ranking.tps[-1] and ranking.fps[-1]):
        return []
    some = ranking.corners()
    columns = (
        ranking.threshold[some],
        ranking.fps[some] / ranking.fps[-1],
        ranking.tps[some] / ranking.tps[-1],
    )
    first = RocPoint(threshold=None, false_positive_rate=0.0, true_positive_rate=0.0)
    return [first] + [
        RocPoint(threshold=threshold, false_positive_rate=fpr, true_positive_rate=tpr)
        for threshold, fpr, tpr in zip(*(each.tolist() for each in columns), strict=True)
    ]


def _precision_recall(ranking: Ranking) -> list[PrecisionRecallPoint]:
    if not ranking.tps[-1]:
        return []
    some = ranking.some()
    columns = (
        ranking.threshold[some],
        ranking.precision()[some],
        ranking.tps[some] / ranking.tps[-1],
    )
    return [
        PrecisionRecallPoint(threshold=threshold, precision=precision, recall=recall)
        for threshold, precision, recall in zip(*(each.tolist() for each in columns), strict=True)
    ]


def _calibration(predicted: Predicted, code: int) -> list[CalibrationBin]:
    score, weight = predicted.P[:, code], predicted.weight
    bins = np.searchsorted(_BINS, score)
    sums, hits, weights, rows = (
        np.bincount(bins, each, minlength=10)
        for each in (weight * score, weight * (predicted.y == code), weight, None)
    )
    return [
        CalibrationBin(
            mean_predicted=float(sums[i] / weights[i]),
            fraction_of_positives=float(hits[i] / weights[i]),
            rows=int(rows[i]),
        )
        for i in np.flatnonzero(weights)
    ]


def _thresholds(ranking: Ranking) -> tuple[list[Threshold], Threshold | None]:
    """Return the table of thresholds, and the one that maximises F1."""
    class_weight, others = ranking.tps[-1], ranking.fps[-1]
    if not class_weight:
        return [], None
    f1 = 2 * ranking.tps / (class_weight + ranking.tps + ranking.fps)
    columns = {
        "threshold": ranking.threshold,
        "precision": ranking.precision(),
        "recall": ranking.tps / class_weight,
        "f1": f1,
        "accuracy": (ranking.tps + others - ranking.fps) / (class_weight + others),
    }
    best, *table = (
        Threshold(**{name: float(each[i]) for name, each in columns.items()})
        for i in (f1.argmax(), *ranking.some())
    )
    return table, best
