"""The Open Inference Protocol under `/v2`, through HTTP."""

import gzip
import json
import struct
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientResponse

from mlservice import __version__, cutting
from mlservice.model import Model
from mlservice.schemas import Feature
from mlservice.settings import Settings
from tests.support import Client, create, get, make_model, make_request, store_model

LENGTH = "Inference-Header-Content-Length"
ROWS = [[0.5, -1.0, 2.0, 0.25], [3.0, 1.5, -2.5, 1.0], [-4.0, 0.0, 0.125, 7.0]]


def three_classes(**members: Any) -> Model:
    """Return a model of four numbers and three classes."""
    coef = [[0.5, -1.0, 0.25, 0.125], [0.0, 1.0, -0.5, 0.25], [-0.25, 0.5, 1.0, -1.0]]
    given: dict[str, Any] = {"classes": ("a", "b", "ä"), "coef": coef, "intercept": [0.0, 0.5, -1]}
    return make_model(**given | {"features": ("p", "q", "r", "s")} | members)


def mixed_model() -> Model:
    """Return a model of a number that may be missing and a text that may be, too."""
    return make_model(
        described=(
            Feature(name="n", missing=True, fill=2.0),
            Feature(name="t", kind="text", missing=True, categories=("u", "v")),
        ),
        coef=[[1.0, 10.0, -10.0, 5.0]],
        intercept=[0.5],
        classes=(False, True),
    )


def matrix_of(rows: list[list[float]], **members: Any) -> dict[str, Any]:
    """Return rows as one tensor in JSON."""
    data = [number for row in rows for number in row]
    shape = [len(rows), len(rows[0])]
    return {"name": "input-0", "shape": shape, "datatype": "FP64", "data": data} | members


async def infer(client: Client, name: str, *inputs: dict[str, Any], **members: Any) -> Any:
    """Return the answer to an inference in JSON."""
    async with client.post(
        f"/v2/models/{name}/infer", json={"inputs": inputs} | members
    ) as response:
        document = await response.json()
        assert response.status == 200, document
        assert LENGTH not in response.headers
        return document


async def binary(
    client: Client, name: str, *inputs: dict[str, Any], behind: bytes = b"", **members: Any
) -> tuple[dict[str, Any], bytes, ClientResponse]:
    """Return the JSON and the bytes of an answer to a request with bytes behind its JSON."""
    text = json.dumps({"inputs": inputs} | members).encode()
    headers = {LENGTH: str(len(text))}
    async with client.post(
        f"/v2/models/{name}/infer",
        data=text + behind,
        headers=headers,
        skip_auto_headers=["Content-Type"],
    ) as response:
        body = await response.read()
        assert response.status == 200, body
        length = int(response.headers[LENGTH])
        return json.loads(body[:length]), body[length:], response


def as_bytes(rows: list[list[float]], datatype: str = "FP64", kind: str = "<f8") -> Any:
    """Return rows as a tensor whose values stand behind the JSON, and the values."""
    data = np.array(rows, kind).tobytes()
    sent = matrix_of(rows, datatype=datatype, parameters={"binary_data_size": len(data)})
    del sent["data"]
    return sent, data


