"""tritonclient over HTTP, synchronous and asynchronous, in JSON and in bytes."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests.conformance.conftest import MIXED, ROWS, Service

OUTPUTS = ("predict", "predict_proba")


@pytest.fixture
def client(service: Service) -> Iterator[Any]:
    """Return a client of the service."""
    with triton.InferenceServerClient(service.address) as client:
        yield client


def matrix(datatype: str = "FP64", *, binary: bool = True, kind: Any = np.float64) -> Any:
    """Return the rows of iris as one tensor."""
    rows = np.array(ROWS, dtype=kind)
    tensor = triton.InferInput("input", list(rows.shape), datatype)
    return tensor.set_data_from_numpy(rows, binary_data=binary)


def labels_of(answer: Any) -> list[Any]:
    """Return the classes of an answer."""
    return [
        each.decode() if isinstance(each, bytes) else each
        for each in answer.as_numpy("predict").tolist()
    ]


def check(service: Service, answer: Any, *, rtol: float = 1e-12) -> None:
    """Compare an answer to the rows of iris with the service's own."""
    assert labels_of(answer) == service.labels
    shares = answer.as_numpy("predict_proba")
    assert shares.dtype == np.float64
    np.testing.assert_allclose(shares, service.probabilities, rtol=rtol)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_a_matrix_is_predicted_as_natively(
    service: Service, client: Any, binary_in: bool, binary_out: bool | None
) -> None:
    """In bytes and in JSON, both ways; without outputs the client asks for bytes."""
    wanted = None
    if binary_out is not None:
        wanted = [triton.InferRequestedOutput(each, binary_data=binary_out) for each in OUTPUTS]

    answer = client.infer("iris", [matrix(binary=binary_in)], outputs=wanted, request_id="mine")

    check(service, answer)
    assert answer.get_response()["id"] == "mine"


