"""A connection of aiohttp's server: bounded, and with problems for what is not HTTP.

What waits for nothing it answers itself (`mlservice.shortcut`), once the loop has read all
that is there.
"""

import asyncio
import logging
from typing import Any, Protocol

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from mlservice.answering import new_id, render
from mlservice.errors import (
    AddressTooLong,
    HeaderTooLarge,
    InternalError,
    MalformedRequest,
    Problem,
)
from mlservice.predicting.atonce import MOST_BYTES
from mlservice.reply import REQUEST_ID
from mlservice.settings import Settings

logger = logging.getLogger(__name__)

Asked = tuple[Any, StreamReader]
# Connections for health checks while all others are taken.
RESERVE = 32


class Host(Protocol):
    """What a connection asks of its server.

    Attributes
    ----------
    requests_count : int
        How many it was asked.
    has_shortcut : bool
        Whether it answers anything at once.
    """

    settings: Settings
    requests_count: int
    has_shortcut: bool

    @property
    def connection_count(self) -> int:
        """How many connections there are."""

    def answer_at_once(
        self, message: RawRequestMessage, payload: StreamReader, connection: Any
    ) -> bytes | None:
        """Return the answer to a request that waits for nothing, as it is sent."""


class Connection(RequestHandler):
    """aiohttp's connection, but what is not HTTP is answered as a problem, not echoed."""

    # The one request that has come.
    _asked: Asked | None = None

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
        else:
            problem = _unread(exc)
        identity = new_id()
        response = render(problem, identity)
        response.headers[REQUEST_ID] = identity
        response.force_close()
        return response

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or end it at once when there are far too many."""
        super().connection_made(transport)
        server = self._host
        if server.connection_count > server.settings.max_connections + RESERVE:
            self.force_close()
            return
        self._loop.call_later(server.settings.header_timeout_s, self._end_if_silent)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; hold a plain request until the loop has read what else is there.

        Reading and answering in turn, each finds the processor's caches and branch tables
        full of the other's, which makes a request a third dearer.
        """
        if self._asked:
            self._put_back(self._asked)
        waiter, self._waiter = self._waiter, None
        try:
            # Nobody is woken by this.
            super().data_received(data)
        finally:
            self._waiter = waiter
        is_alone = len(self._messages) == 1 and not self._request_in_progress
        if self._host.has_shortcut and is_alone and self._is_plain(*self._messages[0]):
            self._asked = self._messages.popleft()
            self._loop.call_soon(self._answer)
        else:
            self._wake()

    def _answer(self) -> None:
        """Answer at once what waits for nothing; wake the connection's task for all else."""
        asked, transport = self._asked, self.transport
        if asked is None or transport is None or transport.is_closing():
            return
        answer = None if self._request_in_progress else self._host.answer_at_once(*asked, self)
        if answer is None:
            self._put_back(asked)
            self._wake()
            return
        transport.write(answer)
        # What aiohttp's task does around a request.
        self._asked = None
        self._parser.message_consumed()  # type: ignore[union-attr]  # it has parsed this
        self._host.requests_count += 1
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    def _put_back(self, asked: Asked) -> None:
        """Leave a request to the connection's task."""
        self._messages.appendleft(asked)
        self._asked = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done() and self._messages:
            self._waiter.set_result(None)

    def _is_plain(self, message: object, payload: StreamReader) -> bool:
        """Tell whether a request is small and whole, of a client that stays and takes answers."""
        return (
            isinstance(message, RawRequestMessage)
            and message.version == HttpVersion11
            and not message.should_close
            and payload.is_eof()
            and payload.total_bytes <= MOST_BYTES
            and not self._upgraded
            and not self._paused
        )

    @property
    def _host(self) -> Host:
        return self._manager  # type: ignore[return-value]  # a server made this, and is one

    @property
    def is_sent_to(self) -> bool:
        """Whether the body of a request is still coming."""
        request = self._current_request
        return request is not None and not request.content.is_eof()

    def end_with_answer(self) -> None:
        """Take no request after the one that is under way.

        aiohttp's `close` takes no more of that one's body either, which its handler waits for.
        """
        request = self._current_request
        if request is not None and self.is_sent_to:
            request._message = request._message._replace(should_close=True)  # noqa: SLF001
        else:
            self.close()

    def _end_if_silent(self) -> None:
        """Close a connection that has not sent one whole head."""
        if self._request_count == 0:
            self.force_close()


def _unread(error: BaseException | None) -> Problem:
    """Return why a request's head could not be read."""
    if not isinstance(error, LineTooLong):
        return MalformedRequest("The request must be valid HTTP/1.1, it is not.")
    line, most, *_ = error.args
    # What was read of the line; the name or value of a header begins otherwise.
    if line.startswith((b"/", b"http")):
        return AddressTooLong(
            f"Path and query may have {most} bytes together, they have more; "
            "a long row fits in the body of POST /models/{id}/predictions."
        )
    return HeaderTooLarge(f"A header may have at most {most} bytes, one has more.")