def by_name(document: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs of an answer by their name."""
    return {output["name"]: output for output in document["outputs"]}


async def native(client: Client, name: str, row: list[float]) -> tuple[Any, list[float]]:
    """Return what the service answers to one row in its own words."""
    query = "&".join(f"{name}={value}" for name, value in zip("pqrs", row, strict=True))
    answer = await get(client, f"/models/{name}?{query}")
    return answer["prediction"], list(answer["probabilities"].values())


async def check_native(client: Client, name: str, document: dict[str, Any]) -> None:
    """Compare an answer in JSON to `ROWS` with the service's own."""
    outputs = by_name(document)
    shares = np.array(outputs["predict_proba"]["data"]).reshape(-1, 3)
    for row, label, probabilities in zip(ROWS, outputs["predict"]["data"], shares, strict=True):
        wanted, expected = await native(client, name, row)
        assert label == wanted
        np.testing.assert_allclose(probabilities, expected, rtol=1e-12)


@pytest.mark.parametrize("data", ["flat", "nested"])
async def test_rows_in_json_are_predicted_as_natively(
    client: Client, settings: Settings, data: str
) -> None:
    """One matrix, flat or nested, gives classes and probabilities, flat."""
    model_id = await store_model(settings, three_classes())
    sent = matrix_of(ROWS) | ({"data": ROWS} if data == "nested" else {})

    document = await infer(client, model_id, sent, id="mine")

    assert (document["model_name"], document["id"]) == (model_id, "mine")
    assert [(each["name"], each["datatype"], each["shape"]) for each in document["outputs"]] == [
        ("predict", "BYTES", [3]),
        ("predict_proba", "FP64", [3, 3]),
    ]
    await check_native(client, model_id, document)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("nested", [True, False])
async def test_one_row_in_json_is_the_native_answer(
    client: Client, settings: Settings, row: list[float], nested: bool
) -> None:
    """The fast path gives the same numbers, bit for bit."""
    model_id = await store_model(settings, three_classes())

    document = await infer(client, model_id, matrix_of([row], data=[row] if nested else row))

    label, probabilities = await native(client, model_id, row)
    outputs = by_name(document)
    assert outputs["predict"] == {
        "name": "predict", "datatype": "BYTES", "shape": [1], "data": [label],
    }  # fmt: skip
    assert outputs["predict_proba"]["data"] == probabilities
    assert outputs["predict_proba"]["shape"] == [1, 3]
    assert "id" not in document


async def test_one_row_of_integers_or_with_a_parameter_is_the_same(
    client: Client, settings: Settings
) -> None:
    """What the fast path leaves to the general one gets the same answer."""
    model_id = await store_model(settings, three_classes())
    plain = await infer(client, model_id, matrix_of([[1, 2, 3, 4]]))

    integers = await infer(client, model_id, matrix_of([[1, 2, 3, 4]], datatype="INT64"))
    hinted = await infer(
        client, model_id, matrix_of([[1, 2, 3, 4]], parameters={"content_type": "np"})
    )

    for document in (integers, hinted):
        assert by_name(document)["predict"] == by_name(plain)["predict"]
        np.testing.assert_allclose(
            by_name(document)["predict_proba"]["data"],
            by_name(plain)["predict_proba"]["data"],
            rtol=1e-12,
        )


@pytest.mark.parametrize(
    ("datatype", "kind"),
    [("FP64", "<f8"), ("FP32", "<f4"), ("FP16", "<f2"), ("INT32", "<i4"), ("UINT8", "<u1")],
)
async def test_bytes_and_json_of_a_tensor_are_the_same_request(
    client: Client, settings: Settings, datatype: str, kind: str
) -> None:
    """Each datatype gives what its numbers give in JSON."""
    model_id = await store_model(settings, three_classes())
    rows = [[1.0, 2.0, 0.0, 4.0], [3.0, 1.0, 2.0, 5.0]]
    sent, data = as_bytes(rows, datatype, kind)

    document, behind, response = await binary(
        client, model_id, sent, behind=data, parameters={"binary_data_output": True}
    )

    plain = by_name(await infer(client, model_id, matrix_of(rows)))
    sizes = [each["parameters"]["binary_data_size"] for each in document["outputs"]]
    assert response.content_type == "application/octet-stream"
    assert sum(sizes) == len(behind)
    labels = b"".join(
        struct.pack("<I", len(label.encode())) + label.encode()
        for label in plain["predict"]["data"]
    )
    assert behind[: sizes[0]] == labels
    np.testing.assert_array_equal(
        np.frombuffer(behind[sizes[0] :], "<f8"), plain["predict_proba"]["data"]
    )
    assert all("data" not in each for each in document["outputs"])


async def test_a_body_without_json_is_one_tensor(client: Client, settings: Settings) -> None:
    """The header 0 says so; all outputs come back as bytes."""
    model_id = await store_model(settings, three_classes())
    sent, data = as_bytes(ROWS)
    _, wanted, _ = await binary(
        client, model_id, sent, behind=data, parameters={"binary_data_output": True}
    )

    async with client.post(
        f"/v2/models/{model_id}/infer", data=data, headers={LENGTH: "0"}
    ) as response:
        body = await response.read()

    assert response.status == 200
    assert body[int(response.headers[LENGTH]) :] == wanted


@pytest.mark.parametrize("size", [0, 8, 31, 33])
async def test_a_body_without_json_has_whole_rows(
    client: Client, settings: Settings, size: int
) -> None:
    """Cut rows are refused."""
    model_id = await store_model(settings, three_classes())

    response = await client.post(
        f"/v2/models/{model_id}/infer", data=bytes(size), headers={LENGTH: "0"}
    )

    assert response.status == 400
    assert "32 bytes each" in (await response.json())["error"]


async def test_members_that_are_null_are_as_left_out(client: Client, settings: Settings) -> None:
    """Clients that write all that a request may have, as MLServer's do, get the same answer."""
    model_id = await store_model(settings, make_model())
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}
    nulls = {"content_type": "np", "headers": None}
    output = {"name": "predict", "parameters": None}
    plain = {"inputs": [tensor], "outputs": [{"name": "predict"}]}
    written = {
        "id": None,
        "parameters": {**nulls, "binary_data_output": None},
        "inputs": [{**tensor, "parameters": nulls}],
        "outputs": [output],
    }
    url = f"/v2/models/{model_id}/infer"

    answers = [
        await (await client.post(url, json=body)).json()
        for body in (plain, written, written | {"outputs": None}, {"inputs": [tensor]})
    ]

    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    assert "id" not in answers[1]
    assert [each["name"] for each in answers[3]["outputs"]] == ["predict", "predict_proba"]


