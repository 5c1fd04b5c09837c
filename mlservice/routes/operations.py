"""The catalogue, health, and what describes the service itself."""

from mlservice import errors
from mlservice.catalogue import Catalogue
from mlservice.handlers import docs, operations
from mlservice.openapi import Answer, Parameter
from mlservice.routes.route import Route, route
from mlservice.schemas import Index, Liveness, Readiness

ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/params",
        operations.params,
        scope="predict",
        answers=[Answer(status=200, description="The catalogue.", body=Catalogue)],
    ),
    route(
        "GET",
        "/health/live",
        operations.live,
        scope="open",
        tag="operations",
        answers=[Answer(status=200, description="Alive.", body=Liveness)],
    ),
    route(
        "GET",
        "/health/ready",
        operations.ready,
        scope="open",
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
    route(
        "GET",
        "/openapi.json",
        operations.openapi,
        scope="open",
        tag="operations",
        answers=[Answer(status=200, description="This document.", body=dict)],
    ),
    route(
        "GET",
        "/docs",
        docs.page,
        scope="open",
        tag="operations",
        answers=[Answer(status=200, description="The page.", body=str, media_type="text/html")],
    ),
    route(
        "GET",
        "/docs/{file}",
        docs.part,
        scope="open",
        tag="operations",
        parameters=[
            Parameter(
                name="file",
                place="path",
                description="One that the page names.",
                schema={"type": "string"},
            )
        ],
        answers=[Answer(status=200, description="The file.", body=str, media_type="*/*")],
        problems=[errors.NotFound],
    ),
    route(
        "GET",
        "/problems/{slug}",
        operations.problem_page,
        scope="open",
        tag="operations",
        parameters=[
            Parameter(
                name="slug",
                place="path",
                description="Last part of a problem's `type`.",
                schema={"enum": [kind.slug for kind in errors.problems()]},
            )
        ],
        answers=[
            Answer(
                status=200,
                description="The words, as HTML where `Accept` names that.",
                body=str,
                media_type="text/plain",
                others={"text/html": str},
            )
        ],
        problems=[errors.NotFound],
    ),
    route(
        "GET",
        "/",
        operations.index,
        scope="open",
        tag="operations",
        answers=[Answer(status=200, description="The index.", body=Index)],
    ),
)
