"""One row of the table of routes."""

from dataclasses import dataclass
from typing import Any

from aiohttp.typedefs import Handler

from mlservice.openapi import Operation


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


def route(method: str, path: str, handler: Handler, **details: Any) -> Route:
    """Return a row: a method of a path, its handler, and what OpenAPI says of it."""
    return Route(method, path, handler, details)