async def test_outputs_are_answered_as_each_is_asked(client: Client, settings: Settings) -> None:
    """One as bytes, the other in JSON, in the order of the request."""
    model_id = await store_model(settings, three_classes())
    outputs = [
        {"name": "predict_proba", "parameters": {"binary_data": True}},
        {"name": "predict", "parameters": {"binary_data": False}},
    ]

    document, behind, _ = await binary(
        client, model_id, matrix_of(ROWS), outputs=outputs, parameters={"binary_data_output": True}
    )

    shares, labels = document["outputs"]
    assert (shares["name"], shares["parameters"]) == ("predict_proba", {"binary_data_size": 72})
    assert labels["name"] == "predict"
    document["outputs"][0]["data"] = np.frombuffer(behind, "<f8").tolist()
    await check_native(client, model_id, document)


async def test_tensors_by_feature_are_predicted_as_natively(
    client: Client, settings: Settings
) -> None:
    """Numbers and texts of any order, in JSON or as bytes, missing ones and unseen ones too."""
    model_id = await store_model(settings, mixed_model())
    texts = struct.pack("<I1sII1s", 1, b"v", 0, 1, b"x")
    inputs = [
        {"name": "t", "shape": [3, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 14}},
        {"name": "n", "shape": [3], "datatype": "FP32", "data": [1.5, None, -1]},
    ]

    text = json.dumps({"inputs": inputs}).encode()
    headers = {LENGTH: str(len(text))}
    response = await client.post(f"/v2/models/{model_id}/infer", data=text + texts, headers=headers)

    outputs = by_name(await response.json())
    queries = ["n=1.5&t=v", "n=&t=", "n=-1&t=x"]
    wanted = [await get(client, f"/models/{model_id}?{query}") for query in queries]
    assert outputs["predict"]["datatype"] == "BOOL"
    assert outputs["predict"]["data"] == [each["prediction"] for each in wanted]
    np.testing.assert_allclose(
        outputs["predict_proba"]["data"],
        [share for each in wanted for share in each["probabilities"].values()],
        rtol=1e-12,
    )


async def test_integer_classes_are_exact(client: Client, settings: Settings) -> None:
    """Labels of 64 bits come back as they are."""
    large = 2**62 + 1
    model_id = await store_model(settings, make_model(classes=(-5, large)))

    document = await infer(client, model_id, matrix_of([[9, 9], [-9, -9]]))

    predicted = by_name(document)["predict"]
    assert (predicted["datatype"], predicted["data"]) == ("INT64", [large, -5])


