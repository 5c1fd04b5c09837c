"""Predictions of tables."""

from typing import Any

import msgspec

from mlservice import errors
from mlservice.handlers import batches
from mlservice.openapi import Answer, Parameter
from mlservice.predicting.documents import Predictions
from mlservice.predicting.options import Options, PredictionRequest
from mlservice.predicting.question import MEDIA_TYPES
from mlservice.routes import examples
from mlservice.routes.route import Route, route
from mlservice.schemas import Line
from mlservice.sent import ARROW, CSV, JSON, MSGPACK, NDJSON


def _options() -> list[Parameter]:
    """Return the options as parameters of the query, where they stand beside any body."""
    [_], components = msgspec.json.schema_components([Options])
    described: dict[str, dict[str, Any]] = components["Options"]["properties"]
    return [
        Parameter(
            name=name,
            place="query",
            description=schema["description"],
            schema={key: value for key, value in schema.items() if key != "description"},
        )
        for name, schema in described.items()
    ]


ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/models/{id}/predictions",
        batches.predict_table,
        at_once=batches.predict_small,
        scope="predict",
        parameters=[
            Parameter(
                name="id",
                place="path",
                description="The model's id, or an alias of it.",
                schema={"type": "string"},
            ),
            Parameter(
                name="Accept",
                place="header",
                description="The media type of the answer; that of the body if left out.",
                schema={"enum": list(batches.ANSWERED)},
            ),
            Parameter(
                name="delimiter",
                place="query",
                description="What separates the fields of CSV.",
                schema={"type": "string", "default": ","},
            ),
            *_options(),
        ],
        body=PredictionRequest,
        media_types=[each for each in MEDIA_TYPES if each != JSON],
        examples=examples.PREDICTIONS,
        answers=[
            Answer(
                status=200,
                description="The predictions; CSV and NDJSON are streamed, a line for each row.",
                body=Predictions,
                others={CSV: str, NDJSON: Line, MSGPACK: dict, ARROW: bytes},
            )
        ],
        problems=[
            errors.MalformedJson,
            errors.MalformedBody,
            errors.MalformedQuery,
            errors.ModelNotFound,
            errors.NotAcceptable,
            errors.ModelNotReady,
            errors.BodyTooLarge,
            errors.UnsupportedMediaType,
            errors.InvalidRequest,
            errors.InvalidParameter,
            errors.InvalidTable,
            errors.InvalidRow,
            errors.TableTooLarge,
            errors.BrokenModel,
            errors.StoreUnavailable,
        ],
    ),
)
