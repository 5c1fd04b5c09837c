"""The Open Inference Protocol, under `/v2`; what is asked most stands first."""

from typing import Any

from mlservice import errors
from mlservice.errors import Problem
from mlservice.handlers import operations
from mlservice.handlers.protocols import open_inference, repository
from mlservice.openapi import Answer, Parameter
from mlservice.routes import examples
from mlservice.routes.route import Route, route
from mlservice.schemas import Liveness, Readiness
from mlservice.shortcut import AtOnce
from mlservice.tensors import HEADER_LENGTH, InferenceRequest, InferenceResponse
from mlservice.tensors.metadata import (
    IndexEntry,
    IndexRequest,
    Loaded,
    ModelConfig,
    ModelMetadata,
    ModelNames,
    ModelReadiness,
    ServerMetadata,
    Statistics,
    Unloaded,
)

ID = Parameter(
    name="id",
    place="path",
    description="The model's id, or an alias of it.",
    schema={"type": "string"},
)
VERSION = Parameter(
    name="version",
    place="path",
    description="1 of an id; of an alias one for each model that it pointed at, the oldest 1.",
    schema={"type": "string", "pattern": "^[0-9]+$"},
)
_LENGTH = Parameter(
    name=HEADER_LENGTH,
    place="header",
    description="Bytes of the body that are JSON, where tensors follow as bytes; 0: all of "
    "the body is one tensor.",
    schema={"type": "integer", "minimum": 0},
)
UNREADY: tuple[type[Problem], ...] = (
    errors.ModelNotFound,
    errors.AliasNotFound,
    errors.ModelNotReady,
    errors.BrokenModel,
    errors.StoreUnavailable,
)
UNREADABLE: tuple[type[Problem], ...] = (
    errors.MalformedJson,
    errors.MalformedRequest,
    errors.InvalidRequest,
    errors.InvalidRow,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
)


def versioned(
    method: str, path: str, handler: Any, *, at_once: AtOnce | None = None, **details: Any
) -> tuple[Route, Route]:
    """Return a route of a model, and the same of one of its versions.

    Parameters
    ----------
    path : str
        With `{id}`, behind which the version stands in the second one.
    at_once : callable, optional
        Of the first one: whether there is such a version has to be asked.
    """
    parameters = details.pop("parameters", [])
    second = path.replace("{id}", "{id}/versions/{version}")
    return (
        route(method, path, handler, at_once=at_once, parameters=[ID, *parameters], **details),
        route(method, second, handler, parameters=[ID, VERSION, *parameters], **details),
    )


def _told(description: str, body: Any) -> list[Answer]:
    return [Answer(status=200, description=description, body=body)]


_PREDICT: dict[str, Any] = {"scope": "predict", "tag": "open inference"}
_OPEN: dict[str, Any] = {"scope": "open", "tag": "open inference"}

ROUTES: tuple[Route, ...] = (
    *versioned(
        "POST",
        "/v2/models/{id}/infer",
        open_inference.predict,
        at_once=open_inference.predict_at_once,
        **_PREDICT,
        parameters=[_LENGTH],
        body=InferenceRequest,
        media_types=[open_inference.OCTETS],
        examples=examples.INFERENCE,
        answers=[
            Answer(
                status=200,
                description="The outputs; as `application/octet-stream` where some are bytes.",
                body=InferenceResponse,
                others={open_inference.OCTETS: bytes},
                headers=(HEADER_LENGTH,),
            )
        ],
        problems=[*UNREADABLE, errors.MalformedBody, errors.TableTooLarge, *UNREADY],
    ),
    route(
        "GET",
        "/v2",
        repository.server,
        **_OPEN,
        answers=_told("The server.", ServerMetadata),
    ),
    route(
        "GET",
        "/v2/",
        repository.server,
        **_OPEN,
        answers=_told("The server.", ServerMetadata),
    ),
    route(
        "GET",
        "/v2/health/live",
        operations.live,
        **_OPEN,
        answers=_told("Alive.", Liveness),
    ),
    route(
        "GET",
        "/v2/health/ready",
        operations.ready,
        **_OPEN,
        answers=[
            Answer(status=200, description="Ready.", body=Readiness),
            Answer(status=503, description="Not ready.", body=Readiness),
        ],
    ),
    route(
        "GET",
        "/v2/models",
        repository.names,
        **_PREDICT,
        answers=_told("The names.", ModelNames),
        problems=[errors.StoreUnavailable],
    ),
    route(
        "GET",
        "/v2/models/stats",
        repository.all_statistics,
        **_PREDICT,
        answers=_told("The figures of this process.", Statistics),
    ),
    *versioned(
        "GET",
        "/v2/models/{id}",
        repository.metadata,
        **_PREDICT,
        answers=_told("The model.", ModelMetadata),
        problems=UNREADY,
    ),
    *versioned(
        "GET",
        "/v2/models/{id}/ready",
        repository.ready,
        **_PREDICT,
        answers=_told("It can.", ModelReadiness),
        problems=UNREADY,
    ),
    *versioned(
        "GET",
        "/v2/models/{id}/config",
        repository.config,
        **_PREDICT,
        answers=_told("The configuration.", ModelConfig),
        problems=UNREADY,
    ),
    *versioned(
        "GET",
        "/v2/models/{id}/stats",
        repository.statistics,
        **_PREDICT,
        answers=_told("The figures of this process.", Statistics),
        problems=UNREADY,
    ),
    route(
        "POST",
        "/v2/repository/index",
        repository.index,
        **_PREDICT,
        body=IndexRequest,
        answers=_told("The models.", list[IndexEntry]),
        problems=[
            errors.MalformedJson,
            errors.InvalidRequest,
            errors.BodyTooLarge,
            errors.StoreUnavailable,
        ],
    ),
    route(
        "POST",
        "/v2/repository/models/{id}/load",
        repository.load,
        **_PREDICT,
        parameters=[ID],
        answers=_told("Loaded.", Loaded),
        problems=UNREADY,
    ),
    route(
        "POST",
        "/v2/repository/models/{id}/unload",
        repository.unload,
        **_PREDICT,
        parameters=[ID],
        answers=_told("Dropped.", Unloaded),
        problems=[errors.ModelNotFound, errors.StoreUnavailable],
    ),
)
