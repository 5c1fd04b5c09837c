"""The floor: aiohttp handlers that do the least, on the same loop.

One answers a constant, one reads the body first, and one parses a matrix with
simdjson, multiplies it, and dumps the product with orjson.
"""

import asyncio
import sys
from typing import Any

import numpy as np
import orjson
import simdjson
import uvloop
from aiohttp import web

# As long as a prediction of iris.
BODY = b'{"constant":"' + b"x" * 170 + b'"}\n'


async def constant(_: web.Request) -> web.Response:
    """Answer a constant."""
    return web.Response(body=BODY, content_type="application/json")


async def read(request: web.Request) -> web.Response:
    """Read the body and answer a constant."""
    await request.read()
    return web.Response(body=BODY, content_type="application/json")


WEIGHTS = np.random.default_rng(0).normal(size=(30, 2))


async def multiply(request: web.Request) -> web.Response:
    """Multiply rows of 30 numbers by a matrix."""
    body = await request.read()
    document: Any = simdjson.Parser().parse(body)
    rows = document["data"].as_buffer(of_type="d")
    product = np.frombuffer(rows, np.float64).reshape(-1, 30) @ WEIGHTS
    dumped = orjson.dumps(product, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(body=dumped, content_type="application/json")


async def serve(port: int) -> None:
    """Serve the constant on a port of loopback."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/models/{id}", constant)
    app.router.add_post("/models/{id}/predictions", read)
    app.router.add_post("/multiply", multiply)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
