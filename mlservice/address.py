"""Where the service listens, and who may reach it there."""

import ipaddress
import socket

from mlservice.errors import BadSetting
from mlservice.settings import Settings

_BACKLOG = 1024


def check_address(settings: Settings) -> None:
    """Refuse to listen to the world without keys.

    Raises
    ------
    BadSetting
        If the host is not loopback and anonymous access was not allowed.
    """
    if not settings.allow_anonymous and not _is_loopback(settings.host):
        raise BadSetting(
            f"Anybody who reaches {settings.host} could use the service; "
            "listen on 127.0.0.1, or allow it with --allow-anonymous."
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens on the settings' address.

    Raises
    ------
    BadSetting
        If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
