"""What a model is worth: measured on rows that its fit had not seen, where there are any.

Whatever is learnt is learnt by `fit_rows`, on the rows that it is given.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice.dataset import Dataset
from mlservice.evaluation import Baseline, CrossValidation, Measured, Metrics, Scores
from mlservice.preparation import Rows, of_rows
from mlservice.schemas import label_name
from mlservice.splits import Part
from workers.metrics import Predicted, measure, scores

Predictor = Callable[[Rows], NDArray[np.float64]]
FitRows = Callable[[Dataset, NDArray[np.intp]], Predictor]


def evaluate(
    dataset: Dataset, part: Part | None, predict: Predictor, fit_rows: FitRows
) -> Measured:
    """Measure a model on its training part and its test part, and cross-validate.

    Parameters
    ----------
    dataset : Dataset
        All rows.
    part : pair of ndarray of row numbers, optional
        Rows that `predict` was fitted on, and those held out.
    predict : callable
        Gives the probabilities, of shape (n_rows, n_classes), of some rows; of all for None.
    fit_rows : callable
        Fits on some rows of the dataset and returns such a `predict`.
    """
    names = [label_name(label) for label in dataset.classes]
    fitted = None if part is None else part[0]
    test = None if part is None else _predicted(dataset, part[1], predict)
    folds = [
        _predicted(dataset, measured, fit_rows(dataset, rows))
        for rows, measured in dataset.splits.folds()
    ]
    train = _predicted(dataset, fitted, predict)
    return Measured(
        train=measure(train, names),
        test=None if test is None else measure(test, names, draw=True),
        cross_validation=_cross_validation(folds, names, draw=test is None) if folds else None,
        baseline=_baseline(train, test, folds, names),
    )


def _predicted(dataset: Dataset, rows: Rows, predict: Predictor) -> Predicted:
    y, weight = of_rows(dataset.y, rows), dataset.sample_weight
    weight = np.ones(len(y)) if weight is None else of_rows(weight, rows)
    return Predicted(y=y, P=predict(rows), weight=weight)


def _cross_validation(folds: list[Predicted], names: list[str], *, draw: bool) -> CrossValidation:
    by_fold = [scores(fold, names) for fold in folds]
    return CrossValidation(
        **_members(measure(_together(folds), names, draw=draw)),
        folds=by_fold,
        mean=_over_folds(by_fold, np.mean),
        std=_over_folds(by_fold, np.std),
    )


def _together(folds: list[Predicted]) -> Predicted:
    return Predicted(
        y=np.concatenate([fold.y for fold in folds]),
        P=np.concatenate([fold.P for fold in folds]),
        weight=np.concatenate([fold.weight for fold in folds]),
    )


def _over_folds(by_fold: list[Scores], average: Callable[[list[float]], np.float64]) -> Scores:
    """Average each score over the folds; undefined in one is undefined."""
    columns = {name: [getattr(each, name) for each in by_fold] for name in Scores.__struct_fields__}
    return Scores(
        **{
            name: None if None in values else float(average(values))
            for name, values in columns.items()
        }
    )


def _baseline(
    train: Predicted, test: Predicted | None, folds: list[Predicted], names: list[str]
) -> Baseline:
    """Measure what scikit-learn's `DummyClassifier(strategy="prior")` predicts."""
    shares = np.bincount(train.y, train.weight, minlength=len(names)) / train.weight.sum()
    measured_on: Literal["train", "test", "cross_validation"] = "train"
    rows = train
    if folds:
        measured_on, rows = "cross_validation", _together(folds)
    if test is not None:
        measured_on, rows = "test", test
    # What is predicted for all rows alike is measured on one row of each class.
    k = len(names)
    support = np.bincount(rows.y, rows.weight, minlength=k).astype(np.float64)
    same = Predicted(y=np.arange(k), P=np.tile(shares, (k, 1)), weight=support)
    found = _members(measure(same, names)) | {"rows": len(rows.y)}
    return Baseline(**found, measured_on=measured_on)


def _members(metrics: Metrics) -> dict[str, Any]:
    return {
        name: getattr(metrics, name)
        for name in metrics.__struct_fields__
        if getattr(metrics, name) is not msgspec.UNSET
    }
