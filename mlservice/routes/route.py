"""One row of the table of routes."""

from dataclasses import dataclass
from typing import Any

from aiohttp.typedefs import Handler

from mlservice.errors import access
from mlservice.openapi import Operation
from mlservice.scopes import Scope
from mlservice.shortcut import AtOnce


@dataclass(frozen=True)
class Route:
    """A handler, and how clients see it; the handler's docstring is the summary."""

    method: str
    path: str
    handler: Handler
    scope: Scope
    details: dict[str, Any]
    at_once: AtOnce | None = None

    def operation(self) -> Operation:
        """Return what the OpenAPI document says of the route."""
        summary = (self.handler.__doc__ or "").strip().rstrip(".")
        details = dict(self.details)
        denied = access.EVERYWHERE if self.scope == "open" else access.KEYED
        details["problems"] = (*details.get("problems", ()), *denied)
        return Operation(
            method=self.method, path=self.path, summary=summary, scope=self.scope, **details
        )


def route(
    method: str,
    path: str,
    handler: Handler,
    *,
    scope: Scope,
    at_once: AtOnce | None = None,
    **details: Any,
) -> Route:
    """Return a row: a method of a path, its handler, who may call it, what OpenAPI says of it.

    Parameters
    ----------
    at_once : callable, optional
        Gives the handler's answer where nothing has to be awaited for it.
    """
    return Route(method, path, handler, scope, details, at_once)
