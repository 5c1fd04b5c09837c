"""Train, describe, list and delete, through HTTP, with a real worker."""

import asyncio
import io
import json
import time
import uuid
import warnings
from typing import Any

import msgspec
import numpy as np
import pytest
from redis import Redis
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from mlservice.app import create_app
from mlservice.settings import Settings
from tests.conftest import Serve
from tests.support import (
    IRIS_FEATURES,
    JSON,
    Client,
    Server,
    create,
    get,
    iris_columns,
    make_request,
    work,
)


async def test_an_empty_name_is_none(client: Client) -> None:
    """The first answer says what later ones say."""
    async with client.post("/models", json=make_request(name="")) as response:
        document = await response.json()

    assert document["name"] is None
    assert (await get(client, f"/models/{document['id']}"))["name"] is None


async def test_training_is_accepted_with_its_place_and_its_document(client: Client) -> None:
    """A training is answered at once with 202, a UUID, and where its document is."""
    response = await client.post("/models", json=make_request(name="iris"))

    document = await response.json()
    assert response.status == 202
    assert response.headers["Location"] == f"/models/{document['id']}"
    assert uuid.UUID(document["id"]).version == 4
    assert document["state"] == "queued"
    assert document["name"] == "iris"
    assert document["rows"] == 150
    assert document["classes"] == ["setosa", "versicolor", "virginica"]
    assert document["params"]["max_iter"] == 1000
    assert document["error"] is None


async def test_links_of_a_document_lead_to_what_they_name(
    client: Client, settings: Settings
) -> None:
    """The document itself, its events and its artifact are there; rows are predicted there."""
    model_id = await create(client, make_request())
    await work(settings)
    links = (await get(client, f"/models/{model_id}"))["links"]
    row = dict.fromkeys(IRIS_FEATURES, 1.0)

    predicted = await client.post(links.pop("predictions"), json=[row])

    assert predicted.status == 200
    assert links.keys() == {"self", "events", "artifact"}
    for path in links.values():
        async with client.get(path) as response:
            assert response.status == 200


def _forms() -> list[Any]:
    columns = iris_columns()
    names = list(columns)
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return [
        columns,
        [dict(zip(names, row, strict=True)) for row in rows],
        {"columns": names, "data": rows},
        {"columns": names, "data": rows, "index": list(range(150))},
    ]


async def test_every_form_of_a_table_gives_the_same_model(
    client: Client, settings: Settings
) -> None:
    """Columns, records and split are one table: one digest, the same coefficients."""
    ids = [await create(client, make_request(data=data)) for data in _forms()]

    await work(settings)

    documents = [await get(client, f"/models/{each}") for each in ids]
    assert {document["state"] for document in documents} == {"ready"}
    assert len({document["provenance"]["data_digest"] for document in documents}) == 1
    first = documents[0]["coefficients"]
    assert [document["coefficients"] for document in documents] == [first] * 4


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer, load_digits])
async def test_prediction_equals_scikit_learns(
    client: Client, settings: Settings, load: Any
) -> None:
    """Probabilities are those of scikit-learn's own fit, to 1e-12, on real tables."""
    dataset = load()
    names = [f"f{i}" for i in range(dataset.data.shape[1])]
    X = np.ascontiguousarray(dataset.data[:200])
    y = dataset.target[:200]
    table = {name: X[:, i].tolist() for i, name in enumerate(names)} | {"y": y.tolist()}
    model_id = await create(
        client, {"data": table, "target": "y", "params": {"max_iter": 50, "C": 0.01}}
    )
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        oracle = LogisticRegression(max_iter=50, C=0.01).fit(X, y)

    await work(settings)

    for row, expected in zip(X[:5], oracle.predict_proba(X[:5]), strict=True):
        query = "&".join(f"{n}={v!r}" for n, v in zip(names, row.tolist(), strict=True))
        answer = await get(client, f"/models/{model_id}?{query}")
        assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-12)
        assert answer["prediction"] == int(oracle.predict(row.reshape(1, -1))[0])


async def test_document_of_a_ready_model_holds_what_was_learnt(
    client: Client, settings: Settings
) -> None:
    """A ready model's document has coefficients by class and column, and its origin."""
    model_id = await create(client, make_request())

    await work(settings)

    document = await get(client, f"/models/{model_id}")
    assert document["state"] == "ready"
    assert document["attempts"] == 1
    assert document["converged"] is True
    assert document["warnings"] == []
    assert set(document["coefficients"]) == {"setosa", "versicolor", "virginica"}
    assert set(document["coefficients"]["setosa"]) == set(IRIS_FEATURES)
    assert set(document["provenance"]["versions"]) >= {"mlservice", "scikit-learn", "numpy"}
    assert document["created_at"] <= document["started_at"] <= document["finished_at"]


