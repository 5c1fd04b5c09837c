"""The V1 protocol of KServe and TensorFlow Serving under `/v1`, through HTTP."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from mlservice.app import create_app
from mlservice.model import Model
from mlservice.schemas import Feature
from mlservice.settings import Settings
from tests.support import Client, Server, create, get, make_model, make_request, store_model

ROWS = [[0.5, -1.0], [3.0, 1.5], [-4.0, 0.0]]


def three_classes(**members: Any) -> Model:
    """Return a model of two numbers and three classes."""
    given: dict[str, Any] = {"classes": ("x", "y", "z"), "coef": [[1, -1], [0.5, 2], [-3, 0.25]]}
    return make_model(**given | members)


def mixed_model() -> Model:
    """Return a model of a number that may be missing, and a text."""
    return make_model(
        described=(
            Feature(name="n", missing=True, fill=2.0),
            Feature(name="t", kind="text", categories=("u", "v")),
        ),
        coef=[[1.0, 10.0, -10.0]],
        intercept=[0.5],
        classes=(1, 2),
    )


async def post(client: Client, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    """Return status and document of what was posted, with no media type but curl's."""
    curl = {"Content-Type": "application/x-www-form-urlencoded"}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post(f"/v1/models/{path}", data=data, headers=curl | headers) as response:
        return response.status, await response.json()


async def natively(client: Client, model_id: str, rows: list[list[float]]) -> list[Any]:
    """Return the service's own answers to rows of a and b."""
    return [await get(client, f"/models/{model_id}?a={a}&b={b}") for a, b in rows]


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"instances": ROWS}, "predictions"),
        ({"instances": [{"b": b, "a": a} for a, b in ROWS]}, "predictions"),
        ({"inputs": ROWS}, "predictions"),
        ({"inputs": {"b": [b for _, b in ROWS], "a": [a for a, _ in ROWS]}}, "outputs"),
        ({"instances": ROWS, "signature_name": "serving_default", "more": 1}, "predictions"),
        ({"specversion": "1.0", "id": "1", "type": "t", "source": "s",
          "data": {"instances": ROWS}}, "predictions"),
    ],
)  # fmt: skip
async def test_rows_and_columns_are_predicted_as_natively(
    client: Client, settings: Settings, body: Any, member: str
) -> None:
    """Each form of the request gives the labels, rows as `predictions`, columns as `outputs`."""
    model_id = await store_model(settings, three_classes())

    status, document = await post(client, f"{model_id}:predict", body)

    wanted = await natively(client, model_id, ROWS)
    assert (status, document) == (200, {member: [each["prediction"] for each in wanted]})


async def test_a_few_rows_and_many_are_the_same(client: Client, settings: Settings) -> None:
    """Rows that are predicted without numpy get the classes that they get among many."""
    model_id = await store_model(settings, three_classes())

    _, few = await post(client, f"{model_id}:predict", {"instances": ROWS})
    _, many = await post(client, f"{model_id}:predict", {"instances": ROWS * 3})
    counted = await get(client, f"/v2/models/{model_id}/stats")

    assert many["predictions"] == few["predictions"] * 3
    assert counted["model_stats"][0]["inference_count"] == 12


async def test_a_model_of_one_feature_takes_its_values_bare(
    client: Client, settings: Settings
) -> None:
    """An instance may be a scalar."""
    model_id = await store_model(settings, make_model(features=("a",), coef=[[1.0]]))

    for instances in ([-5, 5.5], [[-5], [5.5]], [-5, [5.5]]):
        status, document = await post(client, f"{model_id}:predict", {"instances": instances})
        assert (status, document) == (200, {"predictions": ["no", "yes"]})


async def test_a_model_of_one_text_takes_it_bare_and_in_base64(
    client: Client, settings: Settings
) -> None:
    """An instance may be `{"b64": …}`, as TensorFlow Serving has it."""
    feature = Feature(name="t", kind="text", categories=("u", "v"))
    model = make_model(described=(feature,), coef=[[-1.0, 1.0]], intercept=[0.0])
    model_id = await store_model(settings, model)
    u, v = ({"b64": base64.b64encode(text).decode()} for text in (b"u", b"v"))

    for instances in (["u", "v"], [u, v], [u, "v"], [[u], [v]], [{"t": u}, {"t": "v"}]):
        status, document = await post(client, f"{model_id}:predict", {"instances": instances})
        assert (status, document) == (200, {"predictions": ["no", "yes"]})


async def test_text_and_missing_values_are_predicted(client: Client, settings: Settings) -> None:
    """By position or by name, and text as base64 too."""
    model_id = await store_model(settings, mixed_model())
    coded = {"b64": base64.b64encode(b"u").decode()}
    wanted = [1, 2]

    for instances in (
        [[1.5, "v"], [None, "u"]],
        [{"t": "v", "n": 1.5}, {"t": coded, "n": None}],
    ):
        status, document = await post(client, f"{model_id}:predict", {"instances": instances})
        assert (status, document) == (200, {"predictions": wanted})


