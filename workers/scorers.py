"""The score of a search's fit, by scikit-learn's name, from what it predicts."""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mlservice.search import Scoring
from workers.metrics import Predicted

_Score = Callable[..., float]


def score(scoring: Scoring, predicted: Predicted) -> float | None:
    """Score predictions as scikit-learn's scorer of this name does.

    Parameters
    ----------
    scoring : str
        The greater the score, the better.
    predicted : Predicted
        Rows with a positive sum of weights.

    Returns
    -------
    float or None
        None where the score is not defined, such as a ROC of one class.
    """
    with warnings.catch_warnings():
        # They say that a score is not defined, or counts as 0.
        warnings.simplefilter("ignore")
        try:
            found = float(_SCORES[scoring](predicted))
        except ValueError:
            return None
    return found if np.isfinite(found) else None


def _of_classes(measure: _Score, predicted: Predicted) -> float:
    return measure(predicted.y, predicted.P.argmax(axis=1), sample_weight=predicted.weight)


def _averaged(measure: _Score, average: str) -> Callable[[Predicted], float]:
    return partial(_of_classes, partial(measure, average=average, zero_division=0))


def _neg_log_loss(predicted: Predicted) -> float:
    labels = range(predicted.P.shape[1])
    loss: float = log_loss(
        predicted.y, predicted.P, sample_weight=predicted.weight, labels=list(labels)
    )
    return -loss


def _neg_brier(predicted: Predicted) -> float:
    labels = list(range(predicted.P.shape[1]))
    loss: float = brier_score_loss(
        predicted.y, predicted.P, sample_weight=predicted.weight, labels=labels
    )
    return -loss


def _of_second(measure: _Score, predicted: Predicted) -> float:
    return measure(predicted.y, predicted.P[:, 1], sample_weight=predicted.weight)


def _roc_auc_ovr(predicted: Predicted) -> float:
    if predicted.P.shape[1] == 2:
        return _of_second(roc_auc_score, predicted)
    found: float = roc_auc_score(
        predicted.y,
        predicted.P,
        multi_class="ovr",
        sample_weight=predicted.weight,
        labels=list(range(predicted.P.shape[1])),
    )
    return found


_AVERAGED = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
_AVERAGES = {"": "binary", "_macro": "macro", "_weighted": "weighted"}
_SCORES: dict[str, Callable[[Predicted], float]] = {
    "neg_log_loss": _neg_log_loss,
    "neg_brier_score": _neg_brier,
    "accuracy": partial(_of_classes, accuracy_score),
    "balanced_accuracy": partial(_of_classes, balanced_accuracy_score),
    "matthews_corrcoef": partial(_of_classes, matthews_corrcoef),
    "roc_auc": partial(_of_second, roc_auc_score),
    "roc_auc_ovr": _roc_auc_ovr,
    "average_precision": partial(_of_second, average_precision_score),
    **{
        f"{name}{suffix}": _averaged(measure, average)
        for name, measure in _AVERAGED.items()
        for suffix, average in _AVERAGES.items()
    },
}
