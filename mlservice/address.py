"""Where the service listens, and who may reach it there."""

import contextlib
import ipaddress
import re
import socket
from urllib.parse import urlsplit

from mlservice.errors import BadSetting
from mlservice.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_BACKLOG = 1024
_host = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/?#@*\s]+)(:[0-9]*)?").fullmatch


def check_address(settings: Settings) -> None:
    """Refuse to listen to the world without keys, and names that are none.

    Raises
    ------
    BadSetting
        If an allowed host or origin, or a proxy, cannot be one; or if the host is not loopback,
        no keys are asked for, and that was not allowed.
    """
    if not (settings.require_keys or settings.allow_anonymous or is_loopback(settings.host)):
        raise BadSetting(
            f"Anybody who reaches {settings.host} could use the service; listen on 127.0.0.1, "
            "or ask for keys with --require-keys, or allow it with --allow-anonymous."
        )
    allowed_hosts(settings)
    allowed_origins(settings)
    trusted_proxies(settings)


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Return the names that requests may have in `Host` beside the service's own.

    Raises
    ------
    BadSetting
        If a member of the setting cannot be one.
    """
    hosts = _members(settings.allowed_hosts)
    for host in hosts:
        if host_name(host) != host:
            raise BadSetting(f"MLSERVICE_ALLOWED_HOSTS must be names without port, got {host!r}.")
    return hosts


def host_name(host: str) -> str | None:
    """Return the name in a `Host`, without its port, if it has one."""
    found = _host(host.lower())
    return found[1] if found else None


def allowed_origins(settings: Settings) -> frozenset[str]:
    """Return the origins whose pages may call.

    Raises
    ------
    BadSetting
        If a member of the setting cannot be one.
    """
    origins = _members(settings.allowed_origins)
    for origin in origins:
        scheme, _, authority = origin.partition("://")
        if scheme not in ("http", "https") or urlsplit(origin).netloc != authority or not authority:
            raise BadSetting(
                f"MLSERVICE_ALLOWED_ORIGINS must be such as https://example.org, got {origin!r}."
            )
    return origins


def trusted_proxies(settings: Settings) -> tuple[Network, ...]:
    """Return the networks of the proxies that are believed.

    Raises
    ------
    BadSetting
        If a member of the setting is neither an address nor a network.
    """
    try:
        return tuple(map(ipaddress.ip_network, sorted(_members(settings.trusted_proxies))))
    except ValueError as error:
        raise BadSetting(
            f"MLSERVICE_TRUSTED_PROXIES must be addresses or networks: {error}."
        ) from error


def parsed(address: str) -> Address | None:
    """Return an address, of version 4 if it is one in version 6's clothes, or nothing."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _members(setting: str) -> frozenset[str]:
    return frozenset(each.strip().lower() for each in setting.split(",") if each.strip())


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen_apart(settings: Settings) -> list[socket.socket]:
    """Return a socket for each API process; the kernel shares new connections among them.

    Raises
    ------
    BadSetting
        If the address cannot be had.
    """
    first = listen(settings)
    if settings.processes == 1:
        return [first]
    # Whoever shares an address gets it even if it is taken, so that is asked first.
    port: int = first.getsockname()[1]
    first.close()
    settings = settings.with_flags(port=port)
    return [listen(settings, is_shared=True) for _ in range(settings.processes)]


def listen(settings: Settings, *, is_shared: bool = False) -> socket.socket:
    """Return a socket that listens on the settings' address.

    Parameters
    ----------
    is_shared : bool
        Whether other sockets of this process may listen there too.

    Raises
    ------
    BadSetting
        If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind((settings.host, settings.port))
    # A host that is no name is a ValueError.
    except (OSError, ValueError) as error:
        listening.close()
        why = error.strerror if isinstance(error, OSError) else error
        raise BadSetting(
            f"{settings.host}:{settings.port} must be free to listen on: {why}."
        ) from error
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the address that a client on this machine takes."""
    host, port = listening.getsockname()[:2]
    return url_at(host, port)


def url_at(host: str, port: int) -> str:
    """Return the address that a client on this machine takes of a service that listens there."""
    with contextlib.suppress(ValueError):
        host = "localhost" if ipaddress.ip_address(host).is_unspecified else host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
