"""The examples of the OpenAPI document, sent as they stand there."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from mlservice import __version__
from mlservice.openapi import document
from mlservice.routes import ROUTES
from mlservice.settings import Settings
from tests.support import Client, create, work

DESCRIBED: Any = json.loads(
    json.dumps(document([route.operation() for route in ROUTES], version=__version__))
)
PATH = {"id": "default", "version": "1", "label": "latest"}
TAKES_OWN = ("/aliases/{alias}", "/v2/repository/index")  # a model's id; nothing at all


def contents() -> Iterator[tuple[str, str, str, Any]]:
    """Yield method, path and media type of each body, and what is said of it."""
    for path, methods in DESCRIBED["paths"].items():
        for method, operation in methods.items():
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                yield method, path, media_type, content


EXAMPLES = [each for each in contents() if "example" in each[3]]


@pytest.fixture
async def trained(client: Client, settings: Settings) -> Client:
    """Return a client of a service whose alias `default` is the model of the first example."""
    [training] = [
        content["example"]
        for _, path, media_type, content in EXAMPLES
        if (path, media_type) == ("/models", "application/json")
    ]
    model = await create(client, training)
    await work(settings)
    async with client.put("/aliases/default", json={"model": model}) as response:
        assert response.status == 200, await response.text()
    return client


def test_every_json_body_has_an_example() -> None:
    """But those that name a model of one's own, or may be empty."""
    without = [
        path
        for _, path, media_type, content in contents()
        if media_type == "application/json" and "example" not in content
    ]

    assert sorted(without) == sorted(TAKES_OWN)


def test_an_example_keeps_to_its_schema() -> None:
    """A body that is shown is one that the document allows."""
    wrong = [
        (path, error.message)
        for _, path, _, content in EXAMPLES
        for error in OAS31Validator(
            content.get("schema", {}) | {"components": DESCRIBED["components"]}
        ).iter_errors(content["example"])
    ]

    assert wrong == []


async def test_what_is_shown_may_be_sent_as_it_is(trained: Client) -> None:
    """Bodies, the row of a query, and the defaults that a page fills in beside a body."""
    refused = []
    for method, path, media_type, content in EXAMPLES:
        body = content["example"]
        data = body if isinstance(body, str) else json.dumps(body)
        async with trained.request(
            method,
            path.format(**PATH),
            params=_filled_in(path, method),
            data=data,
            headers={"Content-Type": media_type},
        ) as response:
            if response.status not in {200, 202}:
                refused.append((path, media_type, await response.text()))
    async with trained.get("/models/default", params=_filled_in("/models/{id}", "get")) as response:
        prediction = (await response.json())["prediction"]

    assert refused == []
    assert prediction == "versicolor"


def _filled_in(path: str, method: str) -> dict[str, str]:
    """Return the query that a page sends when nobody has changed it."""
    query: dict[str, str] = {}
    for each in DESCRIBED["paths"][path][method].get("parameters", []):
        if each["in"] != "query":
            continue
        if each["schema"].get("type") == "object":  # free names are made up without an example
            query |= {name: str(value) for name, value in each["example"].items()}
        elif (default := each["schema"].get("default")) is not None:
            query[each["name"]] = str(default).lower()
    return query
