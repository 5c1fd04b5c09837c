"""open-inference-openapi: the client that is made from the protocol's own specification."""

import json
from typing import Any

import numpy as np
import pytest
from open_inference.openapi.client import (
    AsyncOpenInferenceClient,
    InferenceRequest,
    OpenInferenceClient,
)
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.errors import BadRequestError

from tests.conformance.conftest import ROWS, Service


def request_of(rows: list[list[float]]) -> InferenceRequest:
    """Return rows as one nested tensor."""
    shape = [len(rows), len(rows[0])]
    tensor = {"name": "input", "shape": shape, "datatype": "FP64", "data": rows}
    return InferenceRequest(inputs=[tensor], id="mine")


def check(service: Service, answer: Any) -> None:
    """Compare an answer to the rows of iris with the service's own."""
    assert (answer.model_name, answer.id) == ("iris", "mine")
    labels, shares = answer.outputs
    assert list(labels.data.__root__) == service.labels
    np.testing.assert_allclose(
        np.reshape(list(shares.data.__root__), (4, 3)), service.probabilities, rtol=1e-12
    )


def test_the_client_is_answered(service: Service) -> None:
    """Health, metadata and inference fit the specification's own types."""
    client = OpenInferenceClient(base_url=service.url)

    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness("iris")
    client.check_model_version_readiness("iris", "1")
    assert client.read_server_metadata().name == "mlservice"
    metadata = client.read_model_metadata("iris")
    assert (metadata.versions, metadata.inputs[0].shape) == (["1"], [-1, 4])
    check(service, client.model_infer("iris", request=request_of(ROWS)))
    versioned = client.model_version_infer("iris", "1", request=request_of(ROWS))
    check(service, versioned)
    assert versioned.model_version == "1"


async def test_the_asynchronous_client_is_answered(service: Service) -> None:
    """The same without blocking."""
    client = AsyncOpenInferenceClient(base_url=service.url)

    check(service, await client.model_infer("iris", request=request_of(ROWS)))


def test_failures_raise_the_clients_own_errors(service: Service) -> None:
    """400 and 404, each with the message that the specification asks for."""
    client = OpenInferenceClient(base_url=service.url)

    with pytest.raises(BadRequestError) as wrong:
        client.model_infer("iris", request=request_of([[1.0]]))
    # The specification knows 400 only; the client has no class of its own for 404.
    with pytest.raises(ApiError) as absent:
        client.model_infer("nobody", request=request_of(ROWS))

    assert "4 numbers" in wrong.value.body["error"]
    assert absent.value.status_code == 404
    assert "nobody" in absent.value.body["error"]


def test_a_warning_fits_the_specifications_own_types(service: Service) -> None:
    """A number that training had not seen is told by a parameter, which is a text."""
    rows = [[*row[:3], 99.0] for row in ROWS]

    answer = OpenInferenceClient(base_url=service.url).model_infer("iris", request=request_of(rows))

    [told] = json.loads(answer.dict()["parameters"]["warnings"])
    assert told["column"] == "petal_width"
