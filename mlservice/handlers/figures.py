"""What was counted: for Prometheus, and for each model."""

import asyncio
import contextlib

import msgspec
from aiohttp import web

from mlservice.cache import CACHE
from mlservice.drift import FeatureDrift, drift_of
from mlservice.errors import StoreUnavailable
from mlservice.exposition import CONTENT_TYPE, exposition
from mlservice.figures import UNSEEN
from mlservice.ledger import LEDGER
from mlservice.store.queue import QueueState
from mlservice.wire import QUEUE, caller, named_model, respond


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers took to make, without HTTP; the shares are bounds, a factor of two apart."""

    count: int
    total_s: float
    p50_s: float
    p90_s: float
    p99_s: float


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was asked, since the service was started."""

    model: str
    requests: int
    rows: int
    errors: int
    predictions: dict[str, int]
    latency: Latency


class ModelDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far what a model is asked is from what it was trained on."""

    model: str
    features: list[FeatureDrift]


async def drift(request: web.Request) -> web.Response:
    """Tell how far each feature of what a model is asked is from its training."""
    model_id, tenant = await named_model(request), caller(request)
    # What it was trained on is known of a model that was loaded.
    await request.app[CACHE].get(model_id, tenant.models)
    figures = await request.app[LEDGER].together()
    found = figures.models.get(f"{tenant.name}/{model_id}", UNSEEN)
    return respond(ModelDrift(model=model_id, features=drift_of(found.drift)))


async def metrics(request: web.Request) -> web.Response:
    """Tell what was counted, and how the queue is, in the text format of Prometheus."""
    figures = await request.app[LEDGER].together()
    queue: QueueState | None = None
    with contextlib.suppress(StoreUnavailable):
        queue = await request.app[QUEUE]()
    # Of many features it takes long enough to hold up others.
    body = await asyncio.to_thread(exposition, figures, queue, caller(request).name)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def statistics(request: web.Request) -> web.Response:
    """Tell how much a model has predicted, of which classes, and how fast."""
    model_id = await named_model(request)
    tenant = caller(request)
    await tenant.models.record(model_id)
    figures = await request.app[LEDGER].together()
    found = figures.models.get(f"{tenant.name}/{model_id}", UNSEEN)
    spent = found.durations
    return respond(
        Usage(
            model=model_id,
            requests=spent.count,
            rows=found.rows,
            errors=found.errors,
            predictions=found.by_class,
            latency=Latency(
                count=spent.count,
                total_s=spent.total_s,
                p50_s=spent.bound(0.5),
                p90_s=spent.bound(0.9),
                p99_s=spent.bound(0.99),
            ),
        )
    )
