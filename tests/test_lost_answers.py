"""A worker whose step is cut off, or refused, at the one moment that matters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from redis import Redis

from mlservice.settings import Settings
from mlservice.store import link
from tests.chaos.tasks import Task, tasks
from tests.proxy import Proxy, sha1_of
from tests.support import Client, create, get, until
from workers.patience import PatientWorker
from workers.settings import worker_options

QUICK, _, SLOW = tasks()
CUTS = pytest.mark.parametrize(
    "cut", [Proxy.cut_before, Proxy.cut_after], ids=["unseen", "unanswered"]
)
Cut = Callable[[Proxy, bytes], None]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings by which a lost worker is noticed soon."""
    return msgspec.structs.replace(settings, lease_s=1.5, renew_s=0.1, sweep_s=0.2)


@pytest.fixture
async def proxy(settings: Settings, redis: "Redis") -> AsyncIterator[Proxy]:
    """Return a proxy in front of a Valkey that knows every script."""
    for source in link._SOURCES.values():
        redis.script_load(source)
    async with Proxy(settings.redis_url) as proxy:
        yield proxy


@contextlib.asynccontextmanager
async def _worker(settings: Settings, proxy: Proxy) -> AsyncIterator[None]:
    """Run a worker that has its store by way of the proxy."""
    theirs = msgspec.structs.replace(settings, redis_url=proxy.url)
    worker = PatientWorker(handle_signals=False, **worker_options(theirs))
    run = asyncio.create_task(worker.async_run())
    try:
        yield
    finally:
        await worker.close()
        await asyncio.gather(run, return_exceptions=True)


async def _reaches(client: Client, model_id: str, state: str) -> dict[str, Any]:
    async def ask() -> Any:
        document = await get(client, f"/models/{model_id}")
        return document if document["state"] == state else None

    document: dict[str, Any] = await until(ask, within_s=20)
    return document


async def _check(client: Client, model_id: str, task: Task, *, attempts: int = 1) -> None:
    """End with one model after so many attempts; the checker compares what it predicts."""
    document = await _reaches(client, model_id, "ready")
    assert document["attempts"] == attempts
    for query in task.queries:
        assert "probabilities" in await get(client, f"/models/{model_id}?{query}")


@pytest.mark.parametrize("step", ["claim", "renew", "finish"])
@CUTS
async def test_a_workers_step_that_is_cut_off_makes_one_model(
    client: Client, proxy: Proxy, settings: Settings, *, cut: Cut, step: str
) -> None:
    """Never seen, or done and never answered: the training ends once, and as it would have.

    Fails when a claim is not known again by its claimant, and when the worker takes its last
    step once only.
    """
    task = SLOW if step == "renew" else QUICK
    cut(proxy, sha1_of(step))
    async with _worker(settings, proxy):
        model_id = await create(client, task.request)
        await _check(client, model_id, task)

    assert proxy.sprung == 1


@CUTS
async def test_a_training_whose_giving_back_is_cut_off_is_trained_by_another(
    client: Client, proxy: Proxy, settings: Settings, cut: Cut
) -> None:
    """A worker that stops gives its training back, or its lease does."""
    cut(proxy, sha1_of("requeue"))
    async with _worker(settings, proxy):
        model_id = await create(client, SLOW.request)
        await _reaches(client, model_id, "training")
    assert proxy.sprung == 1

    async with _worker(settings, proxy):
        await _check(client, model_id, SLOW, attempts=2)


@pytest.mark.parametrize(
    ("step", "refusal"),
    [
        ("claim", "LOADING soon"),
        ("claim", "NOAUTH first"),
        ("claim", "OOM memory"),
        ("finish", "READONLY replica"),
        ("finish", "MISCONF disk"),
        ("finish", "OOM memory"),
    ],
)
async def test_a_worker_waits_for_a_store_that_refuses(
    client: Client, proxy: Proxy, settings: Settings, *, step: str, refusal: str
) -> None:
    """Refused three times, the step is taken again; the worker goes on.

    Fails when the worker takes its last step once only; three attempts were used up by `OOM` when
    a store that is full was not waited for.
    """
    proxy.answer(sha1_of(step), f"-{refusal}".encode(), times=3)
    async with _worker(settings, proxy):
        model_id = await create(client, QUICK.request)
        await _check(client, model_id, QUICK)

    assert proxy.sprung == 3
