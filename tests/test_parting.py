"""The fit that a model is measured by, made here or elsewhere: the same to the last bit."""

from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from mlservice.intake import check
from mlservice.sent import unwrap
from mlservice.settings import Settings
from tests.support import make_request
from workers.parting import fit_part, fit_rows, fitted_part
from workers.training import train


def _cancer(**params: Any) -> dict[str, Any]:
    """Return a training of two classes, whose columns are scaled."""
    cancer = load_breast_cancer()
    data: dict[str, Any] = {f"x{i}": cancer.data[:, i].tolist() for i in range(5)}
    data["text"] = ["a", "b", "c"] * 189 + ["a", "b"]
    data["y"] = cancer.target.tolist()
    scaled = {"scale": "standard", "impute": "median"}
    return {"data": data, "target": "y", "preprocessing": scaled, "params": params}


REQUESTS = {
    "three classes": make_request(),
    "two classes": _cancer(),
    "automatic": _cancer(solver="auto", max_iter=3),
    "no intercept": make_request(params={"fit_intercept": False}),
    "liblinear": _cancer(solver="liblinear", random_state=0),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_fit_that_was_made_elsewhere_predicts_the_same(request_: dict[str, Any]) -> None:
    """Coefficients that were sent as numbers lose nothing on their way."""
    body = msgspec.json.encode(request_)
    _, dataset = check(unwrap(body), Settings())
    part = dataset.splits.hold_out()
    assert part
    sent = msgspec.msgpack.encode(fit_part(body, Settings()))

    here = fit_rows(dataset, part[0])
    elsewhere = fitted_part(dataset, part[0], lambda: msgspec.msgpack.decode(sent))

    for rows in (*part, None):
        assert elsewhere(rows).tobytes() == here(rows).tobytes()


def test_model_is_measured_by_what_was_fitted_elsewhere() -> None:
    """The fit is not made twice; without it nothing changes."""
    body = msgspec.json.encode(make_request())
    asked = []

    def elsewhere() -> dict[str, Any]:
        asked.append(True)
        found = fit_part(body, Settings())
        assert found
        # So that it can be told from what would be fitted here.
        return found | {"coef": np.zeros((3, len(found["coef"][0]))).tolist()}

    measured = train(body, Settings(), elsewhere=elsewhere).description.metrics
    alone = train(body, Settings()).description.metrics

    assert asked == [True]
    assert measured
    assert alone
    assert measured.test != alone.test


@pytest.mark.parametrize(
    "options",
    [
        {"evaluation": {"test_size": 0}},
        {"evaluation": {"refit": False}},
        {"search": {"C": [0.1, 1.0], "folds": 2}},
    ],
    ids=["no part", "no other fit", "a search"],
)
def test_what_is_not_fitted_on_a_part_is_not_fitted_elsewhere(options: dict[str, Any]) -> None:
    """Without a part, another fit, or parameters that are known there is nothing to do."""
    assert fit_part(msgspec.json.encode(make_request(**options)), Settings()) is None
