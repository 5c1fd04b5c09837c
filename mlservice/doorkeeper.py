"""Knows requests by their keys, and makes addresses wait that try too many."""

import functools
import ipaddress
import logging
import math

from aiohttp import hdrs, web

from mlservice.address import parsed, trusted_proxies
from mlservice.errors import KeyMissing, KeyRefused, ScopeMissing, TooManyRefusedKeys
from mlservice.keyring import Keyring
from mlservice.rates import Rate
from mlservice.scopes import Scope, allows
from mlservice.settings import Settings

logger = logging.getLogger(__name__)

REFUSED_PERIOD_S = 60


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
        self._refused = Rate(settings.refused_keys, REFUSED_PERIOD_S)
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
