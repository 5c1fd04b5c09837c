"""Limits on connections and requests, slow clients, and the end of a process: over raw sockets."""

import asyncio
import gzip
import io
import json
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mlservice.server import _Server, allow_connections
from mlservice.settings import Settings
from tests.conftest import Serve, Spawn
from tests.support import (
    JSON,
    Client,
    Server,
    create,
    get,
    make_model,
    make_request,
    store_model,
    until,
)


async def _open(
    client: Client, sent: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(sent)
    return reader, writer


async def _ended(reader: asyncio.StreamReader, *, within_s: float) -> bytes:
    """Return what came until the service closed the connection."""
    return await asyncio.wait_for(reader.read(), within_s)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /health/li", b"GET / HTTP/1.1\r\nHost: localhost\r\nA: "]
)
async def test_a_connection_that_sends_no_whole_head_is_closed(serve: Serve, sent: bytes) -> None:
    """Whoever opens connections and says little does not keep them."""
    client = await serve(header_timeout_s=0.3)
    reader, writer = await _open(client, sent)

    assert await _ended(reader, within_s=3) == b""
    writer.close()


async def test_an_idle_connection_is_closed_when_its_time_is_over(serve: Serve) -> None:
    """Between two requests a connection stays open for the time that is set, no longer."""
    client = await serve(keepalive_timeout_s=0.3, header_timeout_s=9.0)
    reader, writer = await _open(
        client, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2
    )

    answers = await _ended(reader, within_s=3)

    assert answers.count(b"200 OK") == 2
    writer.close()


