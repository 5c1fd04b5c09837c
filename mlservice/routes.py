"""The whole API as one table; the OpenAPI document is made from it."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from mlservice import errors, openapi
from mlservice.catalogue import Catalogue
from mlservice.errors import Problem
from mlservice.export import FORMATS
from mlservice.handlers import (
    aliases,
    artifacts,
    following,
    lifecycle,
    lists,
    operations,
    prediction,
)
from mlservice.intake import JSON, MEDIA_TYPES
from mlservice.openapi import Answer, Operation, Parameter
from mlservice.schemas import (
    AliasDocument,
    AliasList,
    AliasRequest,
    DryRun,
    Index,
    Liveness,
    ModelDocument,
    ModelList,
    Prediction,
    Readiness,
    TrainingRequest,
)

_ID = Parameter(
    name="id",
    place="path",
    description="The model's id, or an alias of it.",
    schema={"type": "string"},
)
_ALIAS = Parameter(
    name="alias",
    place="path",
    description="The alias's name.",
    schema={"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
)
_IF_MATCH = Parameter(
    name="If-Match",
    place="header",
    description="The alias's `ETag`: it is moved only if nobody has moved it since.",
    schema={"type": "string"},
)
_PREFER = Parameter(
    name="Prefer",
    place="header",
    description="`wait=N`: answer when the training has ended, or after N seconds, at most 60.",
    schema={"type": "string", "examples": ["wait=10"]},
)
_OPTIONS = Parameter(
    name="options",
    place="query",
    description="For a body that is not JSON: `target` (by default the last column), "
    "`name`, `params.C` and so on; for CSV `delimiter`.",
    schema={"type": "object", "additionalProperties": {"type": "string"}},
    style={"style": "form", "explode": True},
)
_IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    place="header",
    description="Of a request that may be repeated: the same key and body make one training.",
    schema={"type": "string", "minLength": 1, "maxLength": lifecycle.MOST_KEY},
)
_UNREADY: tuple[type[Problem], ...] = (
    errors.MalformedQuery,
    errors.ModelNotFound,
    errors.ModelNotReady,
    errors.InvalidRow,
    errors.BrokenModel,
    errors.StoreUnavailable,
)


@dataclass(frozen=True)
class Route:
    """A handler, and how clients see it; the handler's docstring is the summary."""

    method: str
    path: str
    handler: Handler
    details: dict[str, Any]

    def operation(self) -> Operation:
        """Return what the OpenAPI document says of the route."""
        summary = (self.handler.__doc__ or "").strip().rstrip(".")
        return Operation(method=self.method, path=self.path, summary=summary, **self.details)


def _route(method: str, path: str, handler: Handler, **details: Any) -> Route:
    return Route(method, path, handler, details)


async def describe_or_predict(request: web.Request) -> web.StreamResponse:
    """Describe a model; with a query, predict the class of the row that it names."""
    if request.rel_url.raw_query_string:
        return await prediction.predict_row(request)
    return await lifecycle.describe(request)


