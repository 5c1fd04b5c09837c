"""What training had not seen, told in every protocol."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from mlservice.model import Model
from mlservice.preparation import Column, Preparation, Texts
from mlservice.profile import profile_of
from mlservice.schemas import Feature
from mlservice.settings import Settings
from tests.support import Client, make_model, store_model

NUMBERS = [Feature(name="a"), Feature(name="b")]
MIXED = [Feature(name="a"), Feature(name="b", kind="text", categories=("x", "y"))]
INSIDE, OUTSIDE = [0.5, 0.5], [0.5, 7.0]
RANGE, CATEGORY = ("outside-range", "b"), ("unseen-category", "b")


def trained(features: list[Feature]) -> Model:
    """Return a model of two features: numbers of 0 to 1, or texts."""
    columns: list[Column] = [
        np.array([0.0, 1.0]) if feature.kind == "number" else Texts(("x", "y"), np.array([0, 1]))
        for feature in features
    ]
    width = 2 if features[1].kind == "number" else 3
    model = make_model(described=tuple(features), coef=[[1.0] * width])
    profile = profile_of(columns, Preparation(model.features), np.array([0, 1]), n_classes=2)
    return dataclasses.replace(model, profile=profile)


def matrix(*rows: list[float], **members: Any) -> dict[str, Any]:
    """Return an inference of rows of numbers."""
    tensor = {"name": "x", "shape": [len(rows), 2], "datatype": "FP64", "data": list(rows)}
    return {"inputs": [tensor | members]}


def tensors(number: float, text: str) -> dict[str, Any]:
    """Return an inference of one row, a tensor a feature."""
    one = {"name": "a", "shape": [1], "datatype": "FP64", "data": [number]}
    other = {"name": "b", "shape": [1], "datatype": "BYTES", "data": [text]}
    return {"inputs": [one, other]}


def remarks(answer: Any) -> list[tuple[str, str]]:
    """Return code and column of each warning, which stands beside the outputs of V2 as a text."""
    text = answer.get("parameters", {}).get("warnings")
    told = answer.get("warnings", []) if text is None else json.loads(text)
    return [(each["code"], each["column"]) for each in told]


@pytest.fixture
def service(client: Client, settings: Settings) -> tuple[Client, Settings]:
    """Return the service, and where its store is."""
    return client, settings


@pytest.mark.parametrize(
    ("is_text", "path", "body", "wanted"),
    [
        (False, "/v2/models/{}/infer", matrix(OUTSIDE), [RANGE]),
        (False, "/v2/models/{}/infer", matrix(INSIDE, OUTSIDE), [RANGE]),
        (False, "/v2/models/{}/infer", matrix(INSIDE), []),
        (False, "/v2/models/{}/infer", matrix(INSIDE, INSIDE), []),
        (True, "/v2/models/{}/infer", tensors(0.5, "z"), [CATEGORY]),
        (True, "/v2/models/{}/infer", tensors(0.5, "x"), []),
        (False, "/v1/models/{}:predict", {"instances": [OUTSIDE]}, [RANGE]),
        (False, "/v1/models/{}:predict", {"instances": [INSIDE]}, []),
        (False, "/v1/models/{}:predict", {"inputs": {"a": [0.5], "b": [7]}}, [RANGE]),
        (True, "/v1/models/{}:predict", {"instances": [[0.5, "z"]]}, [CATEGORY]),
        (False, "/v1/models/{}:classify", {"examples": [{"a": 0.5, "b": 7}]}, [RANGE]),
        (False, "/v1/models/{}:classify", {"examples": [{"a": 0.5, "b": 1}]}, []),
        (False, "/v1/models/{}:explain", {"instances": [OUTSIDE]}, [RANGE]),
        (False, "/v1/models/{}:explain", {"instances": [INSIDE]}, []),
        (False, "/models/{}/invocations", {"inputs": [OUTSIDE]}, [RANGE]),
        (False, "/models/{}/invocations", {"inputs": [INSIDE]}, []),
        (True, "/models/{}/invocations", {"dataframe_records": [{"a": 0, "b": "z"}]}, [CATEGORY]),
        (False, "/models/{}/predictions", [{"a": 0.5, "b": 7}], [RANGE]),
    ],
)
async def test_what_training_had_not_seen_is_told_where_the_protocol_has_room(
    service: tuple[Client, Settings], is_text: bool, path: str, body: Any, wanted: list[Any]
) -> None:
    """As a parameter of V2, as the member `warnings` of others; nothing where all is known."""
    client, settings = service
    model_id = await store_model(settings, trained(MIXED if is_text else NUMBERS))

    async with client.post(path.format(model_id), json=body) as response:
        answer = await response.json()

    assert response.status == 200
    assert remarks(answer) == wanted
    if not wanted:
        assert answer.keys().isdisjoint({"warnings", "parameters"})


async def test_an_answer_in_bytes_has_its_warnings_in_the_json(
    client: Client, settings: Settings
) -> None:
    """Outputs as bytes follow the JSON, whose parameters tell what was not seen, and where."""
    model_id = await store_model(settings, trained(NUMBERS))
    asked = matrix(INSIDE, OUTSIDE, OUTSIDE) | {"parameters": {"binary_data_output": True}}

    async with client.post(f"/v2/models/{model_id}/infer", json=asked) as response:
        body = await response.read()

    length = int(response.headers["Inference-Header-Content-Length"])
    [told] = json.loads(json.loads(body[:length])["parameters"]["warnings"])
    assert (told["code"], told["rows"], told["first"]) == ("outside-range", 2, 1)