@pytest.mark.parametrize(
    "path", ["/models", "/models/{}/predictions", "/v2/models/{}/infer", "/v1/models/{}:predict"]
)
async def test_a_body_that_does_not_come_is_answered_and_its_connection_closed(
    serve: Serve, settings: Settings, path: str
) -> None:
    """408 names the settings; nobody else waits for it meanwhile."""
    client = await serve(slow_client_s=0.3)
    path = path.format(await store_model(settings, make_model()))
    head = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{{"
    reader, writer = await _open(client, head.format(path).encode())
    assert (await get(client, "/health/live"))["live"] is True

    answer = await _ended(reader, within_s=3)

    assert answer.startswith(b"HTTP/1.1 408 ")
    document = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert document["type"] == "/problems/request-too-slow"
    assert "MLSERVICE_SLOW_CLIENT_S" in document["detail"]
    writer.close()


async def test_a_body_that_trickles_is_given_up_though_it_moves(serve: Serve) -> None:
    """A byte now and then is not progress."""
    client = await serve(slow_client_s=0.3)
    head = b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    reader, writer = await _open(client, head)
    # What is written after the answer resets the connection, so that it may have no clean end.
    answered = asyncio.ensure_future(reader.readline())

    async def is_answered() -> bool:
        writer.write(b" ")
        return answered.done()

    await until(is_answered, within_s=3, every_s=0.05)
    assert (await answered).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_body_that_comes_at_the_rate_is_read_whole(serve: Serve) -> None:
    """What lags behind by less than it may is taken, however long it lasts."""
    client = await serve(slow_client_s=0.6, slow_client_bytes_per_s=2000)
    body = json.dumps(make_request()).encode()

    async def pieces() -> Any:
        for begin in range(0, len(body), 500):
            await asyncio.sleep(0.1)
            yield body[begin : begin + 500]

    begun = time.monotonic()
    async with client.post("/models", data=pieces(), headers=JSON) as response:
        assert response.status == 202
    assert time.monotonic() - begun > 0.6


async def _large(_: web.Request) -> web.Response:
    return web.Response(body=bytes(30_000_000))


async def test_a_client_that_does_not_read_its_answer_is_left(serve: Serve) -> None:
    """Its connection is ended, so that its answer is not kept for ever."""
    client = await serve(web.get("/large", _large), slow_client_s=0.5)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (client.host, client.port))
    server = _server(client)

    await asyncio.get_running_loop().sock_sendall(
        raw, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    await until(lambda: _count(server, 1), within_s=3)

    await until(lambda: _count(server, 0), within_s=5)
    raw.close()


def _server(client: Client) -> _Server:
    assert isinstance(client.server, Server)
    assert client.server.runner
    assert isinstance(client.server.runner.server, _Server)
    return client.server.runner.server


async def _count(server: web.Server, expected: int) -> bool:
    return len(server.connections) == expected


async def test_a_client_that_reads_slowly_enough_gets_its_whole_answer(serve: Serve) -> None:
    """What is taken at the rate is not cut, though it takes longer than a client may lag."""
    client = await serve(
        web.get("/large", _large), slow_client_s=0.5, slow_client_bytes_per_s=1_000_000
    )
    size = 0
    async with client.get("/large") as response:
        while piece := await response.content.read(4_000_000):
            size += len(piece)
            await asyncio.sleep(0.1)

    assert size == 30_000_000


async def test_connections_beyond_the_limit_are_refused_and_health_is_not(serve: Serve) -> None:
    """503 with Retry-After on a connection that ends; health checks are answered still."""
    client = await serve(max_connections=3)
    idle = [await _open(client) for _ in range(3)]

    async with aiohttp.ClientSession(client.make_url("/").origin()) as another:
        async with another.get("/models") as refused:
            document = await refused.json()
        async with another.get("/health/live") as live:
            assert live.status == 200
    for _, writer in idle:
        writer.close()

    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert document["type"] == "/problems/overloaded"
    await until(lambda: _is_served(client), within_s=3)


async def _is_served(client: Client) -> bool:
    async with client.get("/models") as response:
        return response.status == 200


async def test_far_too_many_connections_are_closed_unanswered(serve: Serve) -> None:
    """Beyond those kept for health checks a connection costs nothing at all."""
    client = await serve(max_connections=1)
    idle = [await _open(client) for _ in range(33)]

    reader, writer = await _open(client)

    assert await _ended(reader, within_s=3) == b""
    for _, each in [*idle, (reader, writer)]:
        each.close()


async def test_requests_beyond_the_limit_are_refused_and_health_is_not(serve: Serve) -> None:
    """While as many requests are under way as may be, another one is 503."""
    client = await serve(max_requests=1)
    model_id = await create(client, make_request())
    waiting = asyncio.ensure_future(
        client.get(f"/models/{model_id}", headers={"Prefer": "wait=30"})
    )

    async def is_under_way() -> bool:
        return _server(client).in_flight == 1

    await until(is_under_way, within_s=3)
    async with client.get("/models") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
    for path in ("/health/live", "/v2/health/live", "/ping", "/health"):
        assert (await get(client, path))["live"] is True
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_bomb_is_not_decoded_while_its_answer_is_read(serve: Serve) -> None:
    """2 GiB of zeros in 2 MB are refused at the limit, and cost less than a second of CPU."""
    client = await serve(training_body_bytes=1_000_000)
    bomb = gzip.compress(bytes(1 << 26)) * 32
    begun = time.process_time()

    async with client.post(
        "/models", data=io.BytesIO(bomb), headers=JSON | {"Content-Encoding": "gzip"}
    ) as response:
        assert response.status == 413

    assert time.process_time() - begun < 1.5


@pytest.mark.parametrize(
    ("place", "size", "status"),
    [("line", 8000, 200), ("line", 8200, 414), ("field", 8000, 200), ("field", 8200, 431)],
)
async def test_a_request_line_and_a_header_have_at_most_8_kib(
    client: Client, place: str, size: int, status: int
) -> None:
    """The limits are those that are said, and in force."""
    line, field = (b"?" + b"a" * size, b"") if place == "line" else (b"", b"a" * size)
    head = b"GET /health/live%b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nA: %b\r\n\r\n"
    reader, writer = await _open(client, head % (line, field))

    answer = await _ended(reader, within_s=3)

    writer.close()
    assert int(answer.split()[1]) == status


def test_the_limit_of_open_files_is_raised_to_what_connections_need() -> None:
    """The soft limit is no reason to refuse a connection that the settings allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        allow_connections(Settings(max_connections=1000))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.processes
@pytest.mark.timeout(60)
async def test_a_stop_is_told_by_readiness_first_and_requests_under_way_end(
    spawn: Spawn, tmp_path: Path
) -> None:
    """Ready turns to 503 while requests are still taken; what is under way is answered; exit 0."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    listening.close()
    serve = [sys.executable, "-m", "mlservice", "serve", "--api-only", "--port", str(port)]
    process = spawn(*serve, MLSERVICE_DRAIN_DELAY_S="3")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def ready(status: int) -> bool:
            try:
                async with session.get("/health/ready") as response:
                    return response.status == status
            except aiohttp.ClientError:
                return False

        await until(lambda: ready(200), within_s=30)
        async with session.post("/models", json=make_request()) as response:
            model_id = (await response.json())["id"]
        waiting = asyncio.ensure_future(
            session.get(f"/models/{model_id}", headers={"Prefer": "wait=30"})
        )

        process.send_signal(signal.SIGTERM)

        await until(lambda: ready(503), within_s=2)
        async with session.get("/models") as response:
            assert response.status == 200
        assert (await asyncio.wait_for(waiting, 20)).status == 200
    assert await asyncio.to_thread(process.wait, 10) == 0
    assert "Traceback" not in (tmp_path / "log0.txt").read_text()


async def _half_sent(client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Send a training's head and the first half of its body; return the other half too."""
    body = json.dumps(make_request()).encode()
    head = f"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    half = len(body) // 2
    reader, writer = await _open(
        client, f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:half]
    )

    async def is_begun() -> bool:
        return any(each.is_sent_to for each in _server(client)._protocols())

    await until(is_begun, within_s=5)
    return reader, writer, body[half:]


async def test_a_body_that_is_coming_at_a_stop_is_read_and_answered(serve: Serve) -> None:
    """The upload that is under way is the last of its connection, and no other is taken.

    Fails with aiohttp's own stop, which drops what comes of a body and waits for it.
    """
    client = await serve()
    reader, writer, rest = await _half_sent(client)
    watching = _server(client)._watching
    assert watching

    stopping = asyncio.create_task(client.close())
    await asyncio.wait([watching], timeout=5)
    writer.write(rest)

    answer = await _ended(reader, within_s=5)
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert b"Connection: close" in answer
    await asyncio.wait_for(stopping, 5)
    writer.close()


async def test_a_body_that_never_comes_holds_up_no_stop(serve: Serve) -> None:
    """It is waited for as long as requests under way are."""
    client = await serve(shutdown_timeout_s=0.3)
    reader, writer, _ = await _half_sent(client)

    await asyncio.wait_for(client.close(), 3)

    assert b"202" not in await _ended(reader, within_s=3)
    writer.close()