async def test_classification_tells_every_classs_probability(
    client: Client, settings: Settings
) -> None:
    """Pairs of label and score, in the order of the classes; the context is for all examples."""
    model_id = await store_model(settings, three_classes())
    examples = [{"a": a} for a, _ in ROWS]

    status, document = await post(
        client, f"{model_id}:classify", {"examples": examples, "context": {"b": 0.5}}
    )

    wanted = await natively(client, model_id, [[a, 0.5] for a, _ in ROWS])
    assert status == 200
    for found, native in zip(document["result"], wanted, strict=True):
        assert dict(found) == pytest.approx(native["probabilities"], rel=1e-12)
        assert [label for label, _ in found] == ["x", "y", "z"]


async def test_explanations_sum_to_the_log_odds(client: Client, settings: Settings) -> None:
    """The intercept and what each feature adds are the score of a class."""
    model = three_classes()
    model_id = await store_model(settings, model)

    status, document = await post(client, f"{model_id}:explain", {"instances": ROWS})

    assert status == 200
    assert len(document["predictions"]) == len(ROWS)
    for row, told in zip(ROWS, document["explanations"], strict=True):
        scores = model.coef @ row + model.intercept
        sums = [
            told["intercept"][name] + sum(told["contributions"][name].values()) for name in "xyz"
        ]
        assert sums == pytest.approx(scores.tolist())


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"instances": ROWS, "inputs": ROWS}, None),
        ({}, None),
        ({"instances": {"a": [1], "b": [2]}}, "/instances"),
        ({"instances": "x"}, "/instances"),
        ({"instances": []}, "/instances"),
        ({"instances": [[1, 2], [3]]}, "/instances/1"),
        ({"instances": [[1, 2, 3]]}, "/instances"),
        ({"instances": [[1, "2"]]}, "/instances/0/1"),
        ({"instances": [[1, None]]}, "/instances/0/1"),
        ({"instances": [{"a": 1, "b": 2}, [1, 2]]}, "/instances/1"),
        ({"instances": [{"a": 1}]}, "/instances"),
        ({"instances": [{"a": 1, "b": 2, "c": 3}]}, "/instances/0/c"),
        ({"instances": [{"a": 1, "b": 2}, {"a": 1}]}, "/instances/1"),
        ({"instances": [1, 2]}, "/instances/0"),
        ({"inputs": {"a": [1], "b": [2, 3]}}, "/inputs/b"),
        ({"inputs": {"a": 1, "b": 2}}, "/inputs/a"),
        ({"inputs": 5}, "/inputs"),
        (b'{"instances": [[NaN, 1]]}', None),
        (b'{"instances": ' + b"[" * 100_000, None),
        (b'{"instances": [[1e400, 1]]}', None),
        (b"[[1, 2]]", None),
        (b"", None),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(
    client: Client, settings: Settings, body: Any, place: str | None
) -> None:
    """Every refusal is 400 and has the member `error`."""
    model_id = await store_model(settings, make_model())

    status, document = await post(client, f"{model_id}:predict", body)

    assert status == 400
    assert document["error"]
    if place:
        assert document["errors"][0]["pointer"] == place


async def test_faults_of_a_feature_called_data_are_told_with_their_place(
    client: Client, settings: Settings
) -> None:
    """Its name is not taken for a member of the body."""
    model_id = await store_model(settings, make_model(features=("data",), coef=[[1.0]]))

    _, document = await post(client, f"{model_id}:predict", {"inputs": {"data": [1, "x"]}})

    assert document["errors"][0]["pointer"] == "/inputs/data/1"


async def test_nobody_is_told_of_an_option_that_the_protocol_has_not(
    client: Client, settings: Settings
) -> None:
    """`extra=ignore` is the native path's alone."""
    model_id = await store_model(settings, make_model())
    row = {"a": 1, "b": 2, "c": 3}

    _, document = await post(client, f"{model_id}:predict", {"instances": [row]})
    async with client.post(f"/models/{model_id}/predictions", json=[row]) as response:
        natively = await response.json()

    assert document["error"] == "'c' is not a feature of the model; leave it out."
    assert natively["detail"].endswith("; leave it out, or say extra=ignore.")


@pytest.mark.parametrize("text", ["!", "/w==", 5])
async def test_base64_that_is_no_text_is_refused(
    client: Client, settings: Settings, text: Any
) -> None:
    """It must be base64 of UTF-8."""
    model_id = await store_model(settings, mixed_model())

    status, document = await post(
        client, f"{model_id}:predict", {"instances": [{"n": 1, "t": {"b64": text}}]}
    )

    assert status == 400
    assert "base64" in document["error"]