async def test_two_classes_have_one_row_of_coefficients_that_of_the_second(
    client: Client, settings: Settings
) -> None:
    """With two classes the coefficients stand under the second one."""
    data = {"x": [1, 2, 3, 4], "y": [False, False, True, True]}
    model_id = await create(client, {"data": data, "target": "y"})

    await work(settings)

    document = await get(client, f"/models/{model_id}")
    assert list(document["coefficients"]) == ["true"]
    assert list(document["intercept"]) == ["true"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["no", "no", "yes", "yes"], "yes"),
        ([0, 0, 1, 1], 1),
        ([-5.0, -5.0, 7.0, 7.0], 7),
        ([False, False, True, True], True),
        (["1", "1", "10", "10"], "10"),
    ],
)
async def test_labels_come_back_as_they_were_sent(
    client: Client, settings: Settings, labels: list[Any], expected: Any
) -> None:
    """Text, integers and booleans keep their type from the table to the prediction."""
    data = {"x": [1, 2, 30, 40], "y": labels}
    model_id = await create(client, {"data": data, "target": "y"})

    await work(settings)

    answer = await get(client, f"/models/{model_id}?x=35")
    assert answer["prediction"] == expected
    assert type(answer["prediction"]) is type(expected)


async def test_a_warning_of_the_fit_stands_in_the_document(
    client: Client, settings: Settings
) -> None:
    """A fit that did not converge is ready, says so, and says what to change."""
    model_id = await create(client, make_request(params={"max_iter": 2}))

    await work(settings)

    document = await get(client, f"/models/{model_id}")
    assert document["state"] == "ready"
    assert document["converged"] is False
    assert document["warnings"][0]["code"] == "not-converged"
    assert "max_iter" in document["warnings"][0]["detail"]


async def test_numbers_too_large_for_the_solver_end_as_failed(
    client: Client, settings: Settings
) -> None:
    """A fit without finite coefficients is failed with the reason, never a wrong model."""
    data = {"x": [1e200, 2e200, -3e200, 4e200], "y": [0, 1, 0, 1]}
    model_id = await create(client, {"data": data, "target": "y"})

    await work(settings)

    document = await get(client, f"/models/{model_id}")
    assert document["state"] == "failed"
    assert document["error"]["type"] == "/problems/numerical-failure"
    assert document["target"] == "y"
    assert (await get(client, f"/models/{model_id}?x=1"))["state"] == "failed"


def _large_request(**members: Any) -> bytes:
    columns = {"x": np.arange(200_000.0).tolist(), "y": [0, 1] * 100_000}
    return json.dumps({"data": columns, "target": "y", "name": "large"} | members).encode()


