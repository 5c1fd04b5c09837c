"""The whole service on one machine: Valkey, API and worker, stopped in order."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mlservice.address import url_of
from mlservice.embedded import valkey
from mlservice.embedded.process import Supervised
from mlservice.settings import Settings, variable

_POLL_S = 0.05
_WORKER_STOP_S = 10.0
_VALKEY_STOP_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Where a started service is found.

    Attributes
    ----------
    url : str
        Address of the API.
    store_url : str
        Address of its store, for more workers.
    data_dir : Path or None
        Folder of the private Valkey, if there is one.
    """

    url: str
    store_url: str
    data_dir: Path | None


def stop_signal() -> asyncio.Event:
    """Return an event that SIGINT or SIGTERM sets."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def start(
    settings: Settings, listening: Sequence[socket.socket], stack: AsyncExitStack
) -> Stack:
    """Start everything; leaving `stack` stops it, the API first and Valkey last.

    Parameters
    ----------
    listening : sequence of socket
        Where each API process listens; they are bound here, so that a start of
        a process after a crash has the same port.
    """
    folder = None
    store_url = settings.redis_url
    if not store_url:
        folder = valkey.data_folder(settings.data_dir, os.environ)
        store_url = await _start_valkey(folder, settings, stack)
    settings = settings.with_flags(redis_url=store_url)
    worker = Supervised("worker", [sys.executable, "-m", "workers"], environ=_environ(settings))
    await worker.start()
    stack.push_async_callback(worker.stop, _WORKER_STOP_S)
    await start_apis(settings, listening, stack)
    return Stack(url=url_of(listening[0]), store_url=store_url, data_dir=folder)


async def start_apis(
    settings: Settings, listening: Sequence[socket.socket], stack: AsyncExitStack
) -> None:
    """Start an API process for each socket; leaving `stack` stops them side by side."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlservice-"))
    apis = [_api(settings, each, Path(folder)) for each in listening]
    stop_s = settings.drain_delay_s + settings.shutdown_timeout_s + _WORKER_STOP_S

    async def stop() -> None:
        await asyncio.gather(*(api.stop(stop_s) for api in apis))

    stack.push_async_callback(stop)
    for api in apis:
        await api.start()


def _api(settings: Settings, listening: socket.socket, folder: Path) -> Supervised:
    descriptor = listening.fileno()
    options = ["--api-only", "--fd", f"{descriptor}"]
    if settings.processes > 1:
        options += ["--figures", str(folder / f"{descriptor}.json")]
    return Supervised(
        "api",
        [sys.executable, "-m", "mlservice", "serve", *options],
        environ=_environ(settings),
        descriptors=[descriptor],
    )


def _environ(settings: Settings) -> dict[str, str]:
    """Return this environment with what flags may have changed."""
    return os.environ | {
        variable("redis_url"): settings.store_url,
        variable("host"): settings.host,
        variable("processes"): str(settings.processes),
        variable("require_keys"): str(settings.require_keys),
        variable("allow_anonymous"): str(settings.allow_anonymous),
        variable("accept_store_risks"): settings.accept_store_risks,
    }


async def _start_valkey(folder: Path, settings: Settings, stack: AsyncExitStack) -> str:
    valkey.make_private(folder)
    descriptor = await valkey.lock(folder)
    stack.callback(os.close, descriptor)
    server = valkey.server(folder, settings, descriptor=descriptor)
    await server.start()
    stack.push_async_callback(server.stop, _VALKEY_STOP_S)
    await valkey.wait_for(server, folder)
    return f"unix://{valkey.socket_path(folder)}"


async def wait_until_ready(url: str) -> None:
    """Wait until the API can predict and a worker can train."""
    # Here, so that the children are started before this process imports it.
    import aiohttp

    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/health/ready?for=training") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # The API does not accept connections yet.
            await asyncio.sleep(_POLL_S)
