"""Curves and tables over thresholds, in few points that a person can look at."""

import numpy as np
from numpy.typing import NDArray

from mlservice.evaluation import CalibrationBin, PrecisionRecallPoint, RocPoint, Threshold
from workers.ranking import Ranking

Vector = NDArray[np.float64]
_BINS = np.linspace(0, 1, 11)[1:-1]


def roc_of(ranking: Ranking) -> list[RocPoint]:
    """Return the ROC's corners; none without rows of both kinds."""
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


def precision_recall_of(ranking: Ranking) -> list[PrecisionRecallPoint]:
    """Return precision and recall at some thresholds; none without the class."""
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


def calibration_of(
    score: Vector, is_class: NDArray[np.bool_], weight: Vector
) -> list[CalibrationBin]:
    """Return how often a class is there where it was predicted so likely, in ten bins."""
    bins = np.searchsorted(_BINS, score)
    sums, hits, weights, rows = (
        np.bincount(bins, each, minlength=10)
        for each in (weight * score, weight * is_class, weight, None)
    )
    return [
        CalibrationBin(
            mean_predicted=float(sums[i] / weights[i]),
            fraction_of_positives=float(hits[i] / weights[i]),
            rows=int(rows[i]),
        )
        for i in np.flatnonzero(weights)
    ]


def thresholds_of(ranking: Ranking) -> tuple[list[Threshold], Threshold | None]:
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
