"""MLflow's scoring server."""

from typing import Any

from mlservice import errors
from mlservice.handlers import operations
from mlservice.handlers.protocols import mlflow
from mlservice.openapi import Answer
from mlservice.routes import examples
from mlservice.routes.open_inference import ID, UNREADABLE, UNREADY
from mlservice.routes.route import Route, route
from mlservice.schemas import Readiness
from mlservice.scoring_server import Invocation, Invoked
from mlservice.sent import CSV, PARQUET

_INVOKE: dict[str, Any] = {
    "scope": "predict",
    "tag": "mlflow",
    "body": Invocation,
    "media_types": [CSV, PARQUET],
    "examples": examples.INVOCATION,
    "answers": [Answer(status=200, description="The class of each row.", body=Invoked)],
    "problems": [
        *UNREADABLE,
        *UNREADY,
        errors.MalformedBody,
        errors.InvalidTable,
        errors.TableTooLarge,
    ],
}
_HEALTH: dict[str, Any] = {
    "scope": "open",
    "tag": "mlflow",
    "answers": [
        Answer(status=200, description="Ready.", body=Readiness),
        Answer(status=503, description="Not ready.", body=Readiness),
    ],
}

ROUTES: tuple[Route, ...] = (
    route("POST", "/invocations", mlflow.invoke_default, **_INVOKE),
    route("POST", "/models/{id}/invocations", mlflow.invoke, parameters=[ID], **_INVOKE),
    route("GET", "/ping", operations.ready, **_HEALTH),
    route("GET", "/health", operations.ready, **_HEALTH),
    route(
        "GET",
        "/version",
        mlflow.version,
        scope="open",
        tag="mlflow",
        answers=[Answer(status=200, description="It.", body=str, media_type="text/plain")],
    ),
)
