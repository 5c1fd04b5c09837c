"""`POST /models?dry_run=true`: the same checks, and nothing is queued."""

import io
import json
from typing import Any

import pytest
from redis import Redis

from tests.support import JSON, Client, make_request

PATH = "/models?dry_run=true"


async def _post(client: Client, path: str, body: Any) -> tuple[int, Any]:
    async with client.post(path, json=body) as response:
        return response.status, await response.json()


async def test_a_dry_run_tells_what_would_be_trained(client: Client, redis: "Redis") -> None:
    """Columns, rows, classes and options are told, and nothing is stored."""
    status, told = await _post(client, PATH, make_request(name="iris"))

    assert (status, told["name"], told["rows"], told["target"]) == (200, "iris", 150, "species")
    assert [feature["kind"] for feature in told["features"]] == ["number"] * 4
    assert told["classes"] == ["setosa", "versicolor", "virginica"]
    assert told["params"]["max_iter"] == 1000
    assert 5_000_000 < told["memory_bytes"] < 50_000_000
    assert list(redis.scan_iter()) == []


async def test_a_dry_run_is_refused_as_the_training_would_be(client: Client) -> None:
    """What is wrong is told in the same words."""
    wrong = make_request(target="nope")

    dry, real = await _post(client, PATH, wrong), await _post(client, "/models", wrong)

    assert dry[0] == real[0] == 422
    assert dry[1]["errors"] == real[1]["errors"]


async def test_a_dry_run_of_csv_has_its_options_in_the_query(client: Client) -> None:
    """`dry_run` is no option of the training."""
    headers = {"Content-Type": "text/csv"}
    path = f"{PATH}&target=y&params.C=0.5"

    async with client.post(path, data=b"x,y\n1,a\n2,b\n3,a\n4,b\n", headers=headers) as response:
        told = await response.json()

    assert response.status == 200, told
    assert (told["rows"], told["params"]["C"]) == (4, 0.5)


async def test_a_large_dry_run_is_refused(client: Client, redis: "Redis") -> None:
    """A body of 1 MiB or more is not read on the way of other requests."""
    body = json.dumps(make_request()).encode() + b" " * (1 << 20)

    async with client.post(PATH, data=io.BytesIO(body), headers=JSON) as response:
        document = await response.json()

    assert (response.status, document["type"]) == (413, "/problems/dry-run-too-large")
    assert list(redis.scan_iter()) == []


@pytest.mark.parametrize(
    ("text", "status"), [("false", 202), ("yes", 422), ("", 422), ("true&dry_run=false", 422)]
)
async def test_dry_run_is_true_or_false(client: Client, text: str, status: int) -> None:
    """Anything else is refused by name, since it might be meant as either."""
    found, document = await _post(client, f"/models?dry_run={text}", make_request())

    assert found == status
    if status == 422:
        assert document["errors"][0]["parameter"] == "dry_run"


@pytest.mark.parametrize("query", ["dry-run=true", "target=other", "params.C=7&dry_run=true"])
async def test_options_of_a_json_body_do_not_stand_in_the_query(
    client: Client, redis: "Redis", query: str
) -> None:
    """What would not be read there is refused by name: `dry-run` would have been a training."""
    response = await client.post(f"/models?{query}", json=make_request())

    problem = await response.json()
    assert (response.status, problem["type"]) == (422, "/problems/invalid-parameter")
    [fault] = problem["errors"]
    assert fault["parameter"] == query.partition("=")[0]
    assert redis.keys("mls:model:*") == []
