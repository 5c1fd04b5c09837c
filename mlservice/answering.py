"""Around the application: every request gets its id, and every failure its problem.

What every request needs stands here once, around the application, and not in
middlewares: each of those costs 4 µs, where the whole of a prediction costs 10.
"""

import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Protocol

import msgspec
from aiohttp import web

from mlservice import dialects, logs
from mlservice.errors import (
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    Problem,
    RequestTooSlow,
)
from mlservice.reply import REQUEST_ID, Reply

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

_sent_id = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}").fullmatch
_prefix = secrets.token_hex(6)
_numbers = itertools.count(1)

# aiohttp's own type says BaseRequest, which its application then takes as a Request.
Handle = Callable[[Any], Awaitable[web.StreamResponse]]


class Gate(Protocol):
    """What every request passes, to the application and back."""

    def enter(self, request: Any) -> None:
        """Let a request in, or raise; until `leave` it is under way in either case."""

    def leave(self) -> None:
        """Note that a request is no more under way."""

    def tell(self, request: Any, response: web.StreamResponse, seconds: float) -> None:
        """Complete an answer, and count it."""


def answering(handle: Handle, gate: Gate) -> Handle:
    """Return a handler that gives every request its id, and every failure its problem.

    Parameters
    ----------
    handle : callable
        The application: routes a request, and answers or raises.
    gate : Gate
        What stands before it.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        begun = perf_counter()
        identity = identity_of(request)
        logs.request_id.set(identity)
        try:
            gate.enter(request)
            response = await handle(request)
        except Exception as error:  # noqa: BLE001  # the one place that renders them
            response = _answer_to(error, request, identity)
        finally:
            gate.leave()
        if isinstance(response, Reply):
            response.identify(identity)
        else:
            response.headers[REQUEST_ID] = identity
        gate.tell(request, response, perf_counter() - begun)
        return response

    return answer


def identity_of(request: web.BaseRequest) -> str:
    """Return the id that a request brought, or a new one."""
    sent = request.headers.get(REQUEST_ID)
    return sent if sent and _sent_id(sent) else new_id()


def new_id() -> str:
    """Return an id for a request that brought none."""
    return f"{_prefix}-{next(_numbers):x}"


def _answer_to(error: Exception, request: web.Request, identity: str) -> web.StreamResponse:
    if isinstance(error, Problem):
        if isinstance(error, RequestTooSlow | Overloaded):
            request.protocol.close()
        return render(error, identity, request.path)
    if isinstance(error, web.HTTPException):
        return _from_aiohttp(error, request, identity)
    if isinstance(error, web.RequestPayloadError | ConnectionError):
        # A coding that is broken, or a client that has gone and will not read this.
        detail = "The body must arrive whole and be coded as its headers say, it did not."
        return render(MalformedRequest(detail), identity, request.path)
    logger.error("%s failed", request.match_info.handler.__name__, exc_info=error)
    bug = InternalError("The service has a bug; its log has more.")
    return render(bug, identity, request.path)


def render(problem: Problem, identity: str, path: str = "") -> web.Response:
    """Return a problem's document as an answer, in the words of those who ask under its path."""
    document = dialects.document_of(problem, path) | {"instance": identity}
    return web.Response(
        body=msgspec.json.encode(document) + b"\n",
        status=dialects.status_of(problem, path),
        headers=problem.headers,
        content_type=PROBLEM_JSON,
    )


def _from_aiohttp(
    error: web.HTTPException, request: web.Request, identity: str
) -> web.StreamResponse:
    """Turn the framework's own failures into problem documents."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allow = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
        if request.method == "OPTIONS":
            return web.Response(status=204, headers={"Allow": allow})
        detail = f"The method must be one of {allow}, it is {request.method}."
        problem = MethodNotAllowed(detail, headers={"Allow": allow})
        return render(problem, identity, request.path)
    if error.status == 404:
        detail = "The path must be one of those in /openapi.json, it is not."
        return render(NotFound(detail), identity, request.path)
    if error.status < 400:
        return error
    malformed = MalformedRequest(f"The request must be valid HTTP: {error.reason}.")
    return render(malformed, identity, request.path)
