"""Health, the OpenAPI document, the problems' pages, and the index."""

from typing import Any

import msgspec
import pytest

from mlservice import __version__, jobs
from mlservice.app import create_app
from mlservice.errors import Problem, problems
from mlservice.handlers.operations import VITALS
from mlservice.settings import Settings
from mlservice.store import Link, Trainings, open_redis
from tests.support import Client, Server, get


async def test_a_process_is_alive_whatever_its_store(client: Client) -> None:
    """Liveness asks nobody."""
    assert await get(client, "/health/live") == {"live": True}


async def test_readiness_tells_of_store_and_workers(client: Client, settings: Settings) -> None:
    """Ready to predict without a worker; ready for training once one was seen."""
    alone = await client.get("/health/ready")
    untrained = await client.get("/health/ready?for=training")
    link = Link(open_redis(settings), settings.store_timeout_s)
    await Trainings(link, settings, jobs.entry).announce("worker-1")
    await link.close()
    trained = await client.get("/health/ready?for=training")

    assert alone.status == 200
    assert await alone.json() == {
        "live": True,
        "ready": True,
        "store": True,
        "workers": 0,
        "risks": [],
    }
    assert (untrained.status, (await untrained.json())["ready"]) == (503, False)
    assert (trained.status, (await trained.json())["workers"]) == (200, 1)


async def test_a_process_that_never_reached_its_store_is_not_ready(
    aiohttp_client: Any, settings: Settings, tmp_path: Any
) -> None:
    """Without a store there is nothing to predict with."""
    away = msgspec.structs.replace(settings, redis_url=f"unix://{tmp_path}/none.sock")
    client = await aiohttp_client(Server(create_app(away)))

    response = await client.get("/health/ready")

    assert response.status == 503
    assert await response.json() == {
        "live": True,
        "ready": False,
        "store": False,
        "workers": 0,
        "risks": [],
    }


async def test_a_process_that_drains_is_not_ready(client: Client) -> None:
    """Once the stop has begun, readiness says so first."""
    await get(client, "/health/ready")

    client.app[VITALS].draining = True

    assert (await client.get("/health/ready")).status == 503


@pytest.mark.parametrize("kind", list(problems()), ids=lambda kind: str(kind.slug))
async def test_every_problem_type_is_explained_in_words(
    client: Client, kind: type[Problem]
) -> None:
    """The page behind a problem's `type` has its title, status and explanation."""
    plain = await client.get(f"/problems/{kind.slug}")
    page = await client.get(f"/problems/{kind.slug}", headers={"Accept": "text/html"})

    assert plain.status == page.status == 200
    assert (await plain.text()).startswith(f"{kind.title} ({kind.status})\n\n")
    assert page.content_type == "text/html"
    assert "<h1>" in await page.text()


async def test_an_unknown_problem_type_is_not_found(client: Client) -> None:
    """There is no page for a slug that no problem has."""
    assert (await client.get("/problems/nope")).status == 404


async def test_the_index_says_that_the_service_is_alive(client: Client) -> None:
    """The root tells what this is, in which version, and where to look."""
    index = await get(client, "/")

    assert index["status"] == "alive"
    assert index["version"] == __version__
    for link in index["links"].values():
        assert (await client.get(link)).status == 200
