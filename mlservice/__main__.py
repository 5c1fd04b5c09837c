"""The command line."""

import asyncio
import http.client
import importlib.util
import os
import socket
import sys
import urllib.request
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click

from mlservice import __version__, doctor, granting, logs
from mlservice.address import check_address, listen_apart, url_at
from mlservice.embedded import stack
from mlservice.errors import BadSetting
from mlservice.settings import Settings


@click.group(
    epilog="All settings are environment variables, such as MLSERVICE_PORT, for which some "
    "commands have flags; docs/operating.md has all of them."
)
@click.version_option(__version__, prog_name="mlservice")
def main() -> None:
    """Train logistic regressions over HTTP, and get predictions with a GET."""


@main.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.")
@click.option("--data-dir", help="Folder of the private Valkey.")
@click.option("--redis-url", help="Use this Redis or Valkey, and start none.")
@click.option("--require-keys", is_flag=True, default=None, help="Ask every client for a key.")
@click.option("--allow-anonymous", is_flag=True, default=None, help="Listen beyond loopback.")
@click.option("--accept-store-risks", help="Names of risks, see `mlservice doctor`.")
@click.option("--api-only", is_flag=True, help="Start the API only: no Valkey, no worker.")
@click.option("--processes", type=int, help="API processes to start.")
@click.option("--fd", type=int, hidden=True, help="Serve on this socket, which listens already.")
@click.option("--figures", type=Path, hidden=True, help="Write here what is counted.")
def serve(*, api_only: bool, fd: int | None, figures: Path | None, **flags: Any) -> None:
    """Start the service: a private Valkey, the API and a worker."""
    try:
        settings = Settings.from_environ(os.environ).with_flags(**flags)
        check_address(settings)
        logs.configure(settings)
        if api_only or settings.redis_url or settings.accept_store_risks:
            _check_store(settings, is_private=not (api_only or settings.redis_url))
        listening = listen_apart(settings) if fd is None else [socket.socket(fileno=fd)]
        if not api_only:
            _run(lambda: _serve_all(settings, listening))
        elif len(listening) > 1:
            _run(lambda: _serve_apis(settings, listening))
        else:
            _run(lambda: _serve_api(settings, listening[0], figures))
    except BadSetting as error:
        raise click.UsageError(str(error)) from error


def _check_store(settings: Settings, *, is_private: bool) -> None:
    """Refuse a store that would lose models, before anything is started on it."""
    # Here, so that a private store starts without waiting for it.
    from mlservice.store import checkup

    if is_private:
        checkup.accepted(settings)
    else:
        asyncio.run(checkup.refuse_risks(settings))


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on uvloop where the extra `fast` has installed it."""
    factory = None
    if importlib.util.find_spec("uvloop"):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work())


async def _serve_api(settings: Settings, listening: socket.socket, figures: Path | None) -> None:
    # Here, so that no other command imports scikit-learn.
    from mlservice import app

    await app.serve(settings, listening, stack.stop_signal(), figures)


async def _serve_apis(settings: Settings, listening: list[socket.socket]) -> None:
    stop = stack.stop_signal()
    async with AsyncExitStack() as running:
        await stack.start_apis(settings, listening, running)
        await stop.wait()


async def _serve_all(settings: Settings, listening: list[socket.socket]) -> None:
    stop = stack.stop_signal()
    stopped = asyncio.ensure_future(stop.wait())
    async with AsyncExitStack() as running:
        # A store that loads gigabytes takes minutes, and a stop is heard meanwhile.
        starting = asyncio.ensure_future(_start(settings, listening, running))
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            await starting
            await stopped
        starting.cancel()
        await asyncio.wait([starting])


async def _start(
    settings: Settings, listening: list[socket.socket], running: AsyncExitStack
) -> None:
    started = await stack.start(settings, listening, running)
    await stack.wait_until_ready(started.url)
    click.echo(_banner(started, has_keys=settings.require_keys))


def _banner(started: stack.Stack, *, has_keys: bool) -> str:
    lines = [f"mlservice is ready at {started.url} (Ctrl-C stops it)"]
    if started.data_dir:
        lines.append(f"  data    {started.data_dir}")
    # The address of a store that was there before may hold its password.
    store = started.store_url if started.data_dir else "…"
    python = f"MLSERVICE_REDIS_URL={store} {sys.executable} -m"
    lines.append(f"  worker  {python} workers")
    sent = "-H 'Content-Type: application/json' -d @train.json"
    if has_keys:
        lines.append(f"  key     {python} mlservice keys create --tenant NAME --scope train")
        sent = f"-H 'Authorization: Bearer KEY' {sent}"
    lines.append(f"  try     curl -s {started.url}/models {sent}")
    return "\n".join(lines)


@main.command()
@click.option("--url", help="The API; by default that of MLSERVICE_HOST and MLSERVICE_PORT.")
def health(url: str | None) -> None:
    """Exit with 0 when the API is ready, with 1 otherwise."""
    # A proxy of the environment knows nothing of this machine's own addresses.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(None if url else {}))
    url = url.rstrip("/") if url else _own_url()
    try:
        with opener.open(f"{url}/health/ready", timeout=5) as response:
            click.echo(response.read().decode().strip())
    # What is no address of HTTP, or is answered in another protocol, is among them.
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise click.ClickException(f"{url} is not ready: {error}.") from error


def _own_url() -> str:
    try:
        settings = Settings.from_environ(os.environ)
    except BadSetting as error:
        raise click.UsageError(str(error)) from error
    return url_at(settings.host, settings.port)


main.add_command(granting.keys)
main.add_command(doctor.doctor)


if __name__ == "__main__":
    main(prog_name="mlservice")
