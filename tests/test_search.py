"""A search: the scores are scikit-learn's, and the best point is kept."""

import io
import json
import math
import warnings
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from redis import Redis
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mlservice.errors import NumericalFailure
from mlservice.schemas import Description
from mlservice.search import Scoring, SearchDocument
from mlservice.settings import Settings
from tests.support import Client, create, get, make_request, work
from workers.training import Trained, train

ROWS = 90
GRID: dict[str, Any] = {"C": [0.05, None], "class_weight": [None, "balanced"]}
TWO_CLASSES = {"roc_auc", "average_precision", "precision", "recall", "f1"}


def samples(*, n_classes: int) -> tuple[Any, Any]:
    """Return rows of three columns, and overlapping classes of different sizes."""
    random = np.random.default_rng(n_classes)
    X = random.normal(size=(ROWS, 3))
    ranks = (X @ [1.0, -2.0, 0.5] + 2 * random.normal(size=ROWS)).argsort().argsort()
    return X, (ranks > ROWS // 3).astype(int) + (n_classes > 2) * (ranks > 70)


def search_on(
    X: Any,
    y: Any,
    search: dict[str, Any],
    processes: int = 1,
    members: dict[str, Any] | None = None,
) -> Trained:
    """Train on a matrix with a search."""
    data = {name: X[:, i].tolist() for i, name in enumerate("abc")} | {"y": y.tolist()}
    data = {
        name: [None if cell != cell else cell for cell in cells]  # noqa: PLR0124  # NaN
        for name, cells in data.items()
    }
    body = {"data": data, "target": "y", "search": search} | (members or {})
    with threadpool_limits(1):
        return train(json.dumps(body).encode(), Settings(search_processes=processes))


def document_of(trained: Trained) -> SearchDocument:
    """Return what was searched, and found."""
    assert trained.description.search
    return trained.description.search


def codes(trained: Trained | Description) -> list[str]:
    """Return the codes of the warnings."""
    described = trained.description if isinstance(trained, Trained) else trained
    return [each.code for each in described.warnings]


def scikit_learn(X: Any, y: Any, grid: dict[str, Any], **options: Any) -> GridSearchCV:
    """Search as scikit-learn's user would, on the same folds."""
    grid = grid | {"C": [math.inf if C is None else C for C in grid["C"]]}
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        searched = GridSearchCV(LogisticRegression(), grid, cv=folds, refit=False, **options)
        return searched.fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_are_those_of_grid_search(n_classes: int) -> None:
    """Each score of each fold, their mean and std, and the best point are `GridSearchCV`'s."""
    X, y = samples(n_classes=n_classes)
    names = [name for name in get_args(Scoring) if n_classes == 2 or name not in TWO_CLASSES]
    oracle = scikit_learn(X, y, GRID, scoring=names).cv_results_

    for scoring in names:
        search = GRID | {"folds": 4, "scoring": scoring}
        found = document_of(search_on(X, y, search, members={"evaluation": {"test_size": 0}}))

        assert found.points
        for i, point in enumerate(found.points):
            expected = [oracle[f"split{fold}_test_{scoring}"][i] for fold in range(4)]
            assert point.scores == pytest.approx(expected, rel=1e-12, abs=1e-12)
            assert point.mean == pytest.approx(oracle[f"mean_test_{scoring}"][i], rel=1e-12)
            assert point.std == pytest.approx(oracle[f"std_test_{scoring}"][i], rel=1e-12)
        assert found.best_score == pytest.approx(oracle[f"mean_test_{scoring}"].max(), rel=1e-12)
        assert found.points[found.best_index or 0].mean == found.best_score


def test_preparation_is_learnt_within_each_fold() -> None:
    """Fill values and scales come from a fold's own rows, as in a pipeline."""
    X, y = samples(n_classes=2)
    X[::7, 1] = np.nan
    preprocessing = {"impute": "mean", "scale": "standard"}
    parts = {"preprocessing": preprocessing, "evaluation": {"test_size": 0}}

    found = document_of(search_on(X, y, {"C": [0.1]}, members=parts))

    steps = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=0.1))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    with threadpool_limits(1):
        oracle = cross_val_score(steps, X, y, cv=folds, scoring="neg_log_loss")
    assert found.points
    assert found.points[0].scores == pytest.approx(oracle, rel=1e-12)


def test_search_in_order_never_looks_ahead() -> None:
    """With `order` the folds are those of `TimeSeriesSplit` on the rows before the test part."""
    X, y = samples(n_classes=2)
    evaluation = {"order": "c", "test_size": 0.2}

    found = document_of(search_on(X, y, {"C": [1], "folds": 3}, members={"evaluation": evaluation}))

    first = X[:, 2].argsort()[:72]
    with threadpool_limits(1):
        oracle = cross_val_score(
            LogisticRegression(),
            X[first, :2],
            y[first],
            cv=TimeSeriesSplit(3),
            scoring="neg_log_loss",
        )
    assert found.points
    assert found.points[0].scores == pytest.approx(oracle, rel=1e-12)


