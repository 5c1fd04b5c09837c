"""aiohttp's server, with limits.

Each connection and each request beyond the limits is refused before it costs
anything; health checks have some connections of their own.
"""

import asyncio
import functools
import logging
import resource
import time
from collections.abc import Iterable
from typing import Any

from aiohttp import StreamReader, hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from mlservice.answering import Handle, answering
from mlservice.browsers import BROWSERS
from mlservice.connection import RESERVE, Connection
from mlservice.counts import COUNTS
from mlservice.errors import Overloaded
from mlservice.settings import Settings
from mlservice.shortcut import Shortcut
from mlservice.slowness import SlowReaders
from mlservice.wire import SETTINGS

logger = logging.getLogger(__name__)

# In this service's words and in those of other servers.
_HEALTH = ("/health", "/v2/health/", "/ping")
# The store's connections, logs, sockets.
_OTHER_FILES = 256
# For a client to read its answer before its body is read; aiohttp's 10 s are those of a bomb.
_LINGERING_S = 1.0
_LOOK_AGAIN_S = 0.05
_BUSY = {"Retry-After": "1", "Connection": "close"}


class _Request(web.Request):
    """aiohttp's request, whose answer is what it says, and not by which server."""

    @property
    def route(self) -> web.AbstractRoute | None:
        """The route that was found, if it came to that."""
        # What a path without names in it matches is an empty mapping.
        return None if self._match_info is None else self._match_info.route

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        await super()._prepare_hook(response)
        del response.headers[hdrs.SERVER]
        response.headers["X-Content-Type-Options"] = "nosniff"
        # A stream is prepared by its handler, before `answering` sees it.
        if self._match_info is not None and (share := self.app[BROWSERS].share):
            share(self, response)


class _Server(web.Server):
    """aiohttp's server with connections of the kind above, and no more than it can serve."""

    def __init__(
        self, settings: Settings, handle: Handle, app: web.Application, **options: Any
    ) -> None:
        super().__init__(answering(handle, self), **options)
        self.settings = settings
        self.in_flight = 0
        self._most = settings.max_requests, settings.max_connections
        self._check, self._share = app[BROWSERS].check, app[BROWSERS].share
        self._count = app[COUNTS].add_request
        self._shortcut = Shortcut(app, self)
        self.has_shortcut = Shortcut.is_open(app)
        self._watching: asyncio.Task[None] | None = None

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def answer_at_once(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        connection: RequestHandler,
    ) -> bytes | None:
        """Return the answer to a request that waits for nothing, as it is sent."""
        # Nothing is written by the request, and no task is its own.
        request = _Request(message, payload, connection, None, None, loop=self._loop)  # type: ignore[arg-type]
        # To read it is to take it away.
        body = b"".join(payload._buffer) if payload.total_bytes else b""  # noqa: SLF001
        return self._shortcut.answer(request, body)

    def enter(self, request: web.Request) -> None:
        """Refuse what a page of another origin sends, and what is too much."""
        self.in_flight += 1
        if self._check:
            self._check(request)
        is_full = self.in_flight > self._most[0] or len(self._connections) > self._most[1]
        if is_full and not request.path.startswith(_HEALTH):
            raise Overloaded("The service must be less busy to take this.", headers=_BUSY)

    def leave(self) -> None:
        """Note that a request is no more under way."""
        self.in_flight -= 1

    def tell(self, request: _Request, response: web.StreamResponse, seconds: float) -> None:
        """Let pages of other origins read the answer, if they may, and count it."""
        if self._share:
            self._share(request, response)
        self._count(request.route, response.status, seconds)

    @property
    def connection_count(self) -> int:
        """How many connections there are; `connections` makes a list of them."""
        return len(self._connections)

    def watch(self) -> None:
        """End connections whose clients do not take their answers, from now on."""
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        patience_s = self.settings.slow_client_s
        slow = SlowReaders(patience_s, self.settings.slow_client_bytes_per_s)
        while True:
            await asyncio.sleep(patience_s / 10)
            transports = (each.transport for each in self.connections)
            open_ones = [each for each in transports if each is not None]
            for transport in slow.look(open_ones, time.monotonic()):
                logger.info("a client that does not read was left")
                transport.abort()

    def pre_shutdown(self) -> None:
        """Take no new requests on the connections that there are."""
        for each in self._protocols():
            each.end_with_answer()

    def _protocols(self) -> Iterable[Connection]:
        return self._connections  # type: ignore[return-value]  # they are made above

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # aiohttp's
        """Let requests under way finish, and their bodies come."""
        if self._watching:
            self._watching.cancel()
        patience_s = self.settings.shutdown_timeout_s if timeout is None else timeout
        begun = time.monotonic()
        while any(each.is_sent_to for each in self._protocols()):
            if time.monotonic() - begun > patience_s:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
        await super().shutdown(max(_LOOK_AGAIN_S, patience_s - (time.monotonic() - begun)))


class Runner(web.AppRunner):
    """aiohttp's runner with a server of the kind above."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        self._settings = app[SETTINGS]
        own = {
            "access_log": None,
            # `content_of` does that.
            "auto_decompress": False,
            "keepalive_timeout": self._settings.keepalive_timeout_s,
            "lingering_time": _LINGERING_S,
            "shutdown_timeout": self._settings.shutdown_timeout_s,
        }
        super().__init__(app, **own | options)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs  # noqa: SLF001  # aiohttp gives them no public name
        # What the application's own factory does, without its call.
        options["request_factory"] = functools.partial(_Request, loop=asyncio.get_running_loop())
        server = _Server(self._settings, made.request_handler, self.app, **options)
        server.watch()
        return server


def allow_connections(settings: Settings) -> None:
    """Raise this process's limit of open files to what its connections need, if it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + RESERVE + _OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        logger.warning("%d open files are needed for all connections, %d may be", needed, hard)
        needed = hard
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