async def test_classification_tells_the_likeliest_classes(
    client: Client, settings: Settings
) -> None:
    """Texts `value:index:label`, the likeliest first."""
    model_id = await store_model(settings, three_classes())
    outputs = [{"name": "predict_proba", "parameters": {"classification": 2}}]

    document = await infer(client, model_id, matrix_of(ROWS), outputs=outputs)

    [told] = document["outputs"]
    assert (told["datatype"], told["shape"]) == ("BYTES", [3, 2])
    for row, (first, second) in zip(ROWS, zip(*[iter(told["data"])] * 2, strict=True), strict=True):
        label, probabilities = await native(client, model_id, row)
        value, place, name = first.split(":")
        assert name == label
        assert float(value) == pytest.approx(max(probabilities))
        assert probabilities[int(place)] == max(probabilities)
        assert float(second.split(":")[0]) == pytest.approx(sorted(probabilities)[1])


@pytest.mark.parametrize(
    ("inputs", "place"),
    [
        ([{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]}], "4"),
        ([{"name": "x", "shape": [4], "datatype": "FP64", "data": [1, 2, 3, 4]}], "4"),
        ([{"name": "x", "shape": [0, 4], "datatype": "FP64", "data": []}], "row"),
        ([{"name": "x", "shape": [1, 4], "datatype": "BYTES", "data": ["1"] * 4}], "BYTES"),
        ([{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, None, 4]}], "'r'"),
        ([{"name": "p", "shape": [1], "datatype": "FP64", "data": [1]}], "4"),
        ([{"name": n, "shape": [1], "datatype": "FP64", "data": [1]} for n in "pqrx"], "'s'"),
        ([{"name": n, "shape": [2 - (n == "p")], "datatype": "FP64", "data": [1, 1][n == "p" :]}
          for n in "pqrs"], "2"),
        ([{"name": n, "shape": [1, 2], "datatype": "FP64", "data": [1, 1]} for n in "pqrs"], "[N]"),
        ([{"name": n, "shape": [1], "datatype": "BYTES", "data": ["1"]} for n in "pqrs"], "number"),
    ],
)  # fmt: skip
async def test_tensors_that_the_model_does_not_take_are_refused(
    client: Client, settings: Settings, inputs: list[Any], place: str
) -> None:
    """A wrong width, kind, name or length is told, and 400 is its status."""
    model_id = await store_model(settings, three_classes())

    response = await client.post(f"/v2/models/{model_id}/infer", json={"inputs": inputs})

    document = await response.json()
    assert response.status == 400
    assert place in document["error"]


async def test_a_wrong_value_of_a_features_tensor_is_told_with_its_place(
    client: Client, settings: Settings
) -> None:
    """The pointer leads to the element, in the order of the request's inputs."""
    model_id = await store_model(settings, three_classes())
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": "FP64", "data": [1, None if name == "q" else 2]}
        for name in "srqp"
    ]

    response = await client.post(f"/v2/models/{model_id}/infer", json={"inputs": inputs})

    [fault] = (await response.json())["errors"]
    assert fault["pointer"] == "/inputs/2/data/1"


