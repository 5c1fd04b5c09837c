"""An answer in JSON whose head goes out in one go: nothing of HTTP is lost by it."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiohttp import web

from mlservice.reply import Head, Reply
from tests.support import Client, Server

BODY = b'{"a": 1}\n'


async def ask(client: Client, request: str) -> tuple[list[str], bytes]:
    """Send what a client writes; return the head's lines and the body, read to the end."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


MORE: dict[str, Any] = {"status": 201, "headers": {"X-More": "1"}}
KEPT = "HTTP/1.1\nHost: localhost"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", [f"{KEPT}\nConnection: close", "HTTP/1.0", KEPT])
@pytest.mark.parametrize("options", [{}, MORE])
async def test_a_reply_is_what_aiohttp_would_have_sent(
    app: web.Application, aiohttp_client: object, method: str, version: str, options: dict[str, Any]
) -> None:
    """Status, headers and body are those of a plain `web.Response`, on every kind of connection."""

    async def reply(_: web.Request) -> web.Response:
        return Reply(BODY, **options)

    async def plain(_: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="application/json", **options)

    app.router.add_get("/reply", reply)
    app.router.add_get("/plain", plain)
    client: Client = await aiohttp_client(Server(app))  # type: ignore[operator]  # a fixture
    # A connection that stays open is closed by a second request.
    end = f"\n\nGET /health/live {KEPT}\nConnection: close" if version == KEPT else ""

    replied, plainly = [
        await ask(client, f"{method} {path} {version}\nX-Request-ID: same{end}")
        for path in ("/reply", "/plain")
    ]

    assert replied[1].startswith(BODY if method == "GET" else b"HTTP/1.1" if end else b"")
    assert len(replied[1]) == len(plainly[1])
    assert replied[0][0] == plainly[0][0]
    assert without_date(replied[0]) == without_date(plainly[0])


async def test_headers_of_a_reply_may_be_looked_at_and_changed(
    app: web.Application, aiohttp_client: object
) -> None:
    """Headers are made for who looks at them, and what is added is sent."""

    async def reply(_: web.Request) -> web.Response:
        response = Reply(BODY, head=Head({"Cache-Control": "private"}))
        response.headers["X-Length"] = response.headers["Content-Length"]
        return response

    app.router.add_get("/reply", reply)
    client: Client = await aiohttp_client(Server(app))  # type: ignore[operator]  # a fixture

    response = await client.get("/reply", headers={"X-Request-ID": "mine"})

    assert response.headers["X-Length"] == f"{len(BODY)}"
    assert response.headers["Cache-Control"] == "private"
    assert response.headers["X-Request-ID"] == "mine"
    assert await response.read() == BODY


def without_date(lines: list[str]) -> list[str]:
    """Return the headers that do not tell the time, by name."""
    return sorted(line for line in lines[1:] if not line.startswith("Date:"))


async def test_a_connection_stays_open_after_a_reply(client: Client) -> None:
    """Two requests on one connection get two answers, and the second one's wish to close holds."""
    one = "GET /health/live HTTP/1.1\nHost: localhost"

    head, rest = await ask(client, f"{one}\n\n{one}\nConnection: close")

    assert head[0] == "HTTP/1.1 200 OK"
    assert rest.startswith(b'{"live":true}\nHTTP/1.1 200 OK\r\n')
    assert b"\r\nConnection: close\r\n" in rest


async def test_a_reply_tells_the_time(client: Client) -> None:
    """`Date` is the present one, in the form of HTTP (RFC 9110, section 5.6.7)."""
    response = await client.get("/health/live")

    told = parsedate_to_datetime(response.headers["Date"])
    assert response.headers["Date"].endswith(" GMT")
    assert abs(told.timestamp() - time.time()) < 5


async def test_a_reply_can_be_compressed_and_closed_like_any_other(
    app: web.Application, aiohttp_client: object
) -> None:
    """What aiohttp offers for an answer works for this one too."""

    async def reply(_: web.Request) -> web.Response:
        response = Reply(BODY * 100)
        response.enable_compression()
        response.force_close()
        return response

    app.router.add_get("/reply", reply)
    client: Client = await aiohttp_client(Server(app))  # type: ignore[operator]  # a fixture

    response = await client.get("/reply", headers={"Accept-Encoding": "gzip"})

    assert await response.read() == BODY * 100
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Connection"] == "close"
