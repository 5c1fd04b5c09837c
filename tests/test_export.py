"""A model in other languages' words answers as the service does."""

import json
import sqlite3
from typing import Any

import msgspec
import numpy as np
import pytest

from mlservice.export import to_json, to_python, to_sql
from mlservice.model import Model
from mlservice.scoring import pipeline
from mlservice.settings import Settings
from tests.support import Client, create, get, make_model, make_request, store_model
from workers.training import train

# scikit-learn says so of a category that was not seen, where the first has no column.
pytestmark = pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")

ODD = "o\"d'd; --"


def mixed(n_classes: int, **preprocessing: str) -> Model:
    """Return a model of numbers with gaps and texts, with names that need quoting."""
    generator = np.random.default_rng(n_classes)
    rows = 120
    numbers = generator.normal(size=rows).round(3).tolist()
    gaps = [None if i % 7 == 0 else float(i % 5) for i in range(rows)]
    texts = [[ODD, "b", None, "c\nd"][i % 4] for i in range(rows)]
    target = generator.integers(0, n_classes, rows).tolist()
    data = {"n": numbers, ODD: gaps, "t": texts, "y": [f"it's {each}" for each in target]}
    request = {"data": data, "target": "y", "preprocessing": preprocessing}
    return train(msgspec.json.encode(request), Settings()).model


ROWS: list[dict[str, Any]] = [
    {"n": 0.5, ODD: 1.0, "t": "b"},
    {"n": -1.5, ODD: None, "t": ODD},
    {"n": 3.0, ODD: 4.0, "t": None},
    {"n": 0.0, ODD: 0.0, "t": "c\nd"},
    {"n": 1e3, ODD: -1e3, "t": "never seen"},
]
MODELS = [mixed(2), mixed(3), mixed(3, scale="standard"), mixed(2, encode="reference")]


def _oracle(model: Model) -> tuple[list[Any], Any]:
    """Return what the fitted scikit-learn pipeline says of the rows."""
    fitted: Any = pipeline(model)
    X = np.array([[row[f.name] for f in model.features] for row in ROWS], dtype=object)
    return fitted.predict(X).tolist(), fitted.predict_proba(X)


@pytest.mark.parametrize("model", MODELS)
def test_the_python_module_predicts_the_same(model: Model) -> None:
    """Run by itself, the module gives the same classes and probabilities."""
    module: dict[str, Any] = {}
    exec(to_python(model), module)  # noqa: S102  # what a user does by importing it
    labels, probabilities = _oracle(model)

    answers = [module["predict"](row) for row in ROWS]

    assert [label for label, _ in answers] == labels
    assert np.abs(np.array([shares for _, shares in answers]) - probabilities).max() < 1e-12


@pytest.mark.parametrize("model", MODELS)
def test_the_query_predicts_the_same(model: Model) -> None:
    """On SQLite, over a table with the features as columns."""
    names = [feature.name for feature in model.features]
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    with sqlite3.connect(":memory:") as database:
        database.row_factory = sqlite3.Row
        database.execute(f"CREATE TABLE samples ({columns})")
        database.executemany(
            "INSERT INTO samples VALUES (?, ?, ?)", [[row[name] for name in names] for row in ROWS]
        )
        answers = database.execute(to_sql(model)).fetchall()
    database.close()
    labels, probabilities = _oracle(model)

    shares = [[answer[f"probability_{label}"] for label in model.classes] for answer in answers]
    assert [answer["prediction"] for answer in answers] == labels
    assert np.abs(np.array(shares) - probabilities).max() < 1e-12


def test_a_query_of_many_features_stays_within_a_databases_depth() -> None:
    """Thousands of terms are added as a tree, not as a chain."""
    names = tuple(f"f{i}" for i in range(1500))
    model = make_model(features=names, coef=[[0.001] * 1500], intercept=[0.0])
    with sqlite3.connect(":memory:") as database:
        database.execute(f"CREATE TABLE samples ({', '.join(names)})")
        database.execute(f"INSERT INTO samples VALUES ({', '.join(['1'] * 1500)})")

        answer = database.execute(to_sql(model)).fetchall()[0]
    database.close()

    assert answer[-1] == pytest.approx(1 / (1 + np.exp(-1.5)), abs=1e-12)


