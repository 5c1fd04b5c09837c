"""KServe's InferenceRESTClient, by V1 and by V2."""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import InferOutput, RequestedOutput

from tests.conformance.conftest import ROWS, Service


def client_of(protocol: str) -> InferenceRESTClient:
    """Return a client of a protocol."""
    return InferenceRESTClient(RESTConfig(protocol=protocol))


@pytest.mark.parametrize("protocol", ["v1", "v2"])
async def test_health_is_read(service: Service, protocol: str) -> None:
    """The server is live and ready, a model is or is not."""
    client = client_of(protocol)

    assert await client.is_server_live(service.url)
    if protocol == "v2":
        assert await client.is_server_ready(service.url)
    assert await client.is_model_ready(service.url, "iris")
    # By V1 the client reads the status, and raises all but 503.
    if protocol == "v2":
        assert not await client.is_model_ready(service.url, "nobody")
    else:
        with pytest.raises(httpx.HTTPStatusError):
            await client.is_model_ready(service.url, "nobody")


@pytest.mark.parametrize("form", ["instances", "inputs"])
async def test_v1_predicts_as_natively(service: Service, form: str) -> None:
    """Rows by either name give the classes."""
    answer = await client_of("v1").infer(service.url, {form: ROWS}, model_name="iris")

    assert answer == {"predictions": service.labels}


async def test_v1_explains(service: Service) -> None:
    """The client's explain is answered with contributions."""
    answer = await client_of("v1").explain(service.url, "iris", {"instances": ROWS})

    assert isinstance(answer, dict)
    assert answer["predictions"] == service.labels
    assert set(answer["explanations"][0]["contributions"]) == {"setosa", "versicolor", "virginica"}


def values_of(output: InferOutput) -> list[Any]:
    """Return an output's values, texts as text."""
    values = output.as_numpy().ravel().tolist()
    return [each.decode() if isinstance(each, bytes) else each for each in values]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
async def test_v2_predicts_as_natively(service: Service, binary_in: bool, binary_out: bool) -> None:
    """In JSON and in bytes, both ways."""
    tensor = InferInput(name="input-0", shape=[4, 4], datatype="FP64")
    tensor.set_data_from_numpy(np.array(ROWS), binary_data=binary_in)
    wanted = [
        RequestedOutput(name, parameters={"binary_data": binary_out})
        for name in ("predict", "predict_proba")
    ]
    asked = InferRequest(
        model_name="iris", infer_inputs=[tensor], request_outputs=wanted, request_id="mine"
    )

    answer = await client_of("v2").infer(service.url, asked, model_name="iris")

    labels, shares = answer.outputs
    assert (answer.id, answer.model_name) == ("mine", "iris")
    assert values_of(labels) == service.labels
    np.testing.assert_allclose(
        np.reshape(values_of(shares), (4, 3)), service.probabilities, rtol=1e-12
    )


async def test_failures_raise_the_clients_own_error(service: Service) -> None:
    """A row that the model does not take is 400, an unknown model 404."""
    for protocol, body, name, status in (
        ("v1", {"instances": [[1, 2]]}, "iris", 400),
        ("v1", {"instances": ROWS}, "nobody", 404),
        ("v2", {"inputs": []}, "iris", 400),
    ):
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await client_of(protocol).infer(service.url, body, model_name=name)
        assert caught.value.response.status_code == status


async def test_a_warning_is_read_by_both_protocols(service: Service) -> None:
    """V1 has it as a member, V2 as a parameter."""
    rows = [[*row[:3], 99.0] for row in ROWS]
    tensor = InferInput(name="input-0", shape=[4, 4], datatype="FP64")
    tensor.set_data_from_numpy(np.array(rows))
    asked = InferRequest(model_name="iris", infer_inputs=[tensor])

    first = await client_of("v1").infer(service.url, {"instances": rows}, model_name="iris")
    second = await client_of("v2").infer(service.url, asked, model_name="iris")

    assert json.loads(second.parameters["warnings"]) == first["warnings"]
    assert [each["column"] for each in first["warnings"]] == ["petal_width"]
