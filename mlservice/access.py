"""Who may do what: scopes, tenants and rates, asked of each request once it is routed.

A route is added with its scope; what is served without one needs `admin`. Nothing
of this runs while the service asks for no keys and limits no rates.
"""

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_urldispatcher import AbstractRoute, SystemRoute

from mlservice.errors import Problem, TooManyRequests
from mlservice.rates import Rate, Standing
from mlservice.scopes import Scope
from mlservice.settings import Settings
from mlservice.store import Grants, Tenant, Tenants
from mlservice.store.keys import ANONYMOUS

# The scope that each route was added with.
SCOPES = web.AppKey("scopes", dict[AbstractRoute, Scope])
_TENANT = web.RequestKey("tenant", Tenant)

MINUTE_S = 60
# With the keyring's own times, a revoked key ends what is under way within a second.
CHECK_AGAIN_S = 0.3

Identify = Callable[[web.Request, Scope], Awaitable[str]]
# What knows requests by their keys, where there are any to know.
IDENTIFY: web.AppKey[Identify] = web.AppKey("identify")


def caller(request: web.Request) -> Tenant:
    """Return whose request it is, once it was admitted."""
    return request[_TENANT]


def is_needed(settings: Settings) -> bool:
    """Tell whether there is anything to ask of a request."""
    return settings.require_keys or settings.predict_rate > 0 or settings.train_rate > 0


async def expect(request: web.Request) -> None:
    """Answer `Expect: 100-continue`, so that who has no key need not send a body."""
    scope, identify = _scope_of(request), request.app.get(IDENTIFY)
    if identify and scope != "open":
        await identify(request, scope)
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise web.HTTPExpectationFailed
    if request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The answer itself has not begun.
        request.writer.output_size = 0


def _scope_of(request: web.Request) -> Scope:
    return request.app[SCOPES].get(request.match_info.route, "admin")


def admission(identify: Identify, limits: "Limits", tenants: Tenants) -> Middleware:
    """Return what lets a request in, as its tenant's, or says what is missing.

    Parameters
    ----------
    identify : callable
        Returns the tenant of a request, or raises what is wrong with its key.
    limits : Limits
        How many requests each tenant may send.
    """

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        scope = _scope_of(request)
        if scope == "open" or isinstance(request.match_info.route, SystemRoute):
            return await handler(request)
        name = await identify(request, scope)
        request[_TENANT] = tenants.of(name)
        told = await limits.take(name, scope)
        watch = _Watch(request, functools.partial(identify, request, scope))
        try:
            response = await handler(request)
        except Problem as problem:
            problem.headers.update(told)
            raise
        finally:
            watch.stop()
        if told and not response.prepared:
            response.headers.update(told)
        return response

    return admit


class _Watch:
    """Ends a request that takes long, a stream or a wait, when its key works no more."""

    def __init__(self, request: web.Request, identify: Callable[[], Awaitable[str]]) -> None:
        self._request = request
        self._identify = identify
        self._task: asyncio.Task[None] | None = None
        # Most requests end before this, and cost no task.
        self._begin = asyncio.get_running_loop().call_later(CHECK_AGAIN_S, self._start)

    def _start(self) -> None:
        self._task = asyncio.create_task(self._check())

    async def _check(self) -> None:
        try:
            while True:
                await self._identify()
                await asyncio.sleep(CHECK_AGAIN_S)
        except Problem:
            if self._request.transport:
                self._request.transport.abort()

    def stop(self) -> None:
        self._begin.cancel()
        if self._task:
            self._task.cancel()


async def as_anonymous(request: web.Request, scope: Scope) -> str:  # noqa: ARG001  # an `Identify`
    """Return the one tenant that there is without keys."""
    return ANONYMOUS


class Limits:
    """How many requests a tenant may send.

    Those of predictions are counted in each process, which has its share of the rate; the
    others in the store, for all processes together.

    Parameters
    ----------
    settings : Settings
        The rates; 0 is none.
    grants : Grants
        Counts for all processes together.
    """

    def __init__(self, settings: Settings, grants: Grants) -> None:
        self._predict_rate = settings.predict_rate
        self._train_rate = settings.train_rate
        self._predictions = _share(settings.predict_rate or 1, settings.processes)
        self._grants = grants

    async def take(self, tenant: str, scope: Scope) -> dict[str, str]:
        """Count a request; return the headers that tell how many are left.

        Raises
        ------
        TooManyRequests
            If it is one too many.
        """
        if scope == "predict":
            if not self._predict_rate:
                return {}
            return _told("predict", self._predict_rate, 1, self._predictions.take(tenant))
        if not self._train_rate:
            return {}
        standing = await self._grants.take(tenant, self._train_rate, MINUTE_S)
        return _told("train", self._train_rate, MINUTE_S, standing)


def _share(rate: int, processes: int) -> Rate:
    """Return what one of some processes may let pass of so many a second in all."""
    most = max(1, rate // processes)
    # Less than one a second for each is one in several seconds.
    return Rate(most, most * processes / rate)


def _told(policy: str, most: int, period_s: int, standing: Standing) -> dict[str, str]:
    wait_s = math.ceil(standing.wait_s)
    headers = {
        "RateLimit-Policy": f'"{policy}";q={most};w={period_s}',
        "RateLimit": f'"{policy}";r={standing.left};t={wait_s or period_s}',
    }
    if standing.wait_s:
        headers["Retry-After"] = str(wait_s)
        raise TooManyRequests(
            f"A tenant may send {most} requests in {period_s} s, these are more; try again later.",
            headers=headers,
        )
    return headers
