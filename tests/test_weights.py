"""Rows that count more, less, or nothing."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from mlservice.errors import InvalidEvaluation, InvalidTable
from mlservice.settings import Settings
from tests.support import Client, create, get, make_request, work
from workers.training import Trained, train

ROWS = 60


def table(weights: list[Any] | None = None) -> dict[str, list[Any]]:
    """Return rows of two overlapping classes, with weights."""
    random = np.random.default_rng(0)
    x = random.normal(size=ROWS)
    y = (x + random.normal(size=ROWS) > 0).astype(int)
    weights = random.integers(0, 4, ROWS).tolist() if weights is None else weights
    return {"x": x.tolist(), "w": weights, "y": y.tolist()}


def train_weighted(data: Any, **members: Any) -> Trained:
    """Train with the column `w` as weights."""
    body = {"data": data, "target": "y", "sample_weight": "w"} | members
    with threadpool_limits(1):
        return train(json.dumps(body).encode(), Settings())


def refusal(weights: list[Any], **members: Any) -> str:
    """Return the words that a column of weights is refused with."""
    with pytest.raises(InvalidTable) as refused:
        train_weighted(table(weights), **members)
    [fault] = refused.value.errors
    assert fault.pointer == "/sample_weight"
    return fault.detail


def test_fit_and_metrics_are_scikit_learns_with_the_same_weights() -> None:
    """The weights reach `fit` and the metrics, and their column is no feature."""
    data = table()
    X, y, weight = np.array(data["x"])[:, None], np.array(data["y"]), np.array(data["w"], float)

    trained = train_weighted(data, evaluation={"test_size": 0})

    with threadpool_limits(1):
        oracle = LogisticRegression().fit(X, y, sample_weight=weight)
    assert trained.model.coef.tobytes() == oracle.coef_.tobytes()
    assert [feature.name for feature in trained.model.features] == ["x"]
    assert trained.description.metrics
    assert trained.description.metrics.train.log_loss == pytest.approx(
        log_loss(y, oracle.predict_proba(X), sample_weight=weight)
    )


def test_parts_are_weighted_too() -> None:
    """Each fold is fitted and measured with its rows' weights."""
    trained = train_weighted(table(), evaluation={"folds": 3})

    metrics = trained.description.metrics
    assert metrics
    assert metrics.test
    assert metrics.test.per_class
    assert sum(each.support for each in metrics.test.per_class.values()) != metrics.test.rows
    assert metrics.cross_validation


def test_weighted_fit_has_no_inference() -> None:
    """Whether weights are frequencies or importances, only their sender knows."""
    described = train_weighted(table(), params={"C": None}).description

    assert described.inference is None
    assert "no-inference" in [warning.code for warning in described.warnings]


def test_weights_change_the_digest() -> None:
    """Other weights are other data."""
    first, second = (
        train_weighted(table([weight] * ROWS)).model.provenance["data_digest"] for weight in (1, 2)
    )

    assert first != second


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (-1, "negative"),
        (None, "missing"),
        ("1", "text"),
        ([1], "a list"),
        (10**400, "larger"),
        (1e101, "larger"),
    ],
)
def test_weight_that_is_none_is_refused(wrong: Any, words: str) -> None:
    """Negative, missing, text and numbers too large are told with their row."""
    weights = [1.0] * ROWS
    weights[7] = wrong

    with pytest.raises(InvalidTable) as refused:
        train_weighted(table(weights))

    [fault] = refused.value.errors
    assert fault.pointer == "/data/w/7"
    assert fault.detail == f"Row 7 of 'w' must be a weight from 0 to 1e+100, it is {words}."


@pytest.mark.parametrize("form", ["application/json", "text/csv"])
async def test_all_that_is_wrong_with_weights_parts_and_columns_is_told_at_once(
    client: Client, form: str
) -> None:
    """Each cell with its row and column, and its line where there are lines."""
    options = {"target": "y", "sample_weight": "w", "evaluation": {"group": "who"}}
    columns: dict[str, list[Any]] = {
        "x": [1, 2, 3, 4],
        "w": [1, None, -2, 1],
        "who": ["a", "b", None, "c"],
        "y": ["n", "y", "n", None],
    }
    if form == "text/csv":
        rows = zip(*columns.values(), strict=True)
        lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
        response = await client.post(
            "/models?target=y&sample_weight=w&evaluation.group=who",
            data="\n".join([",".join(columns), *lines]),
            headers={"Content-Type": form},
        )
    else:
        response = await client.post("/models", json={"data": columns, **options})

    problem = await response.json()

    assert response.status == 422
    assert problem["type"] == "/problems/invalid-table"
    places = [(each["pointer"], each.get("line")) for each in problem["errors"]]
    assert places == [
        (f"/data/{name}/{row}", row + 2 if form == "text/csv" else None)
        for name, row in [("y", 3), ("who", 2), ("w", 1), ("w", 2)]
    ]


def test_class_without_weight_is_refused() -> None:
    """A class none of whose rows counts cannot be learnt."""
    weights = [float(label) for label in table()["y"]]

    assert refusal(weights) == "Each class must have a row with a weight above 0, 0 has none."


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"sample_weight": "z"}, "must be a column of the table"),
        ({"sample_weight": "y"}, "must be a column of its own"),
        ({"sample_weight": "w", "evaluation": {"order": "w"}}, "must be a column of its own"),
    ],
)
def test_column_of_weights_is_one_of_its_own(members: dict[str, Any], words: str) -> None:
    """It is there, and is neither the target nor parts the rows."""
    assert words in refusal([1] * ROWS, **members)


def test_rows_that_count_nothing_make_no_part() -> None:
    """A test part whose rows have no weight is refused, for nothing can be measured on it."""
    data = table([1.0] * 40 + [0.0] * 20) | {"day": list(range(ROWS))}

    with pytest.raises(InvalidEvaluation, match="no row that counts"):
        train_weighted(data, evaluation={"order": "day", "test_size": 0.25})


async def test_document_names_the_column_of_weights(client: Client, settings: Settings) -> None:
    """`sample_weight` stands in the document as it was asked for."""
    body = make_request(data=table(), target="y", sample_weight="w")
    model_id = await create(client, body)
    await work(settings)

    document = await get(client, f"/models/{model_id}")

    assert document["state"] == "ready"
    assert document["sample_weight"] == "w"
    assert [feature["name"] for feature in document["features"]] == ["x"]
