"""Connections to the store: by TCP, TLS or a Unix socket, or to the primary that sentinels name.

::

    redis://[user:password@]host:port[?db=0]
    rediss://…[?ssl_ca_certs=FILE&ssl_certfile=FILE&ssl_keyfile=FILE&ssl_check_hostname=no]
    unix:///path/to/socket
    redis+sentinel://[user:password@]host:port,host:port/service   (rediss+sentinel:// with TLS)
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Connection, Redis, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as LateAnswer

from mlservice.errors import BadSetting
from mlservice.settings import Settings

CONNECT_S = 1.0
SENTINEL_PORT = 26379
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
# A peer that lost its power or its cable is noticed within 15 + 3 x 5 s.
_KEEPALIVE = {
    getattr(socket, name): seconds
    for name, seconds in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}


def open_redis(settings: Settings, *, connections: int = 50) -> "Redis":
    """Return a client of the store; it connects at its first command.

    Raises
    ------
    BadSetting
        If the address is not one of those above.
    """
    return Redis(connection_pool=open_pool(settings, connections=connections))


def open_pool(settings: Settings, *, connections: int = 50) -> BlockingConnectionPool:
    """Return a bounded pool of connections to the store."""
    try:
        pool = BlockingConnectionPool(
            max_connections=connections,
            timeout=settings.store_timeout_s,  # type: ignore[arg-type]  # seconds, as any
            health_check_interval=15,
            read_timeout_s=settings.store_timeout_s,
            **_options(settings.store_url),
        )
        # It connects nowhere; it refuses options that there are not.
        pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py 5 types few of its own
    # The address is not told: it may hold a password.
    except (ValueError, TypeError, OSError, RedisError) as error:
        raise BadSetting(
            "MLSERVICE_REDIS_URL must begin with redis://, rediss://, unix:// or redis+sentinel://"
            f" and have options that there are ({type(error).__name__})."
        ) from None
    return pool


def _options(url: str) -> dict[str, Any]:
    """Return what a connection to an address takes."""
    if url.startswith("unix://"):
        return {**parse_url(url), "connection_class": _Unix}
    scheme, separator, rest = url.partition("+sentinel://")
    if not separator:
        return _tcp(parse_url(url))
    credentials, _, hosts = urlsplit(f"//{rest}").netloc.rpartition("@")
    service = unquote(urlsplit(f"//{rest}").path.strip("/"))
    query = urlsplit(f"//{rest}").query
    options = _tcp(parse_url(f"{scheme}://{credentials}@localhost?{query}"))
    addresses = [_address(each) for each in hosts.split(",")]
    known = {"username": options.pop("sentinel_username", None)}
    known["password"] = options.pop("sentinel_password", None)
    return options | {"primary": Primary(addresses, service, known, options["tls"])}


def _tcp(options: Mapping[str, Any]) -> dict[str, Any]:
    is_tls = "connection_class" in options
    given = {name: options[name] for name in _TLS if name in options}
    rest = {name: value for name, value in options.items() if name not in _TLS}
    return rest | {
        "connection_class": _Tcp,
        "socket_connect_timeout": CONNECT_S,
        "socket_keepalive": True,
        "socket_keepalive_options": _KEEPALIVE,
        "tls": Tls(**given) if is_tls else None,
    }


class Tls:
    """How the store's certificate is checked; its name too, unless it is said not to."""

    def __init__(
        self,
        *,
        ssl_ca_certs: str | None = None,
        ssl_certfile: str | None = None,
        ssl_keyfile: str | None = None,
        ssl_check_hostname: bool = True,
    ) -> None:
        self.ca_certs, self.certfile, self.keyfile = ssl_ca_certs, ssl_certfile, ssl_keyfile
        self.checks_name = ssl_check_hostname
        # One for all connections: it reads files.
        self.context = ssl.create_default_context(cafile=ssl_ca_certs)
        self.context.check_hostname = ssl_check_hostname
        if ssl_certfile:
            self.context.load_cert_chain(ssl_certfile, ssl_keyfile)


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("A sentinel has no name.")
    return parts.hostname, parts.port or SENTINEL_PORT


class _Bounded(AbstractConnection):
    """A connection whose answers have a deadline.

    redis-py 5 has `socket_timeout`, but bounds what it sends by `wait_for`, which
    loses cancellations on Python 3.11 (cpython#86296).
    """

    def __init__(self, *, read_timeout_s: float, **options: Any) -> None:
        super().__init__(**options)
        self._read_timeout_s = read_timeout_s

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        try:
            await super().send_packed_command(*args, **options)
        except RuntimeError as error:
            # uvloop's word for a transport that was closed by the other side.
            await self.disconnect(nowait=True)
            raise LostConnection("The store's connection must be open, it is not.") from error

    async def read_response(self, *args: Any, **options: Any) -> Any:
        if options.get("timeout") is not None:
            return await super().read_response(*args, **options)
        try:
            async with asyncio.timeout(self._read_timeout_s):
                return await super().read_response(*args, **options)
        except TimeoutError:
            raise LateAnswer("The store must answer in time, it did not.") from None


class _Unix(_Bounded, UnixDomainSocketConnection):
    pass


class _Tcp(_Bounded, Connection):
    """A connection by TCP, perhaps with TLS, perhaps to the primary of the moment."""

    def __init__(
        self,
        *,
        tls: Tls | None = None,
        primary: "Primary | None" = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._tls = tls
        self._primary = primary

    def _connection_arguments(self) -> Mapping[str, Any]:
        tls = {"ssl": self._tls.context} if self._tls else {}
        return {**super()._connection_arguments(), **tls}

    async def _connect(self) -> None:
        if self._primary:
            self.host, self.port = await self._primary.find()
        await super()._connect()  # type: ignore[no-untyped-call]  # redis-py 5 types few of its own

    async def on_connect(self) -> None:
        await super().on_connect()
        if self._primary:
            # A sentinel that was cut off may still name the one that was.
            await self.send_command("INFO", "replication", check_health=False)
            if b"role:master" not in await self.read_response():
                raise LostConnection("The store must be a primary, it is a replica.")

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except ReadOnlyError:
            if not self._primary:
                raise
            await self.disconnect(nowait=True)
            raise LostConnection("The store was a primary, it is a replica now.") from None


class Primary:
    """Where the primary is, by the first sentinel that says."""

    def __init__(
        self,
        sentinels: list[tuple[str, int]],
        service: str,
        credentials: Mapping[str, str | None],
        tls: Tls | None,
    ) -> None:
        if not service:
            raise ValueError("A sentinel's address must name the service.")
        self.sentinels = sentinels
        self.service = service
        self._options: dict[str, Any] = {
            **credentials,
            "tls": tls,
            "socket_connect_timeout": CONNECT_S,
        }

    async def find(self) -> tuple[str, int]:
        """Return the primary's host and port."""
        for sentinel in list(self.sentinels):
            try:
                found = await self._ask(*sentinel)
            except (RedisError, OSError):
                found = None
            # The one that answers is asked first from now on, the others later.
            self.sentinels.remove(sentinel)
            self.sentinels.insert(0 if found else len(self.sentinels), sentinel)
            if found:
                return found[0].decode(), int(found[1])
        raise LostConnection("A sentinel must name the primary, none does.")

    async def _ask(self, host: str, port: int) -> list[bytes] | None:
        connection = _Tcp(host=host, port=port, read_timeout_s=CONNECT_S / 2, **self._options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py 5 types few of its own
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
            found: list[bytes] | None = await connection.read_response()
            return found
        finally:
            await connection.disconnect(nowait=True)
