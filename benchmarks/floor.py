"""The floor: an aiohttp handler that answers a constant, on the same loop."""

import asyncio
import sys

import uvloop
from aiohttp import web

# As long as a prediction of iris.
BODY = b'{"constant":"' + b"x" * 170 + b'"}\n'


async def constant(_: web.Request) -> web.Response:
    """Answer a constant."""
    return web.Response(body=BODY, content_type="application/json")


async def serve(port: int) -> None:
    """Serve the constant on a port of loopback."""
    app = web.Application()
    app.router.add_get("/models/{id}", constant)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
