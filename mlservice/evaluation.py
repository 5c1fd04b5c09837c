"""What a client may ask of an evaluation, and the documents of what was measured.

Names and definitions are scikit-learn's. What is not defined for some rows is
null: a precision of a class that was never predicted, a ROC of one class.
Averages over classes count it as 0, as scikit-learn's do by default.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

TEST_SIZE = 0.25


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is measured, beside being fitted."""

    test_size: Annotated[
        Annotated[float, Meta(ge=0, lt=1)] | UnsetType,
        Meta(
            description="Share of the rows that is held out to measure on; 0: none. Default 0.25."
        ),
    ] = UNSET
    folds: Annotated[
        int, Meta(ge=0, le=20, description="Folds of a cross-validation, 2 to 20; 0: none.")
    ] = 0
    stratify: Annotated[bool, Meta(description="Whether each part has the classes' shares.")] = True
    random_state: Annotated[int, Meta(ge=0, le=2**32 - 1, description="Seed of the parts.")] = 0
    refit: Annotated[
        bool, Meta(description="Whether the model that is kept is fitted on the test part as well.")
    ] = True
    group: Annotated[
        str | None, Meta(description="A column whose equal rows stay in one part; no feature.")
    ] = None
    order: Annotated[
        str | None,
        Meta(description="A column, such as the time, that orders the rows; no feature."),
    ] = None


class ClassMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How one class is told from the others; `support` is its rows, or their weight."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: float


class AverageMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the classes."""

    precision: float
    recall: float
    f1: float


class ConfusionMatrix(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, or their weight, by true class (one list each) and predicted class."""

    classes: list[str]
    counts: list[list[float]]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics that are one number."""

    accuracy: float | None
    balanced_accuracy: float | None
    log_loss: float | None
    roc_auc: float | None
    average_precision: float | None
    brier_score: float | None
    matthews_corrcoef: float | None


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """One class against the others, in at most 100 points a curve.

    The threshold of a point is the least probability that counts as the class.
    `calibration` has 10 bins of equal width; those without rows are left out.
    """

    roc: list["RocPoint"]
    precision_recall: list["PrecisionRecallPoint"]
    calibration: list["CalibrationBin"]


class RocPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the ROC; at the first, nothing counts as the class."""

    threshold: float | None
    false_positive_rate: float
    true_positive_rate: float


class PrecisionRecallPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the precision-recall curve."""

    threshold: float
    precision: float
    recall: float


class CalibrationBin(msgspec.Struct, frozen=True, kw_only=True):
    """Rows whose probability falls into one tenth."""

    mean_predicted: float
    fraction_of_positives: float
    rows: int


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """What the second of two classes gives when this probability suffices for it."""

    threshold: float
    precision: float
    recall: float
    f1: float
    accuracy: float


class Metrics(Scores, frozen=True, kw_only=True):
    """What was measured on some rows."""

    rows: int
    macro: AverageMetrics
    weighted: AverageMetrics
    per_class: dict[str, ClassMetrics] | None
    confusion_matrix: Annotated[
        ConfusionMatrix | None, Meta(description="null beyond 100 classes, as `per_class`.")
    ]
    curves: Annotated[
        dict[str, Curves] | None | UnsetType,
        Meta(description="By class, of two the second only; null beyond 20 classes."),
    ] = UNSET
    best_threshold: Annotated[
        Threshold | None | UnsetType, Meta(description="The one that maximises F1; two classes.")
    ] = UNSET
    thresholds: list[Threshold] | UnsetType = UNSET


class CrossValidation(Metrics, frozen=True, kw_only=True):
    """Metrics of the rows' predictions by the fold that had not seen them, and by fold."""

    folds: list[Scores]
    mean: Scores
    std: Scores


class Baseline(Metrics, frozen=True, kw_only=True):
    """What it gives to tell each row the classes' shares, and so the most frequent class."""

    measured_on: Literal["train", "test", "cross_validation"]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics, and on which rows they were measured."""

    train: Metrics
    test: Metrics | None
    cross_validation: CrossValidation | None
    baseline: Baseline