async def test_the_state_of_a_model_is_told_in_both_servers_words(
    client: Client, settings: Settings
) -> None:
    """KServe reads `ready`, TensorFlow Serving the state of a version; 503 while it trains."""
    model_id = await store_model(settings, three_classes())
    queued_id = await create(client, make_request())

    document = await get(client, f"/v1/models/{model_id}")
    queued = await client.get(f"/v1/models/{queued_id}")
    predicted = await post(client, f"{queued_id}:predict", {"instances": ROWS})

    assert document == {
        "name": model_id,
        "ready": True,
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ],
    }
    assert (queued.status, predicted[0]) == (503, 503)
    assert (await queued.json())["error"]
    assert (await client.get("/v1/models/nobody")).status == 404


async def test_metadata_have_the_tensors_of_the_model(client: Client, settings: Settings) -> None:
    """Its inputs and outputs are those of the Open Inference Protocol."""
    model_id = await store_model(settings, three_classes())

    document = await get(client, f"/v1/models/{model_id}/metadata")
    other = await get(client, f"/v2/models/{model_id}")

    assert document["model_spec"]["name"] == model_id
    assert document["metadata"] == {"inputs": other["inputs"], "outputs": other["outputs"]}


async def test_versions_and_labels_name_an_aliass_models(
    client: Client, settings: Settings
) -> None:
    """The newest is `latest`, the one before it `previous`."""
    first = await store_model(settings, make_model(intercept=[-99.0]))
    second = await store_model(settings, make_model(intercept=[99.0]))
    for model_id in (first, second):
        await client.put("/aliases/m", json={"model": model_id})

    answers = {
        path: await post(client, f"{path}:predict", {"instances": [[0, 0]]})
        for path in ("m", "m/versions/1", "m/versions/2", "m/labels/latest", "m/labels/previous")
    }

    labels = {path: document["predictions"] for path, (_, document) in answers.items()}
    assert labels == {
        "m": ["yes"],
        "m/versions/1": ["no"],
        "m/versions/2": ["yes"],
        "m/labels/latest": ["yes"],
        "m/labels/previous": ["no"],
    }
    assert (await post(client, "m/labels/stable:predict", {}))[0] == 404
    assert (await post(client, "m/versions/0:predict", {}))[0] == 404
    assert (await get(client, "/v1/models"))["models"][0] == "m"
    assert (await client.get("/v1/models/m/labels/latest/metadata")).status == 200


async def test_many_instances_are_predicted_beside_the_loop(
    client: Client, settings: Settings
) -> None:
    """A large body gives what its rows give alone, and an answer may be compressed."""
    model_id = await store_model(settings, three_classes())

    async with client.post(
        f"/v1/models/{model_id}:predict", json={"instances": ROWS * 2000}
    ) as response:
        document = await response.json()

    wanted = await natively(client, model_id, ROWS)
    assert response.headers["Content-Encoding"] in {"gzip", "deflate"}
    assert document["predictions"] == [each["prediction"] for each in wanted] * 2000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/{id}:predict", {"instances": ROWS}),
        ("/v1/models/{id}:explain", {"instances": ROWS[:2]}),
        ("/v1/models/{id}:classify", {"examples": [{"a": 1, "b": 2}] * 3}),
        ("/models/{id}/invocations", {"instances": ROWS}),
        (
            "/v2/models/{id}/infer",
            {"inputs": [{"name": "x", "shape": [3, 2], "datatype": "FP64", "data": ROWS}]},
        ),
    ],
)
async def test_an_answer_that_would_be_too_large_is_refused(
    settings: Settings,
    aiohttp_client: Callable[[Server], Awaitable[Client]],
    path: str,
    body: Any,
) -> None:
    """Rows times classes are limited, and with explanations times features."""
    app = create_app(msgspec.structs.replace(settings, prediction_cells=8))
    client = await aiohttp_client(Server(app))
    model_id = await store_model(settings, three_classes())

    async with client.post(path.replace("{id}", model_id), json=body) as response:
        document = await response.json()

    assert response.status == 400
    assert "MLSERVICE_PREDICTION_CELLS" in document["detail"]


@pytest.mark.parametrize("verb", ["regress", "other", ""])
async def test_an_unknown_verb_is_refused(client: Client, settings: Settings, verb: str) -> None:
    """What cannot be done is told in the member `error`."""
    model_id = await store_model(settings, make_model())

    status, document = await post(client, f"{model_id}:{verb}", {"instances": [[1, 2]]})

    assert status in {404, 405}
    assert document["error"]


async def test_the_index_says_that_the_server_is_alive(client: Client) -> None:
    """KServe's client asks for it."""
    assert (await get(client, "/"))["status"] == "alive"
