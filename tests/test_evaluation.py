"""What a training says of its model's worth."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from threadpoolctl import threadpool_limits

from mlservice.dataset import Dataset
from mlservice.errors import NumericalFailure
from mlservice.evaluation import Measured, Scores
from mlservice.intake import check
from mlservice.sent import unwrap
from mlservice.settings import Settings
from tests.support import Client, create, get, iris_columns, make_request, work
from workers.evaluation import Predictor, evaluate
from workers.parting import fit_rows
from workers.training import Trained, train


def train_iris(**evaluation: Any) -> Trained:
    """Train on iris as a worker does."""
    body = json.dumps(make_request(evaluation=evaluation)).encode()
    with threadpool_limits(1):
        return train(body, Settings())


def metrics_of(trained: Trained) -> Measured:
    """Return what was measured."""
    assert trained.description.metrics
    return trained.description.metrics


def iris() -> tuple[Any, Any]:
    """Return iris as scikit-learn's user has it."""
    columns = iris_columns()
    y = np.array(columns.pop("species"))
    return np.array(list(columns.values())).T.copy(), y


def fit(X: Any, y: Any) -> LogisticRegression:
    """Fit as `make_request` asks for."""
    with threadpool_limits(1):
        return LogisticRegression(max_iter=1000).fit(X, y)


def test_test_part_is_what_train_test_split_holds_out() -> None:
    """The numbers are those of scikit-learn's user who holds out a stratified quarter."""
    X, y = iris()
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )

    measured = metrics_of(train_iris())

    oracle = fit(X_train, y_train)
    assert measured.test
    assert (measured.train.rows, measured.test.rows) == (112, 38)
    assert measured.test.accuracy == oracle.score(X_test, y_test)
    assert measured.test.log_loss == pytest.approx(log_loss(y_test, oracle.predict_proba(X_test)))
    assert measured.test.roc_auc == measured.test.average_precision == 1.0
    assert measured.train.accuracy == oracle.score(X_train, y_train)
    assert measured.cross_validation is None


def test_baseline_is_the_dummy_classifiers() -> None:
    """The baseline stands beside the test part, fitted on the training part."""
    X, y = iris()
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )

    baseline = metrics_of(train_iris()).baseline

    dummy = DummyClassifier(strategy="prior").fit(X_train, y_train)
    assert baseline.measured_on == "test"
    assert baseline.accuracy == dummy.score(X_test, y_test)
    assert baseline.log_loss == pytest.approx(log_loss(y_test, dummy.predict_proba(X_test)))
    assert baseline.roc_auc == 0.5
    assert baseline.matthews_corrcoef is None


def test_cross_validation_is_scikit_learns() -> None:
    """Each row is predicted by the model of the fold that had not seen it."""
    X, y = iris()
    folds = StratifiedKFold(5, shuffle=True, random_state=3)

    measured = metrics_of(train_iris(test_size=0, folds=5, random_state=3))

    with threadpool_limits(1):
        P = cross_val_predict(
            LogisticRegression(max_iter=1000), X, y, cv=folds, method="predict_proba"
        )
    found = measured.cross_validation
    assert found
    assert found.rows == 150
    assert found.log_loss == pytest.approx(log_loss(y, P))
    by_fold = [log_loss(y[rows], P[rows], labels=np.unique(y)) for _, rows in folds.split(X, y)]
    assert [each.log_loss for each in found.folds] == pytest.approx(by_fold)
    assert found.mean.log_loss == pytest.approx(np.mean(by_fold))
    assert found.std.log_loss == pytest.approx(np.std(by_fold))
    assert found.curves
    assert measured.test is None
    assert measured.baseline.measured_on == "cross_validation"


def test_kept_model_is_fitted_on_all_rows_unless_told_otherwise() -> None:
    """With `refit` the coefficients are of all rows, without it of the training part."""
    X, y = iris()
    X_train, _, y_train, _ = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

    kept, part = train_iris(), train_iris(refit=False)

    assert kept.model.coef.tobytes() == fit(X, y).coef_.tobytes()
    assert part.model.coef == pytest.approx(fit(X_train, y_train).coef_, rel=1e-6)
    assert metrics_of(kept) == metrics_of(part)


def test_without_any_part_the_metrics_are_of_the_training_rows() -> None:
    """`test_size` 0 measures the kept model on what it was fitted on."""
    X, y = iris()

    measured = metrics_of(train_iris(test_size=0))

    assert measured.train.rows == 150
    assert measured.train.log_loss == pytest.approx(log_loss(y, fit(X, y).predict_proba(X)))
    assert measured.test is measured.cross_validation is None
    assert measured.baseline.measured_on == "train"


