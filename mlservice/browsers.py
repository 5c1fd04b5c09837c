"""Which pages in browsers may call: the names in `Host`, and origins (CORS).

A service without keys trusts whoever reaches its address, and every page that a
browser shows on this machine reaches a loopback address. So such a service
refuses what a page of another origin sends, reading and writing alike, and, on
a loopback address, a `Host` that is not its own (DNS rebinding). With keys
there is nothing to guard: a page has none unless it was given one. Origins that
the operator allows may call either way, and read the answers.
"""

from collections.abc import Callable

from aiohttp import hdrs, web
from multidict import istr

from mlservice.address import allowed_hosts, allowed_origins, host_name, is_loopback
from mlservice.errors import HostNotAllowed, OriginNotAllowed
from mlservice.settings import Settings

MOST_KEPT = 100
MOST_SHOWN = 64
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
FETCH_SITE = istr("Sec-Fetch-Site")
# What a page may send and read beside what the Fetch standard always allows.
SENT = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    "Prefer, X-Request-ID"
)
READ = (
    "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, RateLimit, "
    "RateLimit-Policy, Retry-After, X-Request-ID"
)
PREFLIGHT_S = 600

Check = Callable[[web.Request], None]
Share = Callable[[web.Request, web.StreamResponse], None]


class Browsers:
    """What the settings allow to pages in browsers.

    Parameters
    ----------
    settings : Settings
        The address, whether keys are asked for, allowed hosts and origins.

    Raises
    ------
    BadSetting
        If a host or an origin cannot be one.
    """

    def __init__(self, settings: Settings) -> None:
        hosts = allowed_hosts(settings)
        self.origins = allowed_origins(settings)
        self._guards_origins = not settings.require_keys
        guards_hosts = hosts or (self._guards_origins and is_loopback(settings.host))
        own = settings.host.lower()
        named = LOOPBACK | {f"[{own}]" if ":" in own else own} | hosts
        self._names = named if guards_hosts else None
        self._kept: set[str] = set()

    @property
    def check(self) -> Check | None:
        """What each request must pass, if there is anything to check."""
        return self._check if self._guards_origins or self._names else None

    def _check(self, request: web.Request) -> None:
        headers = request.headers
        host = headers.get(hdrs.HOST)
        if host not in self._kept:
            self._check_host(host)
        if hdrs.ORIGIN in headers or FETCH_SITE in headers:
            self._check_origin(request)

    def _check_host(self, host: str | None) -> None:
        # A browser always sends one; a client of HTTP/1.0 need not.
        if self._names is None or host is None:
            return
        name = host_name(host)
        if name not in self._names:
            raise HostNotAllowed(
                "Host must be a name of the service (MLSERVICE_ALLOWED_HOSTS), "
                f"it is {host[:MOST_SHOWN]!r}."
            )
        if len(self._kept) < MOST_KEPT:
            self._kept.add(host)

    def _check_origin(self, request: web.Request) -> None:
        headers = request.headers
        origin = headers.get(hdrs.ORIGIN)
        if not self._guards_origins or origin in self.origins:
            return
        site = headers.get(FETCH_SITE, "none")
        own = origin is None or origin.partition("://")[2] == headers.get(hdrs.HOST)
        if not own or site not in ("none", "same-origin"):
            raise OriginNotAllowed(
                "Pages must be the service's own or of an allowed origin "
                f"(MLSERVICE_ALLOWED_ORIGINS), this is {(origin or site)[:MOST_SHOWN]!r}."
            )

    @property
    def share(self) -> Share | None:
        """What lets pages of allowed origins read an answer (CORS), if there are any."""
        return self._share if self.origins else None

    def _share(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        varies = headers.get(hdrs.VARY, "")
        if hdrs.ORIGIN not in varies:
            headers[hdrs.VARY] = f"{varies}, {hdrs.ORIGIN}" if varies else hdrs.ORIGIN
        origin = request.headers.get(hdrs.ORIGIN)
        if origin not in self.origins:
            return
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = READ
        if request.method == hdrs.METH_OPTIONS and hdrs.ALLOW in headers:
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = headers[hdrs.ALLOW]
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = SENT
            headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(PREFLIGHT_S)


BROWSERS = web.AppKey("browsers", Browsers)
