"""Models' files taken in, through HTTP."""

from typing import Any

import msgspec
import pytest

from mlservice.app import create_app
from mlservice.model import MEDIA_TYPE, Model, encode
from mlservice.settings import Settings
from tests.support import Client, Server, get, make_model, store_model
from tests.test_export import MODELS

FILE = {"Content-Type": MEDIA_TYPE}
QUERIES = ["n=0.5&o=1&t=b", "n=-1.5&o=&t=c", "n=3&o=4&t=", "n=1000&o=-1000&t=never+seen"]


async def _predictions(client: Client, path: str, model: Model) -> list[Any]:
    """Return what a model predicts for some rows, without its id."""
    names = [each.name for each in model.features]
    answers = []
    for query in QUERIES if len(names) == 3 else ["a=0.5&b=-2", "a=1e3&b=1e-3"]:
        values = [pair.partition("=")[2] for pair in query.split("&")]
        row = dict(zip(names, (value.replace("+", " ") for value in values), strict=True))
        async with client.get(path, params=row) as response:
            assert response.status == 200
            answers.append({**await response.json(), "model": None})
    return answers


@pytest.mark.parametrize(
    "model",
    [*MODELS, make_model(), make_model(classes=(1, 2, 3)), make_model(classes=(False, True))],
)
async def test_an_imported_model_is_the_one_that_was_downloaded(
    client: Client, settings: Settings, model: Model
) -> None:
    """Downloaded, deleted and imported again, a model predicts the same from the same bytes."""
    origin = f"/models/{await store_model(settings, model)}"
    before = await _predictions(client, origin, model)
    async with client.get(f"{origin}/artifact") as download:
        file, etag = await download.read(), download.headers["ETag"]
    assert (await client.delete(origin)).status == 204

    response = await client.post("/models?name=back+again", data=file, headers=FILE)

    document = await response.json()
    assert response.status == 201, document
    path = response.headers["Location"]
    assert path == document["links"]["self"]
    assert (document["state"], document["name"]) == ("ready", "back again")
    assert document["provenance"] == {**model.provenance, "imported": True}
    assert document["target"] == model.target
    assert document["finished_at"] == document["created_at"]
    assert await _predictions(client, path, model) == before
    async with client.get(f"{path}/artifact") as again:
        assert (await again.read(), again.headers["ETag"]) == (file, etag)
    assert await get(client, path) == document
    assert [each["id"] for each in (await get(client, "/models"))["models"]] == [document["id"]]


@pytest.mark.parametrize("file", [b"", b"{}", encode(make_model())[:-1], b"\x80\x04\x95."])
async def test_a_file_that_is_no_model_leaves_nothing(
    client: Client, redis: Any, file: bytes
) -> None:
    """Broken bytes are told, and nothing is stored of them."""
    response = await client.post("/models", data=file, headers=FILE)

    assert response.status == 422
    assert (await response.json())["type"] == "/problems/invalid-model"
    assert [key for key in redis.keys("mls:*") if key != b"mls:workers"] == []


async def test_a_repeated_import_makes_one_model(client: Client) -> None:
    """The same key and file answer with the first model, another file is refused."""
    files = [encode(make_model()), encode(make_model()), encode(make_model(classes=(1, 2)))]
    headers = {**FILE, "Idempotency-Key": "once"}

    answers = [await client.post("/models", data=file, headers=headers) for file in files]

    assert [answer.status for answer in answers] == [201, 201, 422]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert (await answers[2].json())["type"] == "/problems/idempotency-key-reused"
    assert len((await get(client, "/models"))["models"]) == 1


async def test_limits_hold_for_imports(settings: Settings, redis: Any, aiohttp_client: Any) -> None:
    """A file has a largest size, and an imported model counts as one that is stored."""
    file = encode(make_model())
    limited = msgspec.structs.replace(settings, models_per_tenant=1, model_bytes=len(file))
    client: Client = await aiohttp_client(Server(create_app(limited)))

    large = await client.post("/models", data=file + b"x", headers=FILE)
    first = await client.post("/models", data=file, headers=FILE)
    second = await client.post("/models", data=file, headers=FILE)

    assert [large.status, first.status, second.status] == [413, 201, 429]
    assert "MLSERVICE_MODEL_BYTES" in (await large.json())["detail"]
    assert "MLSERVICE_MODELS_PER_TENANT" in (await second.json())["detail"]
    assert len(redis.keys("mls:artifact:*")) == 1
    assert redis.keys("mls:staged:*") == []


@pytest.mark.parametrize("query", ["target=x", "name=", f"name={'x' * 201}", "name=a&name=b"])
async def test_an_import_takes_a_name_and_nothing_else(client: Client, query: str) -> None:
    """What would be an option of a training is refused."""
    response = await client.post(f"/models?{query}", data=encode(make_model()), headers=FILE)

    assert response.status == 422
    assert (await response.json())["type"] == "/problems/invalid-parameter"


async def test_an_alias_points_at_an_imported_model(client: Client) -> None:
    """An imported model is as good as one that was trained here."""
    response = await client.post("/models", data=encode(make_model()), headers=FILE)
    model_id = (await response.json())["id"]

    moved = await client.put("/aliases/best", json={"model": model_id})

    assert moved.status in {200, 201}
    assert (await get(client, "/models/best?a=1&b=2"))["model"] == model_id
