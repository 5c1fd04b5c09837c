"""Metrics of predictions: scikit-learn's numbers under scikit-learn's names."""

import threading
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as theirs
from sklearn.calibration import calibration_curve
from sklearn.preprocessing import label_binarize

from mlservice.evaluation import Metrics
from workers.metrics import Predicted, measure
from workers.ranking import MOST_POINTS

NAMES = [f"class {code}" for code in range(101)]


def predictions(*, n_classes: int, rows: int = 200, seed: int = 0, digits: int = 2) -> Predicted:
    """Return predictions with many ties, better than chance, and weights."""
    random = np.random.default_rng(seed)
    y = random.permutation(np.arange(rows) % n_classes).astype(np.intp)
    logits = random.normal(size=(rows, n_classes)) + np.eye(n_classes)[y]
    P = np.exp(logits).round(digits) + 0.01
    return Predicted(y=y, P=P / P.sum(axis=1, keepdims=True), weight=random.random(rows))


def measured(predicted: Predicted, *, draw: bool = False) -> Metrics:
    """Measure predictions whose classes have made-up names."""
    return measure(predicted, NAMES[: predicted.P.shape[1]], draw=draw)


def scikit_learn_of(predicted: Predicted) -> dict[str, Any]:
    """Return scikit-learn's scores of the same predictions."""
    y, P, weight = predicted.y, predicted.P, predicted.weight
    guessed, labels = P.argmax(axis=1), np.arange(P.shape[1])
    is_class = label_binarize(y, classes=labels)
    score = P[:, 1] if len(labels) == 2 else P
    return {
        "accuracy": theirs.accuracy_score(y, guessed, sample_weight=weight),
        "balanced_accuracy": theirs.balanced_accuracy_score(y, guessed, sample_weight=weight),
        "matthews_corrcoef": theirs.matthews_corrcoef(y, guessed, sample_weight=weight),
        "log_loss": theirs.log_loss(y, P, sample_weight=weight, labels=labels),
        "brier_score": theirs.brier_score_loss(y, score, sample_weight=weight, labels=labels),
        "roc_auc": theirs.roc_auc_score(is_class, score, sample_weight=weight, average="macro"),
        "average_precision": theirs.average_precision_score(
            is_class, score, sample_weight=weight, average="macro"
        ),
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_score_is_scikit_learns(n_classes: int, seed: int) -> None:
    """Each score of one number is what scikit-learn's function of that name gives."""
    predicted = predictions(n_classes=n_classes, seed=seed)

    found = measured(predicted)

    expected = scikit_learn_of(predicted)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("has_memory", [True, False])
def test_many_rows_without_weights_are_ranked_as_few_are(
    has_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorted by two threads, or by one where there is no memory for another."""
    if not has_memory:
        monkeypatch.setattr(threading.Thread, "start", _lacks_memory)
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 600_001)
    second = random.random(len(y)).round(4)
    P = np.column_stack([1 - second, second])
    predicted = Predicted(y=y, P=P, weight=np.ones(len(y)))

    found = measured(predicted)

    assert found.roc_auc == pytest.approx(theirs.roc_auc_score(y, second), rel=1e-9)


def _lacks_memory(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_class_metrics_and_averages_are_scikit_learns(n_classes: int) -> None:
    """Precision, recall, F1 and support are those of `precision_recall_fscore_support`."""
    predicted = predictions(n_classes=n_classes)
    guessed = predicted.P.argmax(axis=1)

    def expected(average: str | None) -> NDArray[Any]:
        return np.array(
            theirs.precision_recall_fscore_support(
                predicted.y, guessed, sample_weight=predicted.weight, average=average
            )[: 3 if average else 4]
        )

    found = measured(predicted)

    rows = [[c.precision, c.recall, c.f1, c.support] for c in (found.per_class or {}).values()]
    assert pytest.approx(expected(None)) == np.array(rows).T
    for average in ("macro", "weighted"):
        of = getattr(found, average)
        assert [of.precision, of.recall, of.f1] == pytest.approx(expected(average))


@pytest.mark.parametrize("scale", [1e-200, 1e100])
def test_size_of_weights_changes_no_score(scale: float) -> None:
    """Weights count by their ratios, however large or small they all are."""
    predicted = predictions(n_classes=2)
    scaled = Predicted(y=predicted.y, P=predicted.P, weight=predicted.weight * scale)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measured(scaled, draw=True)

    expected = scikit_learn_of(predicted)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, rel=1e-9)


def test_confusion_matrix_is_scikit_learns() -> None:
    """Rows are true classes, columns predicted ones."""
    predicted = predictions(n_classes=3)

    found = measured(predicted).confusion_matrix

    assert found
    assert found.classes == NAMES[:3]
    expected = theirs.confusion_matrix(
        predicted.y, predicted.P.argmax(axis=1), sample_weight=predicted.weight
    )
    assert np.array(found.counts) == pytest.approx(expected)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_roc_is_scikit_learns(n_classes: int) -> None:
    """The points are those of `roc_curve`, where it turns."""
    predicted = predictions(n_classes=n_classes, rows=60)

    curves = measured(predicted, draw=True).curves

    assert curves
    assert len(curves) == (1 if n_classes == 2 else n_classes)
    for name, curve in curves.items():
        code = NAMES.index(name)
        fpr, tpr, threshold = theirs.roc_curve(
            predicted.y == code, predicted.P[:, code], sample_weight=predicted.weight
        )
        assert [point.false_positive_rate for point in curve.roc] == pytest.approx(fpr)
        assert [point.true_positive_rate for point in curve.roc] == pytest.approx(tpr)
        assert [point.threshold for point in curve.roc[1:]] == pytest.approx(threshold[1:])
        assert curve.roc[0].threshold is None


def test_precision_recall_curve_is_scikit_learns() -> None:
    """The points are those of `precision_recall_curve`, the highest threshold first."""
    predicted = predictions(n_classes=2, rows=60)

    curves = measured(predicted, draw=True).curves

    assert curves
    found = curves[NAMES[1]].precision_recall[::-1]
    precision, recall, threshold = theirs.precision_recall_curve(
        predicted.y, predicted.P[:, 1], sample_weight=predicted.weight
    )
    assert [point.precision for point in found] == pytest.approx(precision[:-1])
    assert [point.recall for point in found] == pytest.approx(recall[:-1])
    assert [point.threshold for point in found] == pytest.approx(threshold)


def test_calibration_is_scikit_learns() -> None:
    """Bins are those of `calibration_curve` with 10 of equal width."""
    predicted = predictions(n_classes=2)
    same = Predicted(y=predicted.y, P=predicted.P, weight=np.ones(200))

    curves = measured(same, draw=True).curves

    assert curves
    bins = curves[NAMES[1]].calibration
    fraction, mean = calibration_curve(same.y, same.P[:, 1], n_bins=10)
    assert [each.fraction_of_positives for each in bins] == pytest.approx(fraction)
    assert [each.mean_predicted for each in bins] == pytest.approx(mean)
    assert sum(each.rows for each in bins) == 200


def test_best_threshold_maximises_f1() -> None:
    """No threshold gives a better F1, and the metrics beside it are scikit-learn's."""
    predicted = predictions(n_classes=2, rows=400, digits=6)
    score, weight = predicted.P[:, 1], predicted.weight

    best = measured(predicted, draw=True).best_threshold

    assert best
    every = [theirs.f1_score(predicted.y, score >= t, sample_weight=weight) for t in score]
    assert best.f1 == pytest.approx(max(every))
    guessed = score >= best.threshold
    of = {"y_true": predicted.y, "y_pred": guessed, "sample_weight": weight}
    assert best.f1 == pytest.approx(theirs.f1_score(**of))
    assert best.precision == pytest.approx(theirs.precision_score(**of))
    assert best.recall == pytest.approx(theirs.recall_score(**of))
    assert best.accuracy == pytest.approx(theirs.accuracy_score(**of))


def test_curves_and_tables_have_at_most_100_points() -> None:
    """However many rows there are, a document stays small, and the ends of a curve are kept."""
    predicted = predictions(n_classes=2, rows=5000, digits=9)

    found = measured(predicted, draw=True)

    assert isinstance(found.curves, dict)
    curve = found.curves[NAMES[1]]
    assert 50 < len(curve.roc) <= MOST_POINTS
    assert 50 < len(curve.precision_recall) <= MOST_POINTS
    assert isinstance(found.thresholds, list)
    assert 50 < len(found.thresholds) <= MOST_POINTS
    assert curve.roc[-1].true_positive_rate == curve.roc[-1].false_positive_rate == 1
    assert curve.precision_recall[-1].recall == 1


def test_undefined_metric_is_null_and_warns_of_nothing() -> None:
    """Rows of one class, all predicted as it, have no ROC, correlation or precision of others."""
    y, P = np.zeros(5, np.intp), np.tile([0.9, 0.1], (5, 1))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measured(Predicted(y=y, P=P, weight=np.ones(5)), draw=True)

    assert (found.accuracy, found.balanced_accuracy) == (1, 1)
    assert found.roc_auc is found.average_precision is found.matthews_corrcoef is None
    assert found.per_class
    absent = found.per_class[NAMES[1]]
    assert absent.precision is absent.recall is absent.f1 is None
    assert found.macro.recall == 0.5
    assert found.curves
    assert found.curves[NAMES[1]].roc == []
    assert found.curves[NAMES[1]].precision_recall == []
    assert (found.thresholds, found.best_threshold) == ([], None)


def test_ranking_of_many_classes_is_null_when_one_is_absent() -> None:
    """The mean over classes is not that of the classes that happen to be there."""
    predicted = predictions(n_classes=3)
    there = predicted.y < 2

    found = measured(
        Predicted(y=predicted.y[there], P=predicted.P[there], weight=predicted.weight[there])
    )

    assert found.roc_auc is found.average_precision is None


def test_many_classes_leave_out_what_would_be_megabytes() -> None:
    """Beyond 100 classes there is no table by class, beyond 20 no curve."""
    found = measured(predictions(n_classes=101, rows=1010), draw=True)

    assert (found.per_class, found.confusion_matrix, found.curves) == (None, None, None)
    assert found.accuracy is not None