async def test_a_number_that_is_infinite_or_missing_is_refused(
    client: Client, settings: Settings
) -> None:
    """Bytes can hold what JSON cannot; the row is named."""
    model_id = await store_model(settings, three_classes())

    for number in (np.nan, np.inf, -np.inf):
        sent, data = as_bytes([ROWS[0], [1, 2, number, 4]])
        text = json.dumps({"inputs": [sent]}).encode()
        response = await client.post(
            f"/v2/models/{model_id}/infer", data=text + data, headers={LENGTH: str(len(text))}
        )
        assert response.status == 400
        assert "Row 1" in (await response.json())["error"]


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"inputs": [matrix_of(ROWS, shape=[-1, 4])]}, 400),
        ({"inputs": [matrix_of(ROWS, shape=[16, 2**60 + 2])]}, 400),
        ({"inputs": [matrix_of(ROWS, parameters={"binary_data_size": 96})]}, 400),
        ({"inputs": [matrix_of(ROWS)], "outputs": [{"name": "predict"}] * 2}, 400),
        ({"inputs": [matrix_of(ROWS)], "outputs": [{"name": "other"}]}, 400),
        ({"inputs": [matrix_of(ROWS)] * 2}, 400),
        ({"inputs": [matrix_of(ROWS)], "parameters": {"triton_enable": True}}, 400),
        ({"inputs": [matrix_of(ROWS)], "parameters": {"binary_data_output": "yes"}}, 400),
        ({"inputs": [matrix_of(ROWS)],
          "outputs": [{"name": "predict", "parameters": {"classification": 1}}]}, 400),
        ({"inputs": [matrix_of(ROWS)], "parameters": {"sequence_id": 1, "priority": 2}}, 200),
        ({"inputs": [matrix_of(ROWS)], "outputs": []}, 200),
        ({}, 400),
    ],
)  # fmt: skip
async def test_hostile_requests_get_the_answers_of_triton(
    client: Client, settings: Settings, members: dict[str, Any], status: int
) -> None:
    """Each is told in the member `error`, and nothing is a failure of the server."""
    model_id = await store_model(settings, three_classes())

    response = await client.post(f"/v2/models/{model_id}/infer", json=members)

    document = await response.json()
    assert response.status == status, document
    assert ("error" in document) == (status == 400)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (b'{"inputs":' + b"[" * 250_000, None),
        (b'{"x":' + b"[" * 250_000 + b"]" * 250_000 + b"}", None),
        (b'{"inputs": NaN}', None),
        (b"", None),
        (b"{}", "-1"),
        (b"{}", "x"),
        (b"{}", "3"),
        (b"{}", "99999999999999999999"),
    ],
)
async def test_hostile_bodies_get_the_answers_of_triton(
    client: Client, settings: Settings, text: bytes, length: str | None
) -> None:
    """Depth and wrong lengths are refused, and the server lives on."""
    model_id = await store_model(settings, three_classes())
    headers = {} if length is None else {LENGTH: length}

    response = await client.post(f"/v2/models/{model_id}/infer", data=text, headers=headers)

    assert response.status == 400
    assert isinstance((await response.json())["error"], str)
    assert (await client.get("/v2/health/live")).status == 200


async def test_a_body_beyond_the_limit_is_refused(client: Client, settings: Settings) -> None:
    """The announced size is enough to know."""
    model_id = await store_model(settings, three_classes())

    response = await client.post(
        f"/v2/models/{model_id}/infer",
        data=b"{}",
        headers={"Content-Length": str(settings.prediction_body_bytes + 1)},
    )

    document = await response.json()
    assert response.status == 413
    assert "MLSERVICE_PREDICTION_BODY_BYTES" in document["error"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_bodies_may_be_coded_both_ways(
    client: Client, settings: Settings, coding: str
) -> None:
    """The header length counts the JSON as it is without the coding."""
    model_id = await store_model(settings, three_classes())
    sent, data = as_bytes(ROWS * 40)
    text = json.dumps({"inputs": [sent], "parameters": {"binary_data_output": True}}).encode()
    coded = (gzip.compress if coding == "gzip" else zlib.compress)(text + data)
    headers = {"Content-Encoding": coding, LENGTH: str(len(text)), "Accept-Encoding": coding}

    async with client.post(f"/v2/models/{model_id}/infer", data=coded, headers=headers) as response:
        body = await response.read()

    assert response.headers["Content-Encoding"] == coding
    document = json.loads(body[: int(response.headers[LENGTH])])
    sizes = [each["parameters"]["binary_data_size"] for each in document["outputs"]]
    assert len(body) == int(response.headers[LENGTH]) + sum(sizes)


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate", "gzip"),
        ("deflate;q=1.0, gzip;q=0.5", "deflate"),
        ("*", "gzip"),
        ("identity", None),
        ("gzip;q=0", None),
        ("br", None),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=x", None),
    ],
)
async def test_an_answer_is_coded_as_its_client_takes_it(
    client: Client, settings: Settings, accept: str, coding: str | None
) -> None:
    """Only by a coding that the client names, and that it prefers to none."""
    model_id = await store_model(settings, three_classes())

    response = await client.post(
        f"/v2/models/{model_id}/infer",
        json={"inputs": [matrix_of(ROWS * 40)]},
        headers={"Accept-Encoding": accept},
    )

    assert response.headers.get("Content-Encoding") == coding
    assert len(by_name(await response.json())["predict"]["data"]) == 120