async def test_a_large_body_is_stored_in_pieces_and_checked_by_the_worker(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """Beyond 1 MiB nothing is parsed before the answer; the worker learns it all."""
    body = _large_request()
    response = await client.post("/models", data=io.BytesIO(body), headers=JSON)
    queued = await response.json()
    pieces = redis.lrange(f"mls:data:{queued['id']}", 0, -1)

    await work(settings)

    ready = await get(client, f"/models/{queued['id']}")
    assert response.status == 202
    assert queued["rows"] is None
    assert b"".join(pieces) == body  # type: ignore[arg-type]  # redis-py's union with awaitables
    assert max(map(len, pieces)) <= 1024 * 1024  # type: ignore[arg-type]
    assert (ready["state"], ready["rows"], ready["name"]) == ("ready", 200_000, "large")


async def test_a_large_body_that_is_wrong_ends_as_failed_with_the_same_problem(
    client: Client, settings: Settings
) -> None:
    """What a small body is refused for, a large one fails for, in the same words."""
    body = io.BytesIO(_large_request(target="z"))
    large = await client.post("/models", data=body, headers=JSON)
    small = await client.post("/models", json={"data": {"x": [1], "y": [1]}, "target": "z"})

    await work(settings)

    failed = await get(client, f"/models/{(await large.json())['id']}")
    assert failed["state"] == "failed"
    assert failed["error"]["errors"] == (await small.json())["errors"]


async def test_the_training_data_are_gone_when_the_training_has_ended(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """After a training only the record, the artifact and counters are left."""
    model_id = await create(client, make_request())

    await work(settings)

    left = {key.decode() for key in redis.scan_iter()}
    assert left == {
        f"mls:model:{model_id}",
        f"mls:artifact:{model_id}",
        f"mls:events:{model_id}",
        "mls:models:anonymous",
        "mls:sequence",
        "mls:pace",
    }


async def test_models_are_listed_newest_first_page_by_page(client: Client) -> None:
    """A list goes from the newest model to the oldest, each once, over its pages."""
    ids = [await create(client, make_request(name=f"n{i}")) for i in range(5)]

    first = await client.get("/models?limit=2")
    page = await first.json()
    seen = [model["id"] for model in page["models"]]
    while page["next"]:
        page = await get(client, f"/models?limit=2&cursor={page['next']}")
        seen += [model["id"] for model in page["models"]]

    assert seen == ids[::-1]
    assert 'rel="next"' in first.headers["Link"]


async def test_a_page_that_ends_exactly_with_the_list_has_no_next(client: Client) -> None:
    """`next` is null when nothing follows, also when the page is full."""
    for _ in range(2):
        await create(client, make_request())

    page = await get(client, "/models?limit=2")

    assert page["next"] is None
    assert len(page["models"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        "limit=1&limit=2",
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=１",
        "cursor=",
        "cursor=x",
        "state=x",
        "order=x",
    ],
)
async def test_a_wrong_parameter_of_a_list_is_refused_by_name(client: Client, query: str) -> None:
    """A list takes its parameters in their ranges, and nothing else."""
    response = await client.get(f"/models?{query}")

    document = await response.json()
    assert response.status == 422
    assert document["type"] == "/problems/invalid-parameter"
    assert document["errors"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("query", ["name=%FF", "state=%C3", "limit=%E2%82"])
async def test_a_query_of_a_list_that_cannot_be_decoded_is_malformed(
    client: Client, query: str
) -> None:
    """400, as for a prediction: a name that nobody sent is not looked for."""
    response = await client.get(f"/models?{query}")

    assert response.status == 400
    assert (await response.json())["type"] == "/problems/malformed-query"


async def test_a_deleted_model_is_gone_with_all_its_keys(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """After DELETE the id is unknown to every request, and nothing of it is stored."""
    model_id = await create(client, make_request())
    await work(settings)
    await get(client, f"/models/{model_id}?sepal_length=1&sepal_width=1")

    response = await client.delete(f"/models/{model_id}")

    assert response.status == 204
    assert (await client.get(f"/models/{model_id}")).status == 404
    assert (await client.get(f"/models/{model_id}?x=1")).status == 404
    assert (await client.delete(f"/models/{model_id}")).status == 404
    assert await get(client, "/models") == {"models": [], "next": None}
    assert {key.decode() for key in redis.scan_iter()} <= {"mls:sequence", "mls:pace"}


async def test_a_queued_model_that_is_deleted_is_never_trained(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """DELETE takes a queued training out of the queue."""
    model_id = await create(client, make_request())

    await client.delete(f"/models/{model_id}")

    await asyncio.wait_for(work(settings), 10)
    assert {key.decode() for key in redis.scan_iter()} <= {"mls:sequence", "mls:pace"}


@pytest.mark.parametrize(
    "path", ["nope", "00000000-0000-4000-8000-000000000000", "%00", "..%2f..", "é" * 200]
)
async def test_an_id_that_no_model_has_is_not_found(client: Client, path: str) -> None:
    """Whatever stands where an id should, the answer is 404 and a problem."""
    response = await client.get(f"/models/{path}")

    assert response.status == 404
    assert (await response.json())["type"] == "/problems/model-not-found"


@pytest.mark.parametrize(
    ("limit", "most", "expected"),
    [
        ("open_trainings", 1, (503, "queue-full")),
        ("open_trainings_per_tenant", 1, (429, "too-many-trainings")),
        ("open_bytes", 8000, (503, "queue-full")),
        ("open_bytes_per_tenant", 8000, (429, "too-many-trainings")),
        ("models_per_tenant", 1, (429, "too-many-models")),
    ],
)
async def test_limits_on_trainings_and_models_are_named(
    serve: Serve, redis: "Redis", limit: str, most: int, expected: tuple[int, str]
) -> None:
    """One's own limit is 429, that of all 503, with the setting's name, and no trace is left."""
    client = await serve(**{limit: most})
    await create(client, make_request())

    response = await client.post("/models", json=make_request())

    document = await response.json()
    assert (response.status, document["type"].removeprefix("/problems/")) == expected
    assert ("Retry-After" in response.headers) is (limit != "models_per_tenant")
    assert f"MLSERVICE_{limit.upper()}" in document["detail"]
    assert len(list(redis.scan_iter("mls:data:*"))) == 1


async def test_a_full_queue_tells_how_long_it_will_take(serve: Serve, redis: "Redis") -> None:
    """`Retry-After` is the time that the queued ones take, by what trainings took of late."""
    client = await serve(open_trainings=3, worker_slots=2)
    for _ in range(3):
        await create(client, make_request())
    redis.set("mls:pace", 40_000)
    redis.zadd("mls:workers", {"a": time.time(), "b": time.time(), "gone": 1})

    async with client.post("/models", json=make_request()) as response:
        told_s = int(response.headers["Retry-After"])

    # 3 trainings of 40 s on 2 workers of 2 slots each, give or take a fifth.
    assert 24 <= told_s <= 36


@pytest.mark.parametrize(
    ("limit", "most", "body"),
    [
        ("max_features", 3, make_request()),
        ("max_classes", 2, make_request()),
        ("max_cells", 599, make_request()),
        ("max_coefficients", 11, make_request()),
    ],
)
async def test_limits_on_tables_are_named(
    aiohttp_client: Any, settings: Settings, limit: str, most: int, body: dict[str, Any]
) -> None:
    """A table beyond a limit is refused with the setting's name."""
    limited = msgspec.structs.replace(settings, **{limit: most})
    client = await aiohttp_client(Server(create_app(limited)))

    response = await client.post("/models", json=body)

    document = await response.json()
    assert response.status == 422
    assert document["type"] == "/problems/table-too-large"
    assert f"MLSERVICE_{limit.upper()}" in document["detail"]
