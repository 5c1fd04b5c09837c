"""The whole service on one machine: Valkey, API and worker, stopped in order."""

import asyncio
import os
import signal
import socket
import sys
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


async def start(settings: Settings, listening: socket.socket, stack: AsyncExitStack) -> Stack:
    """Start everything; leaving `stack` stops it, the API first and Valkey last.

    Parameters
    ----------
    listening : socket
        Where the API listens; it is bound here, so that a start of the API
        after a crash has the same port.
    """
    folder = None
    store_url = settings.redis_url
    if not store_url:
        folder = valkey.data_folder(settings.data_dir, os.environ)
        store_url = await _start_valkey(folder, settings, stack)
    environ = os.environ | {
        variable("redis_url"): store_url,
        variable("host"): settings.host,
        variable("require_keys"): str(settings.require_keys),
        variable("allow_anonymous"): str(settings.allow_anonymous),
        variable("accept_store_risks"): settings.accept_store_risks,
    }
    worker = Supervised("worker", [sys.executable, "-m", "workers"], environ=environ)
    api = Supervised(
        "api",
        [sys.executable, "-m", "mlservice", "serve", "--api-only", "--fd", f"{listening.fileno()}"],
        environ=environ,
        descriptors=[listening.fileno()],
    )
    await worker.start()
    stack.push_async_callback(worker.stop, _WORKER_STOP_S)
    await api.start()
    drain_s = settings.drain_delay_s + settings.shutdown_timeout_s
    stack.push_async_callback(api.stop, drain_s + _WORKER_STOP_S)
    return Stack(url=url_of(listening), store_url=store_url, data_dir=folder)


async def _start_valkey(folder: Path, settings: Settings, stack: AsyncExitStack) -> str:
    valkey.make_private(folder)
    descriptor = await valkey.lock(folder)
    stack.callback(os.close, descriptor)
    server = valkey.server(folder, settings, descriptor=descriptor)
    await server.start()
    stack.push_async_callback(server.stop, _VALKEY_STOP_S)
    path = valkey.socket_path(folder)
    await valkey.wait_for_socket(path)
    return f"unix://{path}"


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
