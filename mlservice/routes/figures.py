"""What was counted."""

from mlservice import errors
from mlservice.handlers import figures
from mlservice.openapi import Answer, Parameter
from mlservice.routes.route import Route, route

_ID = Parameter(
    name="id",
    place="path",
    description="The model's id, or an alias of it.",
    schema={"type": "string"},
)

ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/metrics",
        figures.metrics,
        scope="admin",
        tag="operations",
        answers=[Answer(status=200, description="The figures.", body=str, media_type="text/plain")],
    ),
    route(
        "GET",
        "/models/{id}/statistics",
        figures.statistics,
        scope="predict",
        parameters=[_ID],
        answers=[Answer(status=200, description="The figures.", body=figures.Usage)],
        problems=[errors.ModelNotFound, errors.StoreUnavailable],
    ),
    route(
        "GET",
        "/models/{id}/drift",
        figures.drift,
        scope="predict",
        parameters=[_ID],
        answers=[
            Answer(status=200, description="Features by their drift.", body=figures.ModelDrift)
        ],
        problems=[
            errors.ModelNotFound,
            errors.ModelNotReady,
            errors.BrokenModel,
            errors.StoreUnavailable,
        ],
    ),
)
