"""What was counted."""

from mlservice import errors
from mlservice.handlers import figures
from mlservice.openapi import Answer, Parameter
from mlservice.routes.route import Route, route

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
        parameters=[
            Parameter(
                name="id",
                place="path",
                description="The model's id, or an alias of it.",
                schema={"type": "string"},
            )
        ],
        answers=[Answer(status=200, description="The figures.", body=figures.Usage)],
        problems=[errors.ModelNotFound, errors.StoreUnavailable],
    ),
)
