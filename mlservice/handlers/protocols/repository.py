"""What the Open Inference Protocol tells of models: metadata, readiness, index, statistics."""

import msgspec
from aiohttp import web

from mlservice import __version__
from mlservice.cache import CACHE
from mlservice.counts import COUNTS, ModelCounts
from mlservice.handlers.protocols.naming import (
    ONLY,
    listed,
    meant_version,
    versioned_model,
    versioned_scorer,
    versions,
)
from mlservice.schemas import read_json
from mlservice.scoring import Scorer
from mlservice.tensors.metadata import (
    IndexEntry,
    IndexRequest,
    InferenceTimes,
    Loaded,
    ModelConfig,
    ModelMetadata,
    ModelNames,
    ModelReadiness,
    ModelStatistics,
    ServerMetadata,
    Statistics,
    TensorMetadata,
    Timed,
    Unloaded,
    configured,
    inputs_of,
    outputs_of,
)
from mlservice.wire import caller, read_small, respond

_STATES = {"ready": "READY", "queued": "LOADING", "training": "LOADING"}
_SERVER = ServerMetadata(name="mlservice", version=__version__)
_index = msgspec.json.Decoder(IndexRequest)


async def server(_: web.Request) -> web.Response:
    """Say which server this is, and which extensions of the protocol it has."""
    return respond(_SERVER)


async def names(request: web.Request) -> web.Response:
    """List the aliases, and the newest 1,000 models that are ready."""
    found = await listed(request)
    return respond(ModelNames(models=[name for name, _, state in found if state == "ready"]))


async def index(request: web.Request) -> web.Response:
    """List the aliases and the newest 1,000 models, with their states."""
    body = await read_small(request)
    only_ready = read_json(_index, body).ready if body.strip() else False
    entries = [
        IndexEntry(
            name=name,
            version=version,
            state=_STATES.get(state, "UNAVAILABLE"),
            reason="" if state == "ready" else f"the training is {state}",
        )
        for name, version, state in await listed(request)
        if state == "ready" or not only_ready
    ]
    return respond(entries)


async def metadata(request: web.Request) -> web.Response:
    """Describe a model's versions, inputs and outputs."""
    scorer = await versioned_scorer(request)
    inputs, outputs = _tensors(scorer)
    return respond(
        ModelMetadata(
            name=request.match_info["id"],
            versions=await versions(request),
            inputs=inputs,
            outputs=outputs,
        )
    )


async def config(request: web.Request) -> web.Response:
    """Describe a model's inputs and outputs as Triton's configuration does."""
    scorer = await versioned_scorer(request)
    inputs, outputs = _tensors(scorer)
    return respond(
        ModelConfig(
            name=request.match_info["id"],
            input=list(map(configured, inputs)),
            output=list(map(configured, outputs)),
        )
    )


async def ready(request: web.Request) -> web.Response:
    """Tell that a model can predict."""
    await versioned_scorer(request)
    return respond(ModelReadiness(name=request.match_info["id"]))


async def load(request: web.Request) -> web.Response:
    """Load a model into this process, if it is not there."""
    await versioned_scorer(request)
    return respond(Loaded(name=request.match_info["id"]))


async def unload(request: web.Request) -> web.Response:
    """Drop a model from this process; it is loaded again when it is asked."""
    request.app[CACHE].drop(await versioned_model(request), caller(request).models)
    return respond(Unloaded(name=request.match_info["id"]))


async def statistics(request: web.Request) -> web.Response:
    """Tell how often this process has predicted by a model, and how long it took."""
    scorer = await versioned_scorer(request)
    told = _told(request.match_info["id"], await meant_version(request), scorer.counts)
    return respond(Statistics(model_stats=[told]))


async def all_statistics(request: web.Request) -> web.Response:
    """Tell how often this process has predicted by each model that it has loaded."""
    counts = request.app[COUNTS].of_tenant(caller(request).name)
    told = [_told(model_id, ONLY, each) for model_id, each in counts.items()]
    return respond(Statistics(model_stats=told))


def _tensors(scorer: Scorer) -> tuple[list[TensorMetadata], list[TensorMetadata]]:
    return inputs_of(list(scorer.described.values())), outputs_of(scorer.labels)


def _told(name: str, version: str, counts: ModelCounts) -> ModelStatistics:
    durations = counts.durations.figures()
    return ModelStatistics(
        name=name,
        version=version,
        last_inference=counts.last_ms(),
        inference_count=sum(counts.by_class),
        execution_count=durations.count,
        inference_stats=InferenceTimes(
            success=Timed(count=durations.count, ns=round(durations.total_s * 1e9)),
            fail=Timed(count=counts.errors),
        ),
    )