def test_held_out_rows_measure_the_best_point() -> None:
    """The search sees the training part only; what it found is then fitted on all rows."""
    X, y = samples(n_classes=3)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )

    trained = search_on(X, y, {"C": [0.01, 0.1, 1, 10], "folds": 4})

    with threadpool_limits(1):
        oracle = scikit_learn(X_train, y_train, {"C": [0.01, 0.1, 1, 10]}, scoring="neg_log_loss")
        best = LogisticRegression(**oracle.best_params_)
        kept = LogisticRegression(**oracle.best_params_).fit(X, y)
        loss = log_loss(y_test, best.fit(X_train, y_train).predict_proba(X_test))
    found = document_of(trained)
    assert found.best_params == oracle.best_params_
    assert found.best_score == pytest.approx(oracle.best_score_, rel=1e-12)
    assert trained.model.params["C"] == oracle.best_params_["C"]
    assert trained.description.params == trained.model.params
    assert trained.model.coef.tobytes() == kept.coef_.tobytes()
    assert trained.description.metrics
    assert trained.description.metrics.test
    assert trained.description.metrics.test.log_loss == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("preprocessing", [{}, {"scale": "standard"}])
def test_fits_side_by_side_find_the_same(preprocessing: dict[str, Any]) -> None:
    """Whatever runs beside a fit, it is the same to the last bit."""
    X, y = samples(n_classes=3)
    search = {"C": [0.01, 1, 100], "solver": ["lbfgs", "saga", "newton-cholesky"]}

    alone, together = (search_on(X, y, search, n, {"preprocessing": preprocessing}) for n in (1, 3))

    assert document_of(alone) == document_of(together)
    assert alone.model.coef.tobytes() == together.model.coef.tobytes()


