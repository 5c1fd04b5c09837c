"""The short way: what waits for nothing is answered without a task.

aiohttp wakes the task of a connection for each request, and gives the request a task of
its own: three turns of the event loop, which cost more than a prediction. A model that is
in memory waits for nothing, so the connection writes its answer itself.
All else goes the usual way, as if nothing had been tried, and every failure with it.
"""

from collections.abc import Callable
from time import perf_counter

from aiohttp import hdrs, web
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from mlservice.answering import Gate, identity_of
from mlservice.browsers import BROWSERS
from mlservice.cache import CACHE
from mlservice.reply import Reply
from mlservice.scoring import Scorer
from mlservice.wire import CALLER

# Gives an answer by a model that is `at_hand`, with a plain head; or nothing, having done nothing.
AtOnce = Callable[[web.Request, bytes], Reply | None]
AT_ONCE = web.AppKey("at_once", dict[web.AbstractRoute, AtOnce])

_MOST_PATHS = 1_000

_Found = tuple[UrlMappingMatchInfo, AtOnce]


def at_hand(request: web.Request) -> tuple[str, Scorer] | None:
    """Return id and scorer of the model that the path names, if nothing has to be awaited."""
    app, name = request.app, request.match_info["id"]
    tenant, cache = app[CALLER](request), app[CACHE]
    # What the cache knows is an id; only another name is looked up as an alias.
    if scorer := cache.peek(name, tenant.models):
        return name, scorer
    model_id = tenant.aliases.known(name)
    scorer = cache.peek(model_id, tenant.models) if model_id else None
    return (model_id, scorer) if model_id and scorer else None


class Shortcut:
    """Answers requests without a task.

    Parameters
    ----------
    app : Application
        Its router finds the route of a path, once.
    gate : Gate
        What stands before the application.
    """

    def __init__(self, app: web.Application, gate: Gate) -> None:
        self._app = app
        self._gate = gate
        self._cache = app[CACHE]
        self._routes = app[AT_ONCE]
        self._found: dict[tuple[str, str], _Found | None] = {}

    @staticmethod
    def is_open(app: web.Application) -> bool:
        """Tell whether nothing but the route decides on an answer: no key, no rate, no origin."""
        return not app.middlewares and app[BROWSERS].share is None

    def answer(self, request: web.Request, body: bytes) -> bytes | None:
        """Return head and body of an answer; nothing if the request must go the usual way.

        Parameters
        ----------
        request : Request
            Of a connection that stays open, in HTTP/1.1.
        body : bytes
            All of it, in whatever coding.
        """
        found = self._route(request)
        if found is None or hdrs.EXPECT in request.headers:
            return None
        begun = perf_counter()
        request._match_info, handler = found  # noqa: SLF001  # as aiohttp's application does
        try:
            self._gate.enter(request)
            reply = handler(request, body)
        except Exception:  # noqa: BLE001  # it comes again on the usual way, and is told there
            return None
        finally:
            self._gate.leave()
        if reply is None:
            return None
        self._cache.hits += 1
        reply.identify(identity_of(request))
        self._gate.tell(request, reply, perf_counter() - begun)
        return reply.written()

    def _route(self, request: web.Request) -> _Found | None:
        key = request.method, request.rel_url.raw_path
        try:
            return self._found[key]
        except KeyError:
            if len(self._found) >= _MOST_PATHS:
                self._found.clear()
            found = self._found[key] = self._resolve(request)
            return found

    def _resolve(self, request: web.Request) -> _Found | None:
        """Ask the router, which is written as a coroutine but awaits nothing."""
        try:
            self._app.router.resolve(request).send(None)
        except StopIteration as end:
            match: UrlMappingMatchInfo = end.value
        else:
            return None
        handler = self._routes.get(match.route)
        if handler is None:
            return None
        match.add_app(self._app)
        match.freeze()
        return match, handler