@pytest.mark.parametrize(
    ("datatype", "kind", "rtol"), [("FP32", np.float32, 1e-5), ("FP16", np.float16, 0.05)]
)
def test_shorter_floats_are_predicted(
    service: Service, client: Any, datatype: str, kind: Any, rtol: float
) -> None:
    """Their numbers are rounded, and so are the probabilities."""
    check(service, client.infer("iris", [matrix(datatype, kind=kind)]), rtol=rtol)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_may_be_compressed_both_ways(service: Service, client: Any, coding: str) -> None:
    """The client's compression is understood, and so is ours by it."""
    answer = client.infer(
        "iris",
        [matrix()],
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    check(service, answer)

    many = np.tile(np.array(ROWS), (100, 1))
    tensor = triton.InferInput("input", list(many.shape), "FP64").set_data_from_numpy(many)
    answer = client.infer("iris", [tensor], response_compression_algorithm=coding)
    np.testing.assert_allclose(
        answer.as_numpy("predict_proba"), np.tile(service.probabilities, (100, 1)), rtol=1e-12
    )


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_by_feature_are_predicted_as_natively(
    service: Service, client: Any, binary: bool
) -> None:
    """Text is BYTES, integer classes are INT64."""
    lengths = np.array(MIXED["length"]).reshape(-1, 1)
    colours = np.array([each.encode() for each in MIXED["colour"]], dtype=np.object_)
    tensors = [
        triton.InferInput("colour", [8], "BYTES").set_data_from_numpy(colours, binary_data=binary),
        triton.InferInput("length", [8, 1], "FP64").set_data_from_numpy(
            lengths, binary_data=binary
        ),
    ]

    answer = client.infer("mixed", tensors)

    rows = [
        {"length": length, "colour": colour}
        for length, colour in zip(MIXED["length"], MIXED["colour"], strict=True)
    ]
    native = service.native("mixed", rows)
    assert labels_of(answer) == [label for label, _ in native]
    np.testing.assert_allclose(
        answer.as_numpy("predict_proba"), [shares for _, shares in native], rtol=1e-12
    )


def test_classes_are_told_by_the_classification_extension(service: Service, client: Any) -> None:
    """The likeliest classes come as texts."""
    wanted = [triton.InferRequestedOutput("predict_proba", class_count=2)]

    answer = client.infer("iris", [matrix()], outputs=wanted)

    told = answer.as_numpy("predict_proba")
    assert told.shape == (4, 2)
    assert [each.decode().split(":")[2] for each in told[:, 0]] == service.labels


def test_a_request_may_be_made_and_read_apart(service: Service, client: Any) -> None:
    """The client's own generator and parser of bodies fit this service."""
    body, length = client.generate_request_body([matrix()])
    headers = {"Inference-Header-Content-Length": str(length)}
    response = client._post("v2/models/iris/infer", body, headers, None)

    answer = client.parse_response_body(
        response.read(), header_length=int(response.get("Inference-Header-Content-Length"))
    )

    check(service, answer)


def test_many_requests_may_be_under_way(service: Service) -> None:
    """The client's pool of connections is answered."""
    with triton.InferenceServerClient(service.address, concurrency=4) as client:
        waiting = [client.async_infer("iris", [matrix()]) for _ in range(8)]

        for each in waiting:
            check(service, each.get_result())


def test_the_server_and_its_models_are_described(service: Service, client: Any) -> None:
    """Health, metadata, configuration, index, loading and statistics."""
    client.infer("iris", [matrix()])

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("iris")
    assert client.is_model_ready("iris", "1")
    assert not client.is_model_ready("nobody")
    assert client.get_server_metadata()["name"] == "mlservice"
    assert client.get_model_metadata("iris")["inputs"][0]["shape"] == [-1, 4]
    assert client.get_model_config("iris")["input"][0]["data_type"] == "TYPE_FP64"
    assert {"iris", "mixed", service.iris} <= {
        each["name"] for each in client.get_model_repository_index()
    }
    client.load_model("iris")
    client.unload_model("iris")
    [told] = client.get_inference_statistics("iris")["model_stats"]
    assert told["inference_count"] >= 4


@pytest.mark.parametrize(
    ("model", "shape", "status"), [("iris", [2, 2], "400"), ("nobody", [1, 4], "404")]
)
def test_failures_are_told_in_the_clients_own_exception(
    client: Any, model: str, shape: list[int], status: str
) -> None:
    """The client reads the message and the status."""
    tensor = triton.InferInput("input", shape, "FP64").set_data_from_numpy(np.ones(shape))

    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, [tensor])

    assert caught.value.status() == status
    assert "must" in caught.value.message()


@pytest.mark.parametrize("binary", [True, False])
async def test_the_asynchronous_client_is_answered(service: Service, binary: bool) -> None:
    """The same over aiohttp, compressed too."""
    async with triton_aio.InferenceServerClient(service.address) as client:
        assert await client.is_model_ready("iris")
        wanted = [triton_aio.InferRequestedOutput(each, binary_data=binary) for each in OUTPUTS]
        for coding in (None, "gzip", "deflate"):
            answer = await client.infer(
                "iris",
                [matrix(binary=binary)],
                outputs=wanted,
                request_compression_algorithm=coding,
                response_compression_algorithm=coding,
            )
            check(service, answer)


@pytest.mark.parametrize("binary", [True, False])
def test_a_warning_is_a_parameter_of_the_answer(client: Any, binary: bool) -> None:
    """A number that training had not seen is told beside the outputs, in bytes or not."""
    rows = np.array([[*row[:3], 99.0] for row in ROWS])
    tensor = triton.InferInput("input", list(rows.shape), "FP64")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in OUTPUTS]

    answer = client.infer("iris", [tensor], outputs=wanted)

    [told] = json.loads(answer.get_response()["parameters"]["warnings"])
    assert (told["code"], told["column"], told["rows"]) == ("outside-range", "petal_width", 4)
    assert answer.as_numpy("predict_proba").shape == (4, 3)