def test_weights_count_in_fits_and_scores() -> None:
    """Rows of weight 0 change neither the coefficients nor the scores."""
    X, y = samples(n_classes=2)
    X[:, 2] = [1.0, 2.0] * (ROWS // 2)
    weight = {"sample_weight": "c", "evaluation": {"test_size": 0}}

    found = document_of(search_on(X, y, {"C": [1], "folds": 4}, members=weight))

    expected = []
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    for fitted, measured in folds.split(X, y):
        with threadpool_limits(1):
            model = LogisticRegression().fit(X[fitted, :2], y[fitted], X[fitted, 2])
        P = model.predict_proba(X[measured, :2])
        expected.append(-log_loss(y[measured], P, sample_weight=X[measured, 2]))
    assert found.points
    assert found.points[0].scores == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("C", [[100, 1, 10], [None, 1]])
def test_of_equal_scores_the_stronger_penalty_is_better(C: list[Any]) -> None:
    """Where every point tells all rows right, the smallest C is chosen."""
    X = np.repeat([[-5.0, 0, 0], [5.0, 0, 0]], ROWS // 2, axis=0)
    y = (X[:, 0] > 0).astype(int)

    found = document_of(search_on(X, y, {"C": C, "scoring": "accuracy"}))

    assert found.best_score == 1
    assert found.best_params == {"C": 1}


def test_points_without_a_score_are_told_and_not_chosen() -> None:
    """A point that fails on a fold stands in the path with the reason."""
    X, y = samples(n_classes=2)
    X[:, 0] *= 1e40

    trained = search_on(X, y, {"solver": ["liblinear", "lbfgs"]})

    found = document_of(trained)
    assert found.points
    failed, scored = found.points
    assert failed.scores == [None] * 5
    assert "scikit-learn says" in str(failed.error)
    assert (failed.mean, scored.error, found.best_index) == (None, None, 1)
    assert "search-failed" in codes(trained)


def test_search_without_any_score_fails() -> None:
    """Folds of one class have no ROC, whatever the parameters."""
    X, y = samples(n_classes=2)
    y = np.array([0, 1] * 10 + [1] * (ROWS - 20))
    X[:, 2] = np.arange(ROWS)
    search = {"C": [1, 2], "folds": 2, "scoring": "roc_auc"}

    with pytest.raises(NumericalFailure, match="none of 2 has; the first: The score is not"):
        search_on(X, y, search, members={"evaluation": {"order": "c", "test_size": 0}})


def test_points_that_did_not_converge_are_told() -> None:
    """The path says which, and a warning how many."""
    X, y = samples(n_classes=2)

    trained = search_on(
        X, y, {"solver": ["newton-cholesky", "lbfgs"]}, members={"params": {"max_iter": 6}}
    )

    points = document_of(trained).points
    assert points
    assert [point.converged for point in points] == [True, False]
    assert points[1].n_iter == [6] * 5
    assert "search-not-converged" in codes(trained)


def test_best_at_the_end_of_the_line_is_told() -> None:
    """When the largest C is the best, a larger one may be better."""
    X, y = samples(n_classes=2)

    trained = search_on(X, y, {"C": [1e-6, 1e-5, 1e-4]})

    assert document_of(trained).best_index == 2
    assert "search-at-end" in codes(trained)


def test_cross_validation_after_a_search_is_said_to_be_optimistic() -> None:
    """The rows that chose the parameters cross-validate them too."""
    X, y = samples(n_classes=2)

    trained = search_on(X, y, {"C": [1]}, members={"evaluation": {"folds": 3}})

    assert "optimistic-cross-validation" in codes(trained)
    assert trained.description.metrics
    assert trained.description.metrics.cross_validation


def test_progress_counts_the_fits() -> None:
    """The phase `search` comes first, with what is done of how much."""
    X, y = samples(n_classes=2)
    data = {"a": X[:, 0].tolist(), "y": y.tolist()}
    body = {"data": data, "target": "y", "search": {"C": [1, 2], "folds": 3}}
    told: list[tuple[str, dict[str, float]]] = []

    def tell(phase: str, **done: float) -> None:
        told.append((phase, done))

    train(json.dumps(body).encode(), Settings(search_processes=1), tell)

    assert told[:7] == [("search", {"fit": i, "fits": 6}) for i in range(7)]
    assert told[7] == ("fitting", {})


async def test_document_has_the_search(client: Client, settings: Settings) -> None:
    """Queued, what was asked; ready, every point, in a form that is declared."""
    model_id = await create(client, make_request(search={"C": [0.1, 1, 10]}))
    queued = await get(client, f"/models/{model_id}")
    await work(settings)

    document = await get(client, f"/models/{model_id}")

    assert queued["search"]["asked"]["C"] == [0.1, 1, 10]
    assert queued["search"]["fits"] == 15
    assert queued["search"]["points"] is None
    assert "C" not in queued["params"]
    assert queued["params"]["max_iter"] == 1000
    assert document["state"] == "ready", document["error"]
    found = msgspec.convert(document["search"], SearchDocument)
    assert len(found.points or ()) == 3
    assert document["params"]["C"] == document["search"]["best_params"]["C"]


async def test_csv_has_its_search_in_the_query(client: Client, settings: Settings) -> None:
    """Names that are repeated are the values of a list."""
    rows = "".join(f"{i},{'ab'[i % 3 == 0]}\n" for i in range(40))
    path = "/models?target=y&search.C=0.1&search.C=null&search.class_weight=balanced&search.folds=3"

    headers = {"Content-Type": "text/csv"}
    async with client.post(path, data="x,y\n" + rows, headers=headers) as response:
        queued = await response.json()
    await work(settings)

    assert response.status == 202, queued
    document = await get(client, f"/models/{queued['id']}")
    assert document["state"] == "ready", document["error"]
    assert [point["params"] for point in document["search"]["points"]] == [
        {"C": 0.1, "class_weight": "balanced"},
        {"C": None, "class_weight": "balanced"},
    ]


async def test_options_of_a_search_are_checked_before_a_large_body(
    client: Client, redis: "Redis"
) -> None:
    """What contradicts itself in the query is refused, however large the table is."""
    body = io.BytesIO(b"x,y\n" + b"1,2\n" * (1 << 19))
    path = "/models?target=y&search.C.low=1&search.C.high=2"

    headers = {"Content-Type": "text/csv"}
    async with client.post(path, data=body, headers=headers) as response:
        problem = await response.json()

    assert (response.status, problem["type"]) == (422, "/problems/invalid-search")
    assert "must be a list with a grid" in problem["errors"][0]["detail"]
    assert list(redis.scan_iter()) == []


async def test_search_that_cannot_be_made_is_refused_before_it_is_queued(
    client: Client, redis: "Redis"
) -> None:
    """The problem names the point, and nothing is stored."""
    body = make_request(search={"solver": ["lbfgs", "liblinear"]})

    async with client.post("/models", json=body) as response:
        problem = await response.json()

    assert (response.status, problem["type"]) == (422, "/problems/invalid-search")
    assert problem["errors"][0]["detail"].startswith('Point 1 (solver "liblinear")')
    assert list(redis.scan_iter()) == []


async def test_dry_run_counts_the_fits(client: Client) -> None:
    """A client hears of 252 fits before it asks for them."""
    search = {"C": list(range(1, 26)), "l1_ratio": [0, 0.5], "solver": ["saga"]}

    async with client.post("/models?dry_run=true", json=make_request(search=search)) as response:
        told = await response.json()

    assert response.status == 200, told
    assert told["search"]["fits"] == 250
    assert told["fits"] == 252
