"""aiohttp's server, made to answer what is not HTTP as a problem, without an echo."""

import logging

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.web_protocol import RequestHandler

from mlservice.answering import REQUEST_ID, answering, new_id, render
from mlservice.errors import InternalError, MalformedRequest, Problem
from mlservice.wire import wrong_coding

logger = logging.getLogger(__name__)


class _Protocol(RequestHandler):
    """aiohttp's connection, but what is not HTTP is answered as a problem, not echoed."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # holds what was sent
    ) -> web.StreamResponse:
        """Answer without a word of what was sent, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("An answer was begun; it cannot be taken back.")
        if status >= 500:
            logger.error("a request failed in the server", exc_info=exc)
            problem: Problem = InternalError("The service has a bug; its log has more.")
        elif isinstance(exc, ContentEncodingError):
            problem = wrong_coding("one that needs another package")
        else:
            problem = MalformedRequest("The request must be valid HTTP/1.1, it is not.")
        identity = new_id()
        response = render(problem, identity)
        response.headers[REQUEST_ID] = identity
        response.force_close()
        return response


class _Server(web.Server):
    """aiohttp's server with connections of the kind above."""

    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with a server of the kind above."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs  # noqa: SLF001  # aiohttp gives them no public name
        handle = answering(made.request_handler)
        return _Server(handle, request_factory=made.request_factory, **options)
