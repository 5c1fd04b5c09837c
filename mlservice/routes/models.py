"""Models: train, follow, describe, predict, take away."""

from aiohttp import web

from mlservice import errors
from mlservice.errors import Problem
from mlservice.export import FORMATS
from mlservice.handlers import artifacts, following, lifecycle, lists, prediction
from mlservice.idempotency import MOST_KEY
from mlservice.intake import MEDIA_TYPES
from mlservice.model import MEDIA_TYPE
from mlservice.openapi import Answer, Parameter
from mlservice.parent import MEMBER
from mlservice.routes import examples
from mlservice.routes.route import Route, route
from mlservice.schemas import DryRun, ModelDocument, ModelList, Prediction, TrainingRequest
from mlservice.sent import JSON

_ID = Parameter(
    name="id",
    place="path",
    description="The model's id, or an alias of it.",
    schema={"type": "string"},
)
_PREFER = Parameter(
    name="Prefer",
    place="header",
    description="`wait=N`: answer when the training has ended, or after N seconds, at most 60.",
    schema={"type": "string"},
    example="wait=5",
)
_OPTIONS = Parameter(
    name="options",
    place="query",
    description="For a body that is not JSON: `target` (by default the last column), "
    "`name`, `params.C` and so on; for CSV `delimiter`.",
    schema={"type": "object", "additionalProperties": {"type": "string"}},
    style={"style": "form", "explode": True},
    example={},
)
_IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    place="header",
    description="Of a request that may be repeated: the same key and body make one training.",
    schema={"type": "string", "minLength": 1, "maxLength": MOST_KEY},
)
_UNREADY: tuple[type[Problem], ...] = (
    errors.MalformedQuery,
    errors.ModelNotFound,
    errors.ModelNotReady,
    errors.InvalidRow,
    errors.BrokenModel,
    errors.StoreUnavailable,
)


async def describe_or_predict(request: web.Request) -> web.StreamResponse:
    """Describe a model; with a query, predict the class of the row that it names."""
    if request.rel_url.raw_query_string:
        return await prediction.predict_row(request)
    return await lifecycle.describe(request)


async def train_or_import(request: web.Request) -> web.StreamResponse:
    """Queue a training and answer with its model's id; or store a model's file."""
    if request.content_type == MEDIA_TYPE:
        return await artifacts.upload(request)
    return await lifecycle.train(request)


ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/models",
        train_or_import,
        scope="train",
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
            Parameter(
                name=MEMBER,
                place="query",
                description="The member of that name, whatever the body is; here if it is large.",
                schema={"type": "string"},
            ),
        ],
        body=TrainingRequest,
        media_types=[*(each for each in MEDIA_TYPES if each != JSON), MEDIA_TYPE],
        examples=examples.TRAINING,
        answers=[
            Answer(status=200, description="Of a dry run.", body=DryRun),
            Answer(
                status=201,
                description="Ended within the time that was preferred, or imported.",
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
            errors.InvalidModel,
            errors.InvalidTable,
            errors.InvalidParams,
            errors.InvalidEvaluation,
            errors.InvalidSearch,
            errors.InvalidWarmStart,
            errors.ModelNotFound,
            errors.ModelNotReady,
            errors.SingleClass,
            errors.TableTooLarge,
            errors.TooManyTrainings,
            errors.TooManyModels,
            errors.StoreUnavailable,
        ],
    ),
    route(
        "GET",
        "/models",
        lists.list_models,
        scope="predict",
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
        problems=[errors.MalformedQuery, errors.InvalidParameter, errors.StoreUnavailable],
    ),
    route(
        "GET",
        "/models/{id}",
        describe_or_predict,
        at_once=prediction.predict_at_once,
        scope="predict",
        parameters=[
            _ID,
            _PREFER,
            Parameter(
                name="features",
                place="query",
                description="Each feature of the model by its name, or no query at all.",
                schema={"type": "object", "additionalProperties": {"type": ["number", "string"]}},
                style={"style": "form", "explode": True},
                example=examples.ROW,
            ),
        ],
        answers=[
            Answer(
                status=200,
                description="The prediction, or the document where there is no query.",
                body=(Prediction, ModelDocument),
                headers=("Cache-Control", "ETag", "Preference-Applied"),
            ),
            Answer(
                status=304,
                description="The document that `If-None-Match` names.",
                headers=("ETag",),
            ),
        ],
        problems=_UNREADY,
    ),
    route(
        "GET",
        "/models/{id}/events",
        following.events,
        scope="predict",
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
    route(
        "POST",
        "/models/{id}/cancel",
        lifecycle.cancel,
        scope="train",
        parameters=[_ID],
        answers=[Answer(status=202, description="Cancelled.", body=ModelDocument)],
        problems=[errors.ModelNotFound, errors.ModelEnded, errors.StoreUnavailable],
    ),
    route(
        "GET",
        "/models/{id}/artifact",
        artifacts.download,
        scope="train",
        parameters=[_ID],
        answers=[
            Answer(
                status=200,
                description="The file.",
                body=bytes,
                media_type=MEDIA_TYPE,
                headers=("Cache-Control", "ETag"),
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
    route(
        "GET",
        "/models/{id}/export",
        artifacts.export,
        scope="train",
        parameters=[
            _ID,
            Parameter(
                name="format",
                place="query",
                description="What the model is written in; required.",
                schema={"enum": list(FORMATS)},
            ),
        ],
        answers=[
            Answer(
                status=200,
                description="The text, the JSON document, or of ONNX the bytes.",
                body=(str, bytes, dict),
                media_type="*/*",
            )
        ],
        problems=[
            errors.ModelNotFound,
            errors.ModelNotReady,
            errors.MalformedQuery,
            errors.InvalidParameter,
            errors.BrokenModel,
            errors.StoreUnavailable,
        ],
    ),
    route(
        "DELETE",
        "/models/{id}",
        lifecycle.delete,
        scope="train",
        parameters=[_ID],
        answers=[Answer(status=204, description="Deleted.")],
        problems=[errors.ModelNotFound, errors.ModelAliased, errors.StoreUnavailable],
    ),
)
