"""What a model is worth: measured on rows that its fit had not seen, where there are any.

Whatever is learnt is learnt by `fit_rows`, on the rows that it is given. The fits of
a large table's folds run side by side, and write what they predict into memory that
all processes share.
"""

import itertools
import mmap
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
from workers.crew import cores, share_out
from workers.metrics import Predicted, measure, scores

Predictor = Callable[[Rows], NDArray[np.float64]]
FitRows = Callable[[Dataset, NDArray[np.intp]], Predictor]

# Of a table of 300,000 numbers five folds take as long side by side as one after another,
# of 1,500,000 three quarters of it, of 4,000,000 three fifths: measured with two cores.
_LARGE = 1_000_000
# No limit on a process's memory knows of what it shares.
_MOST_SHARED = 64 * 1024 * 1024


def evaluate(
    dataset: Dataset,
    part: Part | None,
    predict: Predictor,
    fit_rows: FitRows,
    *,
    processes: int = 1,
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
    processes : int
        Most fits side by side; 0: as many as there are cores.
    """
    names = [label_name(label) for label in dataset.classes]
    fitted = None if part is None else part[0]
    test = None if part is None else _predicted(dataset, part[1], predict(part[1]))
    folds = _folds(dataset, fit_rows, processes)
    train = _predicted(dataset, fitted, predict(fitted))
    return Measured(
        train=measure(train, names),
        test=None if test is None else measure(test, names, draw=True),
        cross_validation=_cross_validation(folds, names, draw=test is None) if folds else None,
        baseline=_baseline(train, test, folds, names),
    )


def _folds(dataset: Dataset, fit_rows: FitRows, processes: int) -> list[Predicted]:
    """Predict the rows of each fold by a fit on all others."""
    folds = list(dataset.splits.folds())
    ends = np.cumsum([0, *(len(measured) for _, measured in folds)])
    shape = int(ends[-1]), len(dataset.classes)
    is_large = dataset.X.size >= _LARGE and 8 * shape[0] * shape[1] <= _MOST_SHARED
    P = _shared(shape) if folds and is_large else np.empty(shape)
    shares = [P[start:stop] for start, stop in itertools.pairwise(ends.tolist())]

    def fit(fold: int) -> dict[str, Any]:
        rows, measured = folds[fold]
        shares[fold][:] = fit_rows(dataset, rows)(measured)
        return {}

    for _ in share_out(fit, len(folds), (processes or cores()) if is_large else 1):
        pass
    return [
        _predicted(dataset, measured, found)
        for (_, measured), found in zip(folds, shares, strict=True)
    ]


def _shared(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return numbers that processes write which are forked from this one."""
    return np.frombuffer(mmap.mmap(-1, 8 * shape[0] * shape[1])).reshape(shape)


def _predicted(dataset: Dataset, rows: Rows, P: NDArray[np.float64]) -> Predicted:
    y, weight = of_rows(dataset.y, rows), dataset.sample_weight
    weight = np.ones(len(y)) if weight is None else of_rows(weight, rows)
    return Predicted(y=y, P=P, weight=weight)


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
