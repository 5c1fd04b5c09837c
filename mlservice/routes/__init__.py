"""The whole API as one table; the OpenAPI document is made from it."""

from aiohttp import web

from mlservice import openapi
from mlservice.access import SCOPES, expect
from mlservice.handlers.operations import DOCUMENT
from mlservice.routes import (
    aliases,
    figures,
    mlflow,
    models,
    open_inference,
    operations,
    predictions,
    v1,
)
from mlservice.routes.route import Route
from mlservice.shortcut import AT_ONCE

ROUTES: tuple[Route, ...] = (
    *models.ROUTES,
    *predictions.ROUTES,
    *aliases.ROUTES,
    *figures.ROUTES,
    *open_inference.ROUTES,
    *v1.ROUTES,
    *mlflow.ROUTES,
    *operations.ROUTES,
)

# aiohttp tries the paths that begin alike in turn, so what is asked most comes first.
_ASKED_MOST = ("/models/{id}", "/models/{id}/predictions")


def _turn(route: Route) -> int:
    """Return where a route stands among the others: the lower, the earlier."""
    return _ASKED_MOST.index(route.path) if route.path in _ASKED_MOST else len(_ASKED_MOST)


def add_routes(app: web.Application, *, version: str) -> None:
    """Serve every route of the table, and the document that describes them."""
    scopes = app[SCOPES] = {}
    at_once = app[AT_ONCE] = {}
    for route in sorted(ROUTES, key=_turn):
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            added = app.router.add_route(method, route.path, route.handler, expect_handler=expect)
            scopes[added] = route.scope
            if route.at_once and method == route.method:
                at_once[added] = route.at_once
    described = [route.operation() for route in ROUTES]
    app[DOCUMENT] = openapi.document(described, version=version)
