"""A model as ONNX answers as the service does, by onnxruntime."""

import json
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from mlservice.model import Model
from mlservice.onnx import to_onnx
from mlservice.schemas import Feature
from mlservice.scoring import Scorer
from mlservice.settings import Settings
from tests.support import Client, make_model, store_model
from tests.test_export import MODELS, ROWS, mixed

# Sums are taken in another order; all is float64.
TOLERANCE = 1e-12
NUMBERS = [{"a": 0.5, "b": -2.0}, {"a": 1e3, "b": 1e-3}, {"a": 0.0, "b": -0.0}]
TEXT = Feature(name="t", kind="text", missing=True, categories=("b",))
TEXTS = [{"t": "b"}, {"t": None}, {"t": "never seen"}]


def _run(file: bytes, rows: list[dict[str, Any]]) -> tuple[list[Any], Any]:
    """Return the labels and the probabilities of rows, by onnxruntime."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feeds = {}
    for put in session.get_inputs():
        cells = [row[put.name] for row in rows]
        if put.type == "tensor(string)":
            column: Any = np.array([cell or "" for cell in cells], dtype=object)
        else:
            column = np.array([np.nan if cell is None else cell for cell in cells])
        feeds[put.name] = column[:, None]
    label, probabilities = session.run(None, feeds)
    return label.tolist(), probabilities


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        *[(model, ROWS) for model in MODELS],
        (mixed(2, scale="standard"), ROWS),
        (mixed(3, encode="reference"), ROWS),
        (make_model(), NUMBERS),
        (make_model(classes=(-5, 2**62, 2**63 - 1)), NUMBERS),
        (make_model(classes=(False, True)), NUMBERS),
        (make_model(classes=("\u00e9", "\U0001f600"), coef=[[-1.0, 5e-324]]), NUMBERS),
        (make_model(classes=(1, 2, 3), described=(TEXT,)), TEXTS),
        (make_model(classes=("a", "b"), described=(TEXT,)), TEXTS),
    ],
)
def test_onnx_predicts_the_same(model: Model, rows: list[dict[str, Any]]) -> None:
    """Labels with their types, and probabilities to 1e-12, of numbers, gaps and texts."""
    scorer = Scorer(model)
    expected = [scorer.score_row([row[name] for name in scorer.features]) for row in rows]

    file = to_onnx(model)

    onnx.checker.check_model(onnx.load_from_string(file), full_check=True)
    labels, probabilities = _run(file, rows)
    assert labels == [scorer.labels[position] for position, _ in expected]
    assert set(map(type, labels)) <= set(map(type, model.classes))
    assert probabilities.dtype == np.float64
    assert np.abs(probabilities - np.array([each for _, each in expected])).max() < TOLERANCE


def test_results_have_names_that_no_feature_has() -> None:
    """A feature may have the name of an output or of a node."""
    names = ("label", "probabilities", "constant_0", "MatMul_1", "Softmax_2")
    model = make_model(features=names)
    rows = [dict.fromkeys(names, 0.1)]

    labels, probabilities = _run(to_onnx(model), rows)

    position, expected = Scorer(model).score_row([0.1] * 5)
    assert labels == [Scorer(model).labels[position]]
    assert np.abs(probabilities[0] - expected).max() < TOLERANCE


async def test_onnx_says_what_it_predicts(client: Client, settings: Settings) -> None:
    """The file names its target and its classes, and runs as it came."""
    model_id = await store_model(settings, make_model(classes=(1, 2, 3)))

    response = await client.get(f"/models/{model_id}/export?format=onnx")

    file = await response.read()
    entries = {each.key: each.value for each in onnx.load_from_string(file).metadata_props}
    assert (entries["target"], json.loads(entries["classes"])) == ("target", [1, 2, 3])
    assert _run(file, [{"a": 1.0, "b": 1.0}])[0] == [3]