async def test_an_unknown_coding_is_refused(client: Client, settings: Settings) -> None:
    """A body that cannot be decoded is not read as JSON."""
    model_id = await store_model(settings, three_classes())

    response = await client.post(
        f"/v2/models/{model_id}/infer", data=b"{}", headers={"Content-Encoding": "compress"}
    )

    assert response.status == 415
    assert "Content-Encoding" in (await response.json())["error"]


async def test_a_body_may_be_sent_in_chunks(client: Client, settings: Settings) -> None:
    """A request without `Content-Length` is read to its end."""
    model_id = await store_model(settings, three_classes())
    text = json.dumps({"inputs": [matrix_of(ROWS)]}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(text), 7):
            yield text[start : start + 7]

    response = await client.post(f"/v2/models/{model_id}/infer", data=chunks())

    assert response.status == 200
    await check_native(client, model_id, await response.json())


async def test_large_bodies_are_predicted_beside_the_loop(
    client: Client, settings: Settings
) -> None:
    """A body above 64 KiB gives what each of its rows gives alone."""
    model_id = await store_model(settings, three_classes())
    rows = ROWS * 2000

    document = await infer(client, model_id, matrix_of(rows))

    outputs = by_name(document)
    assert outputs["predict"]["shape"] == [6000]
    one = by_name(await infer(client, model_id, matrix_of(ROWS)))
    assert outputs["predict"]["data"] == one["predict"]["data"] * 2000
    np.testing.assert_allclose(
        outputs["predict_proba"]["data"], one["predict_proba"]["data"] * 2000, rtol=1e-12
    )


async def test_the_server_tells_what_it_is(client: Client) -> None:
    """Name, version and extensions, with and without a slash at the end."""
    for path in ("/v2", "/v2/"):
        document = await get(client, path)
        assert (document["name"], document["version"]) == ("mlservice", __version__)
        assert "binary_tensor_data" in document["extensions"]


async def test_health_is_told_as_each_client_reads_it(client: Client) -> None:
    """KServe's reads `ready`, Triton's reads the status."""
    ready = await client.get("/v2/health/ready")
    live = await get(client, "/v2/health/live")

    assert live["live"] is True
    assert ready.status == 200
    assert (await ready.json())["ready"] is True


async def test_a_model_of_numbers_takes_one_matrix(client: Client, settings: Settings) -> None:
    """Its metadata say so, and its configuration in Triton's words."""
    model_id = await store_model(settings, three_classes())

    document = await get(client, f"/v2/models/{model_id}")
    config = await get(client, f"/v2/models/{model_id}/config")

    assert document == {
        "name": model_id,
        "versions": ["1"],
        "platform": "mlservice_msgpack",
        "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}],
        "outputs": [
            {"name": "predict", "datatype": "BYTES", "shape": [-1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]},
        ],
    }
    assert config["input"] == [{"name": "input", "data_type": "TYPE_FP64", "dims": [4]}]
    assert config["output"][0] == {"name": "predict", "data_type": "TYPE_STRING", "dims": [1]}


async def test_a_model_with_text_takes_a_tensor_a_feature(
    client: Client, settings: Settings
) -> None:
    """Text is BYTES, and the classes' type is that of the output."""
    model_id = await store_model(settings, mixed_model())

    document = await get(client, f"/v2/models/{model_id}/versions/1")

    assert document["inputs"] == [
        {"name": "n", "datatype": "FP64", "shape": [-1]},
        {"name": "t", "datatype": "BYTES", "shape": [-1]},
    ]
    assert document["outputs"][0]["datatype"] == "BOOL"