def _queried(model: Model, *values: float) -> list[Any]:
    """Return what the query gives for one row of a table that has the features as columns."""
    names = ", ".join(f'"{feature.name}"' for feature in model.features)
    with sqlite3.connect(":memory:") as database:
        database.execute(f"CREATE TABLE samples ({names})")
        database.execute(f"INSERT INTO samples VALUES ({', '.join(map(str, values))})")
        cursor = database.execute(to_sql(model))
        columns = [column[0] for column in cursor.description]
        [answer] = cursor.fetchall()
    database.close()
    assert len(set(map(str.lower, columns))) == len(columns)
    return list(answer)


def test_a_query_of_many_classes_takes_no_minutes() -> None:
    """A database that puts each step into the next would write each score millions of times."""
    coef = np.random.default_rng(0).normal(size=(60, 1))
    classes = tuple(f"c{i:02}" for i in range(60))
    model = make_model(features=("a",), classes=classes, coef=coef.tolist(), intercept=[0.0] * 60)

    shares = _queried(model, 1.5)[-60:]

    expected = pipeline(model).predict_proba(np.array([[1.5]]))[0]
    assert np.abs(np.array(shares) - expected).max() < 1e-12


@pytest.mark.parametrize("name", ["mls_score_0", "MLS__total", "Prediction", "probability_no"])
def test_a_feature_may_have_the_name_of_a_column_of_the_query(name: str) -> None:
    """The query's own columns have names that no feature has, whatever its case."""
    model = make_model(
        features=(name, "b"), classes=("no", "yes"), coef=[[0.5, -1.0]], intercept=[0.25]
    )

    answer = _queried(model, 3.0, 1.0)

    expected = pipeline(model).predict_proba(np.array([[3.0, 1.0]]))[0]
    assert answer[-3] == "yes"
    assert np.abs(np.array(answer[-2:]) - expected).max() < 1e-12


@pytest.mark.parametrize("model", MODELS)
def test_the_json_document_is_enough_to_score_by_hand(model: Model) -> None:
    """Intercept, coefficients and fill values add up to the same log-odds."""
    document = json.loads(to_json(model))
    fitted: Any = pipeline(model)
    X = np.array([[row[f.name] for f in model.features] for row in ROWS], dtype=object)

    found = []
    for row in ROWS:
        score = np.array(document["intercept"])
        for name, number in document["numbers"].items():
            value = number["fill"] if row[name] is None else row[name]
            score = score + np.array(number["coef"]) * value
        for name, weights in document["texts"].items():
            score = score + np.array(weights.get(row[name] or "", 0.0))
        found.append(score)

    expected = fitted.decision_function(X).reshape(len(ROWS), -1)
    assert np.allclose(np.array(found), expected, rtol=1e-12, atol=1e-9)
    assert document["link"] == ("logit" if len(document["intercept"]) == 1 else "softmax")


@pytest.mark.parametrize(
    ("chosen", "media_type"),
    [
        ("json", "application/json"),
        ("onnx", "application/octet-stream"),
        ("python", "text/x-python"),
        ("sql", "application/sql"),
    ],
)
async def test_an_export_is_a_file_of_its_kind(
    client: Client, settings: Settings, chosen: str, media_type: str
) -> None:
    """Each format has its media type and a name for the file."""
    model_id = await store_model(settings, make_model())

    response = await client.get(f"/models/{model_id}/export?format={chosen}")

    assert response.status == 200
    assert response.content_type == media_type
    assert model_id in response.headers["Content-Disposition"]


@pytest.mark.parametrize("query", ["", "?format=xml", "?format=json&x=1", "?fmt=json"])
async def test_another_format_is_refused_with_those_that_there_are(
    client: Client, settings: Settings, query: str
) -> None:
    """422 that names the formats."""
    model_id = await store_model(settings, make_model())

    response = await client.get(f"/models/{model_id}/export{query}")

    assert response.status == 422
    assert "json|onnx|python|sql" in (await response.json())["detail"]


async def test_a_parameter_that_an_export_has_not_is_named(
    client: Client, settings: Settings
) -> None:
    """The fault is where it is, and what cannot be decoded is malformed."""
    model_id = await store_model(settings, make_model())

    more = await get(client, f"/models/{model_id}/export?format=json&x=1")
    broken = await get(client, f"/models/{model_id}/export?format=%FF")

    assert more["errors"][0]["parameter"] == "x"
    assert "it is 'format=json&x=1'" in more["detail"]
    assert broken["type"] == "/problems/malformed-query"


async def test_a_queued_model_has_no_export(client: Client) -> None:
    """Before it is ready there is nothing to write."""
    model_id = await create(client, make_request())

    assert (await get(client, f"/models/{model_id}/export?format=sql"))["status"] == 409