def test_score_that_a_fold_has_not_is_null_over_the_folds() -> None:
    """A fold without a class has no ROC, and so the mean has none."""
    data = {"x": list(range(20)), "day": list(range(20)), "y": [0, 1] * 5 + [1] * 10}
    body = {"data": data, "target": "y", "evaluation": {"order": "day", "folds": 2, "test_size": 0}}

    measured = train(json.dumps(body).encode(), Settings()).description.metrics

    assert measured
    assert measured.cross_validation
    assert measured.cross_validation.mean.roc_auc is None
    assert measured.cross_validation.mean.accuracy is not None


def folds_by_process(processes: int) -> tuple[Measured, list[int]]:
    """Evaluate iris by five folds; return what was measured, and the folds fitted here."""
    stored = json.dumps(make_request(evaluation={"test_size": 0, "folds": 5})).encode()
    _, dataset = check(unwrap(stored), Settings())
    here: list[int] = []

    def fit_and_note(dataset: Dataset, rows: NDArray[np.intp]) -> Predictor:
        here.append(len(rows))
        return fit_rows(dataset, rows)

    with threadpool_limits(1):
        predict = fit_rows(dataset, np.arange(150))
        return evaluate(dataset, None, predict, fit_and_note, processes=processes), here


def test_folds_side_by_side_are_measured_as_one_after_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Processes that are forked for them fit each, and every number is the same to the last bit."""
    alone, fitted_alone = folds_by_process(1)
    small, fitted_small = folds_by_process(2)
    monkeypatch.setattr("workers.evaluation._LARGE", 1)

    together, fitted_together = folds_by_process(2)

    assert (fitted_alone, fitted_small, fitted_together) == ([120] * 5, [120] * 5, [])
    assert alone == small == together


def test_a_fold_that_cannot_be_fitted_fails_side_by_side_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What no process could fit is fitted here, and its failure is the training's."""
    monkeypatch.setattr("workers.evaluation._LARGE", 1)
    request = make_request(evaluation={"test_size": 0, "folds": 5}, params={"solver": "lbfgs"})
    _, dataset = check(unwrap(json.dumps(request).encode()), Settings())

    def fail(_: Dataset, rows: NDArray[np.intp]) -> Predictor:
        raise NumericalFailure(f"None of {len(rows)} rows.")

    with threadpool_limits(1), pytest.raises(NumericalFailure, match="None of 120 rows"):
        evaluate(dataset, None, fit_rows(dataset, np.arange(150)), fail, processes=2)


async def test_document_has_the_metrics(client: Client, settings: Settings) -> None:
    """A ready model's document says how it is measured and what was found, never NaN."""
    model_id = await create(client, make_request(evaluation={"folds": 3}))
    queued = await get(client, f"/models/{model_id}")
    await work(settings)

    document = await get(client, f"/models/{model_id}")

    assert queued["metrics"] is None
    assert queued["evaluation"] == document["evaluation"]
    assert document["evaluation"]["test_size"] == 0.25
    assert document["state"] == "ready"
    metrics = document["metrics"]
    assert metrics.keys() == {"train", "test", "cross_validation", "baseline"}
    assert metrics["test"]["accuracy"] > 0.9 > metrics["baseline"]["accuracy"]
    assert metrics["test"].keys() >= {*Scores.__struct_fields__, "confusion_matrix", "per_class"}
    assert metrics["test"]["curves"].keys() == set(document["classes"])
    msgspec.convert(metrics, Measured)


async def test_evaluation_that_cannot_be_made_is_refused_before_it_is_queued(
    client: Client,
) -> None:
    """More folds than rows of a class are told at once."""
    body = {"data": {"x": [1, 2], "y": [0, 1]}, "target": "y", "evaluation": {"folds": 2}}

    async with client.post("/models", json=body) as response:
        problem = await response.json()

    assert response.status == 422
    assert problem["type"] == "/problems/invalid-evaluation"
    assert problem["errors"][0]["pointer"] == "/evaluation/folds"
    assert (await get(client, "/models"))["models"] == []


async def test_large_numbers_in_parting_columns_are_told_by_row(client: Client) -> None:
    """An order of integers beyond float64 is refused as any other column of them."""
    data = {"x": [1, 2, 3, 4], "day": [10**400, 1.5, -(10**400), 0], "y": [0, 1, 0, 1]}
    body = {"data": data, "target": "y", "evaluation": {"order": "day"}}

    async with client.post("/models", json=body) as response:
        problem = await response.json()

    assert response.status == 422
    assert [each["pointer"] for each in problem["errors"]] == ["/data/day/0", "/data/day/2"]