async def test_readiness_of_a_model_is_its_status(client: Client, settings: Settings) -> None:
    """200 for a model that can predict, 503 for one that cannot yet, 404 for none."""
    ready_id = await store_model(settings, three_classes())
    queued_id = await create(client, make_request())

    for path, status in (
        (f"/v2/models/{ready_id}/ready", 200),
        (f"/v2/models/{ready_id}/versions/1/ready", 200),
        (f"/v2/models/{ready_id}/versions/2/ready", 404),
        (f"/v2/models/{ready_id}/versions/x/ready", 404),
        (f"/v2/models/{queued_id}/ready", 503),
        (f"/v2/models/{queued_id}", 503),
        ("/v2/models/nobody/ready", 404),
    ):
        response = await client.get(path)
        document = await response.json()
        assert response.status == status, path
        assert ("error" in document) == (status != 200)
    assert (await get(client, f"/v2/models/{ready_id}/ready")) == {"name": ready_id, "ready": True}


async def test_inference_by_a_model_that_is_not_ready_is_503(client: Client) -> None:
    """And says when to ask again."""
    model_id = await create(client, make_request())

    response = await client.post(f"/v2/models/{model_id}/infer", json={"inputs": [matrix_of(ROWS)]})

    assert response.status == 503
    assert int(response.headers["Retry-After"]) >= 1


async def test_an_alias_has_a_version_for_each_of_its_models(
    client: Client, settings: Settings
) -> None:
    """Without a version it means the newest; an old one goes on predicting."""
    first = await store_model(settings, three_classes())
    second = await store_model(settings, three_classes(intercept=[9.0, 0.0, 0.0]))
    for model_id in (first, second):
        await client.put("/aliases/flowers", json={"model": model_id})

    newest = await infer(client, "flowers", matrix_of(ROWS))
    old = await infer(client, "flowers/versions/1", matrix_of(ROWS))
    absent = await client.post("/v2/models/flowers/versions/3/infer", json={})

    assert (await get(client, "/v2/models/flowers"))["versions"] == ["1", "2"]
    assert (newest["model_name"], "model_version" in newest) == ("flowers", False)
    assert old["model_version"] == "1"
    await check_native(client, first, old)
    await check_native(client, second, newest)
    assert absent.status == 404


async def test_the_index_has_aliases_and_models(client: Client, settings: Settings) -> None:
    """All with their states, or only those that are ready."""
    ready_id = await store_model(settings, three_classes())
    queued_id = await create(client, make_request())
    await client.put("/aliases/flowers", json={"model": ready_id})

    async with client.post("/v2/repository/index") as response:
        index = await response.json()
    async with client.post("/v2/repository/index", json={"ready": True}) as response:
        only_ready = await response.json()

    assert {each["name"]: (each["version"], each["state"]) for each in index} == {
        "flowers": ("1", "READY"),
        ready_id: ("1", "READY"),
        queued_id: ("1", "LOADING"),
    }
    assert {each["name"] for each in only_ready} == {"flowers", ready_id}
    assert set((await get(client, "/v2/models"))["models"]) == {"flowers", ready_id}


async def test_what_is_told_of_an_alias_has_the_version_that_predicts(
    client: Client, settings: Settings
) -> None:
    """An index or a state that named version 1 would send its reader to the oldest model."""
    first = await store_model(settings, three_classes())
    second = await store_model(settings, three_classes())
    for model_id in (first, second):
        await client.put("/aliases/flowers", json={"model": model_id})

    async with client.post("/v2/repository/index") as response:
        index = {each["name"]: each["version"] for each in await response.json()}
    stats = await get(client, "/v2/models/flowers/stats")
    old = await get(client, "/v2/models/flowers/versions/1/stats")
    states = {
        path: (await get(client, f"/v1/models/flowers{path}"))["model_version_status"]
        for path in ("", "/versions/1", "/labels/latest", "/labels/previous")
    }

    assert index == {"flowers": "2", first: "1", second: "1"}
    assert stats["model_stats"][0]["version"] == "2"
    assert old["model_stats"][0]["version"] == "1"
    assert {path: state["version"] for path, [state] in states.items()} == {
        "": "2",
        "/versions/1": "1",
        "/labels/latest": "2",
        "/labels/previous": "1",
    }


