"""The V1 protocol of KServe and of TensorFlow Serving: predict, classify, explain."""

from collections.abc import Callable

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from mlservice.handlers.protocols.coding import coded
from mlservice.handlers.protocols.naming import (
    asked_version,
    listed,
    meant_version,
    versioned_scorer,
)
from mlservice.handlers.protocols.working import worked
from mlservice.instances import THREAD_BYTES
from mlservice.scoring import Scorer
from mlservice.settings import Settings
from mlservice.tensors.metadata import ModelNames, TensorMetadata, inputs_of, outputs_of
from mlservice.v1 import Answered, classified, explained, predicted
from mlservice.wire import SETTINGS, check_coding, read_whole, respond


class StatusCode(msgspec.Struct, frozen=True, kw_only=True):
    """No error."""

    error_code: str = "OK"
    error_message: str = ""


class VersionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a version, as TensorFlow Serving tells it."""

    version: str
    state: str = "AVAILABLE"
    status: StatusCode = StatusCode()


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """That a model can predict, in KServe's words and in TensorFlow Serving's."""

    name: str
    model_version_status: list[VersionStatus]
    ready: bool = True


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Which model is described."""

    name: str
    version: str | UnsetType = UNSET
    signature_name: str = ""


class V1Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """A model's inputs and outputs."""

    model_spec: ModelSpec
    metadata: dict[str, list[TensorMetadata]]


async def names(request: web.Request) -> web.Response:
    """List the aliases, and the newest 1,000 models that are ready."""
    found = await listed(request)
    return respond(ModelNames(models=[name for name, _, state in found if state == "ready"]))


async def status(request: web.Request) -> web.Response:
    """Tell that a model can predict."""
    await versioned_scorer(request)
    version = VersionStatus(version=await meant_version(request))
    return respond(ModelStatus(name=request.match_info["id"], model_version_status=[version]))


async def metadata(request: web.Request) -> web.Response:
    """Describe a model's inputs and outputs."""
    scorer = await versioned_scorer(request)
    told = {
        "inputs": inputs_of(list(scorer.described.values())),
        "outputs": outputs_of(scorer.labels),
    }
    spec = ModelSpec(name=request.match_info["id"], version=asked_version(request))
    return respond(V1Metadata(model_spec=spec, metadata=told))


async def predict(request: web.Request) -> web.Response:
    """Predict the classes of instances, or of columns."""
    return await _answer(request, predicted)


async def classify(request: web.Request) -> web.Response:
    """Tell the probability of each class for each example."""
    return await _answer(request, classified)


async def explain(request: web.Request) -> web.Response:
    """Predict the classes of instances, and tell what each feature adds to the log-odds."""
    return await _answer(request, explained)


async def _answer(
    request: web.Request, answer: Callable[[Scorer, bytes | bytearray, Settings], Answered]
) -> web.Response:
    scorer = await versioned_scorer(request)
    check_coding(request)
    body = await read_whole(request, "prediction_body_bytes")
    asked = (scorer, body, request.app[SETTINGS])
    told = await worked(scorer, answer, asked, beside=len(body) >= THREAD_BYTES)
    return await coded(request, told)