ROUTES: tuple[Route, ...] = (
    _route(
        "POST",
        "/models",
        lifecycle.train,
        parameters=[
            _PREFER,
            _IDEMPOTENCY_KEY,
            _OPTIONS,
            Parameter(
                name="dry_run",
                place="query",
                description="Check only, and tell what would be trained.",
                schema={"type": "boolean", "default": False},
            ),
        ],
        body=TrainingRequest,
        media_types=[each for each in MEDIA_TYPES if each != JSON],
        answers=[
            Answer(status=200, description="Of a dry run.", body=DryRun),
            Answer(
                status=201,
                description="Ended within the time that was preferred.",
                body=ModelDocument,
                headers=("Location", "Preference-Applied", "Idempotency-Replayed"),
            ),
            Answer(
                status=202,
                description="Queued.",
                body=ModelDocument,
                headers=("Location", "Preference-Applied", "Idempotency-Replayed"),
            ),
        ],
        problems=[
            errors.MalformedJson,
            errors.MalformedBody,
            errors.MalformedQuery,
            errors.BodyTooLarge,
            errors.DryRunTooLarge,
            errors.UnsupportedMediaType,
            errors.InvalidRequest,
            errors.InvalidParameter,
            errors.MalformedIdempotencyKey,
            errors.IdempotencyKeyReused,
            errors.InvalidTable,
            errors.InvalidParams,
            errors.InvalidEvaluation,
            errors.SingleClass,
            errors.TableTooLarge,
            errors.TooManyTrainings,
            errors.TooManyModels,
            errors.StoreUnavailable,
        ],
    ),
    _route(
        "GET",
        "/models",
        lists.list_models,
        parameters=[
            Parameter(
                name="limit",
                place="query",
                description="Most models of the page.",
                schema={
                    "type": "integer",
                    "minimum": 1,
                    "maximum": lists.MOST_LISTED,
                    "default": lists.LISTED,
                },
            ),
            Parameter(
                name="cursor",
                place="query",
                description="The `next` of the page before.",
                schema={"type": "string"},
            ),
            Parameter(
                name="state",
                place="query",
                description="Only models in this state.",
                schema={"enum": list(lists.STATES)},
            ),
            Parameter(
                name="name",
                place="query",
                description="Only models whose name begins so.",
                schema={"type": "string", "minLength": 1, "maxLength": lists.MOST_NAME},
            ),
        ],
        answers=[Answer(status=200, description="A page.", body=ModelList, headers=("Link",))],
        problems=[errors.InvalidParameter, errors.StoreUnavailable],
    ),
    _route(
        "GET",
        "/models/{id}",
        describe_or_predict,
        parameters=[
            _ID,
            _PREFER,
            Parameter(
                name="features",
                place="query",
                description="Each feature of the model by its name, or no query at all.",
                schema={"type": "object", "additionalProperties": {"type": ["number", "string"]}},
                style={"style": "form", "explode": True},
            ),
        ],
        answers=[
            Answer(
                status=200,
                description="The prediction, or the document where there is no query.",
                body=(Prediction, ModelDocument),
            )
        ],
        problems=_UNREADY,
    ),
    _route(
        "GET",
        "/models/{id}/events",
        following.events,
        parameters=[
            _ID,
            Parameter(
                name="Last-Event-ID",
                place="header",
                description="The last event that was seen; those after it are sent.",
                schema={"type": "string"},
            ),
        ],
        answers=[
            Answer(
                status=200,
                description="Events `state` and `progress`, ending with the last state.",
                body=str,
                media_type="text/event-stream",
            ),
            Answer(status=204, description="The last state has been seen."),
        ],
        problems=[errors.ModelNotFound, errors.StoreUnavailable],
    ),
    _route(
        "POST",
        "/models/{id}/cancel",
        lifecycle.cancel,
        parameters=[_ID],
        answers=[Answer(status=202, description="Cancelled.", body=ModelDocument)],
        problems=[errors.ModelNotFound, errors.ModelEnded, errors.StoreUnavailable],
    ),
    _route(
        "GET",
        "/models/{id}/artifact",
        artifacts.download,
        parameters=[_ID],
        answers=[
            Answer(
                status=200,
                description="The file.",
                body=bytes,
                media_type=artifacts.MEDIA_TYPE,
                headers=("ETag",),
            ),
            Answer(
                status=304, description="The file that `If-None-Match` names.", headers=("ETag",)
            ),
        ],
        problems=[
            errors.ModelNotFound,
            errors.ModelNotReady,
            errors.BrokenModel,
            errors.StoreUnavailable,
        ],
    ),
    _route(
        "GET",
        "/models/{id}/export",
        artifacts.export,
        parameters=[
            _ID,
            Parameter(
                name="format",
                place="query",
                description="What the model is written in; required.",
                schema={"enum": list(FORMATS)},
            ),
        ],
        answers=[Answer(status=200, description="The text.", body=str, media_type="text/plain")],
        problems=[
            errors.ModelNotFound,
            errors.ModelNotReady,
            errors.InvalidParameter,
            errors.BrokenModel,
            errors.StoreUnavailable,
        ],
    ),
    _route(
        "DELETE",
        "/models/{id}",
        lifecycle.delete,
        parameters=[_ID],
        answers=[Answer(status=204, description="Deleted.")],
        problems=[errors.ModelNotFound, errors.ModelAliased, errors.StoreUnavailable],
    ),
    _route(
        "GET",
        "/aliases",
        aliases.list_all,
        tag="aliases",
        answers=[Answer(status=200, description="All of them.", body=AliasList)],
        problems=[errors.StoreUnavailable],
    ),
    _route(
        "GET",
        "/aliases/{alias}",
        aliases.describe,
        tag="aliases",
        parameters=[_ALIAS],
        answers=[
            Answer(
                status=200, description="Where it points.", body=AliasDocument, headers=("ETag",)
            )
        ],
        problems=[errors.AliasNotFound, errors.StoreUnavailable],
    ),
    _route(
        "PUT",
        "/aliases/{alias}",
        aliases.move,
        tag="aliases",
        parameters=[_ALIAS, _IF_MATCH],
        body=AliasRequest,
        answers=[Answer(status=200, description="Moved.", body=AliasDocument, headers=("ETag",))],
        problems=[
            errors.MalformedJson,
            errors.ModelNotFound,
            errors.ModelNotReady,
            errors.AliasMoved,
            errors.BodyTooLarge,
            errors.UnsupportedMediaType,
            errors.InvalidRequest,
            errors.InvalidAlias,
            errors.StoreUnavailable,
        ],
    ),
    _route(
        "DELETE",
        "/aliases/{alias}",
        aliases.delete,
        tag="aliases",
        parameters=[_ALIAS],
        answers=[Answer(status=204, description="Deleted.")],
        problems=[errors.AliasNotFound, errors.StoreUnavailable],
    ),
    _route(
        "GET",
        "/params",
        operations.params,
        answers=[Answer(status=200, description="The catalogue.", body=Catalogue)],
    ),
    _route(
        "GET",
        "/health/live",
        operations.live,
        tag="operations",
        answers=[Answer(status=200, description="Alive.", body=Liveness)],
    ),
    _route(
        "GET",
        "/health/ready",
        operations.ready,
        tag="operations",
        parameters=[
            Parameter(
                name="for",
                place="query",
                description="`training` asks for the store and a worker as well.",
                schema={"enum": ["training"]},
            )
        ],
        answers=[
            Answer(status=200, description="Ready.", body=Readiness),
            Answer(status=503, description="Not ready.", body=Readiness),
        ],
    ),
    _route(
        "GET",
        "/openapi.json",
        operations.openapi,
        tag="operations",
        answers=[Answer(status=200, description="This document.", body=dict)],
    ),
    _route(
        "GET",
        "/problems/{slug}",
        operations.problem_page,
        tag="operations",
        parameters=[
            Parameter(
                name="slug",
                place="path",
                description="Last part of a problem's `type`.",
                schema={"enum": [kind.slug for kind in errors.problems()]},
            )
        ],
        answers=[Answer(status=200, description="The words.", body=str, media_type="text/plain")],
        problems=[errors.NotFound],
    ),
    _route(
        "GET",
        "/",
        operations.index,
        tag="operations",
        answers=[Answer(status=200, description="The index.", body=Index)],
    ),
)


def add_routes(app: web.Application, *, version: str) -> None:
    """Serve every route of the table, and the document that describes them."""
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, route.handler)
    operations_ = [route.operation() for route in ROUTES]
    app[operations.DOCUMENT] = openapi.document(operations_, version=version)
