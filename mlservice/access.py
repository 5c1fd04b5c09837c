"""Who may do what: keys, tenants, scopes and rates, asked of each request once it is routed.

A route is added with its scope; what is served without one needs `admin`. Nothing
of this runs while the service asks for no keys and limits no rates.
"""

import asyncio
import functools
import ipaddress
import logging
import math
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_urldispatcher import AbstractRoute, SystemRoute

from mlservice.address import parsed, trusted_proxies
from mlservice.denials import (
    KeyMissing,
    KeyRefused,
    ScopeMissing,
    TooManyRefusedKeys,
    TooManyRequests,
)
from mlservice.errors import Problem
from mlservice.keyring import Keyring
from mlservice.rates import Rate, Standing
from mlservice.scopes import Scope, allows
from mlservice.settings import Settings
from mlservice.store import Grants, Tenant, Tenants
from mlservice.store.keys import ANONYMOUS

logger = logging.getLogger(__name__)

# The scope that each route was added with.
SCOPES = web.AppKey("scopes", dict[AbstractRoute, Scope])
_TENANT = web.RequestKey("tenant", Tenant)

MINUTE_S = 60
# With the keyring's own times, a revoked key ends what is under way within a second.
CHECK_AGAIN_S = 0.3

Identify = Callable[[web.Request, Scope], Awaitable[str]]


def caller(request: web.Request) -> Tenant:
    """Return whose request it is, once it was admitted."""
    return request[_TENANT]


def is_needed(settings: Settings) -> bool:
    """Tell whether there is anything to ask of a request."""
    return settings.require_keys or settings.predict_rate > 0 or settings.train_rate > 0


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
        route = request.match_info.route
        scope = request.app[SCOPES].get(route, "admin")
        if scope == "open" or isinstance(route, SystemRoute):
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
        if not response.prepared:
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


class Doorkeeper:
    """Knows requests by their keys.

    Parameters
    ----------
    keyring : Keyring
        The keys that work.
    settings : Settings
        How many keys of one address may be refused in a minute, and which proxies
        tell the address of who is behind them.
    """

    def __init__(self, keyring: Keyring, settings: Settings) -> None:
        self._keyring = keyring
        self._refused = Rate(settings.refused_keys, MINUTE_S)
        self._proxies = trusted_proxies(settings)

    async def identify(self, request: web.Request, scope: Scope) -> str:
        """Return the tenant of a request's key.

        Raises
        ------
        KeyMissing, KeyRefused, ScopeMissing
            If there is no key, or it does not work, or not for this.
        TooManyRefusedKeys
            If this address tried too many that do not work, and this one is not known to.
        """
        token = _token(request)
        address = network(self._address(request))
        wait_s = self._refused.look(address)
        if wait_s and not self._keyring.knows(token):
            raise _too_many_refused(wait_s)
        try:
            grant = await self._keyring.grant(token)
        except KeyRefused:
            self._note_refused(address)
            raise
        if not allows(grant.scope, scope):
            raise _scope_missing(grant.scope, scope)
        return grant.tenant

    def _address(self, request: web.Request) -> str:
        """Return who sent the request: the last hop that is no proxy of ours."""
        nearest = request.remote or ""
        if not self._proxies:
            return nearest
        hops = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).split(",")
        told = [*map(str.strip, hops), nearest]
        return next((hop for hop in reversed(told) if not self._is_proxy(hop)), nearest)

    def _is_proxy(self, hop: str) -> bool:
        address = parsed(hop)
        return address is not None and any(address in proxy for proxy in self._proxies)

    def _note_refused(self, address: str) -> None:
        self._refused.take(address)
        if self._refused.look(address):
            logger.warning("too many keys from %s do not work", address)


@functools.lru_cache(maxsize=10_000)
def network(address: str) -> str:
    """Return what stands for a client: its address, or the /64 of one of version 6."""
    found = parsed(address)
    if found is None:
        return address
    return str(ipaddress.ip_network((found, 64 if found.version == 6 else 32), strict=False))


def _token(request: web.Request) -> str:
    sent = request.headers.getall(hdrs.AUTHORIZATION, [])
    scheme, _, token = (sent[0] if len(sent) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise KeyMissing(
            "Authorization must be `Bearer` and a key, once; it is not.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return token.strip()


def _scope_missing(held: Scope, needed: Scope) -> ScopeMissing:
    return ScopeMissing(
        f"The key must have the scope {needed}, it has {held}.",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
        members={"scope": needed},
    )


def _too_many_refused(wait_s: float) -> TooManyRefusedKeys:
    return TooManyRefusedKeys(
        "Keys from this address must work, too many did not; try again later.",
        headers={"Retry-After": str(math.ceil(wait_s))},
    )


class Limits:
    """How many requests a tenant may send: each process for predictions, all for the rest.

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
        self._predictions = Rate(settings.predict_rate or 1, 1)
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
