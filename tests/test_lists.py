"""Lists of models by state and name, through HTTP."""

from itertools import product
from typing import Any

import pytest

from mlservice.settings import Settings
from mlservice.store import listing
from tests.support import Client, create, get, make_request, work


async def _names(client: Client, path: str) -> list[str]:
    """Return the names of all pages, each page by the link of the one before."""
    names: list[str] = []
    following: str | None = path
    while following:
        async with client.get(following) as response:
            page = await response.json()
            assert response.status == 200, page
            names += [model["name"] for model in page["models"]]
            link = response.headers.get("Link", "")
            following = link[1:].partition(">")[0] if page["next"] else None
    return names


@pytest.fixture
async def named(client: Client, settings: Settings) -> Client:
    """Return a client whose service has models of three states and two families."""
    await create(client, make_request(name="iris 1"))
    await create(client, make_request(name="wine & co"))
    await work(settings)
    for name in ("iris 2", "wine 2", "iris 3"):
        model_id = await create(client, make_request(name=name))
        if name != "iris 3":
            await client.post(f"/models/{model_id}/cancel")
    return client


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=ready", ["wine & co", "iris 1"]),
        ("state=cancelled", ["wine 2", "iris 2"]),
        ("state=queued", ["iris 3"]),
        ("state=failed", []),
        ("name=iris", ["iris 3", "iris 2", "iris 1"]),
        ("name=wine+%26", ["wine & co"]),
        ("name=iris&state=cancelled", ["iris 2"]),
        ("name=Iris", []),
    ],
)
async def test_models_are_listed_by_state_and_name(
    named: Client,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    expected: list[str],
) -> None:
    """Over all pages each model that matches comes once, newest first."""
    monkeypatch.setattr(listing, "MOST_SCANS", 2)

    for limit, at_once in product((1, 2, 50), (1, 2, 500)):
        monkeypatch.setattr(listing, "SCANNED_AT_ONCE", at_once)
        assert await _names(named, f"/models?limit={limit}&{query}") == expected


async def test_a_page_is_filled_as_far_as_one_request_looks(
    named: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request looks at so many models only, and says where to go on."""
    monkeypatch.setattr(listing, "SCANNED_AT_ONCE", 1)
    monkeypatch.setattr(listing, "MOST_SCANS", 2)

    page: Any = await get(named, "/models?state=ready")

    assert page["models"] == []
    assert page["next"]


async def test_a_list_reads_no_description(client: Client, redis: Any) -> None:
    """A page of models takes the same time however large their documents are."""
    model_id = await create(client, make_request(name="iris"))
    expected: Any = await get(client, f"/models/{model_id}")
    redis.hdel(f"mls:model:{model_id}", "description")

    page: Any = await get(client, "/models")

    assert page["models"] == [{name: expected[name] for name in page["models"][0]}]