async def test_models_are_loaded_and_dropped(client: Client, settings: Settings) -> None:
    """Both answer 200; a dropped model is loaded again when it is asked."""
    model_id = await store_model(settings, three_classes())
    queued_id = await create(client, make_request())

    loaded = await client.post(f"/v2/repository/models/{model_id}/load")
    dropped = await client.post(f"/v2/repository/models/{model_id}/unload", data=b"{}")

    assert (loaded.status, dropped.status) == (200, 200)
    await infer(client, model_id, matrix_of(ROWS))
    assert (await client.post(f"/v2/repository/models/{queued_id}/load")).status == 503
    assert (await client.post("/v2/repository/models/nobody/load")).status == 404


@pytest.fixture
def service(client: Client, settings: Settings) -> tuple[Client, Settings]:
    """Return the service, and where its store is."""
    return client, settings


async def test_statistics_count_inferences_and_rows(client: Client, settings: Settings) -> None:
    """A request with three rows is one execution, a refused one is a failure."""
    model_id = await store_model(settings, three_classes())
    await infer(client, model_id, matrix_of(ROWS))
    await infer(client, model_id, matrix_of(ROWS[:1]))
    await client.post(f"/v2/models/{model_id}/infer", json={"inputs": []})

    [told] = (await get(client, f"/v2/models/{model_id}/stats"))["model_stats"]
    every = (await get(client, "/v2/models/stats"))["model_stats"]

    assert (told["inference_count"], told["execution_count"]) == (4, 2)
    assert told["inference_stats"]["success"]["count"] == 2
    assert told["inference_stats"]["success"]["ns"] > 0
    assert told["inference_stats"]["fail"]["count"] == 1
    assert told["last_inference"] > 0
    assert every == [told]


@pytest.mark.parametrize(
    ("path", "body", "media_type", "rows"),
    [
        ("/models/{}?a=1&b=2", None, "", 1),
        ("/models/{}/predictions", '{"a": [1, 2], "b": [2, 3]}', "application/json", 2),
        ("/models/{}/predictions?top=1", '[{"a": 1, "b": 2}]', "application/json", 1),
        ("/models/{}/predictions", "a,b\n1,2\n1,?\n", "text/csv", 1),
        ("/v1/models/{}:predict", '{"instances": [[1, 2]]}', "application/json", 1),
        ("/models/{}/invocations", '{"inputs": [[1, 2]]}', "application/json", 1),
        ("/models/{}/predictions", "a,b\n1,?\n", "text/csv", 0),
        ("/models/{}?a=1", None, "", 0),
    ],
)
async def test_last_inference_is_the_last_prediction_in_any_protocol(
    service: tuple[Client, Settings], path: str, body: str | None, media_type: str, rows: int
) -> None:
    """In milliseconds of Unix time, 0 where no row was predicted, whenever it is asked."""
    client, settings = service
    model_id = await store_model(settings, make_model())
    begun_ms = time.time_ns() // 1_000_000

    method, headers = "POST" if body else "GET", {"Content-Type": media_type} if body else {}
    await client.request(method, path.format(model_id), data=body, headers=headers)

    [told] = (await get(client, f"/v2/models/{model_id}/stats"))["model_stats"]
    [again] = (await get(client, f"/v2/models/{model_id}/stats"))["model_stats"]
    ended_ms = time.time_ns() // 1_000_000
    assert told["inference_count"] == rows
    assert again == told
    if rows:
        assert begun_ms - 1 <= told["last_inference"] <= ended_ms + 1
    else:
        assert told["last_inference"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/health/live", 405),
        ("GET", "/v2/models/x/infer", 405),
        ("GET", "/v2/systemsharedmemory/status", 404),
        ("GET", "/v2/models/x/unknown", 404),
    ],
)
async def test_wrong_paths_and_methods_have_the_member_error(
    client: Client, method: str, path: str, status: int
) -> None:
    """The framework's own failures are told as the others are."""
    response = await client.request(method, path)

    assert response.status == status
    assert (await response.json())["error"]


async def test_an_answer_that_is_written_in_blocks_is_the_same(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long one is, so that single rows do not wait for all of it."""
    model_id = await store_model(settings, three_classes())
    whole = await infer(client, model_id, matrix_of(ROWS))

    monkeypatch.setattr(cutting, "CELLS_AT_ONCE", 2)

    assert await infer(client, model_id, matrix_of(ROWS)) == whole
