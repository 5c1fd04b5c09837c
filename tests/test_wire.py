"""Bodies, problems and request ids, over real sockets."""

import asyncio
import contextlib
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web

from mlservice.app import create_app
from mlservice.errors import BodyTooLarge
from mlservice.intake import MEDIA_TYPES
from mlservice.settings import Settings
from mlservice.wire import read_ahead
from tests.support import JSON, Client, Server, make_model, make_request, store_model


async def test_a_request_id_comes_back_as_it_was_sent(client: Client) -> None:
    """The client's own id names the request in the answer and in a problem."""
    response = await client.get("/nowhere", headers={"X-Request-ID": "my-id.1"})

    assert response.headers["X-Request-ID"] == "my-id.1"
    assert (await response.json())["instance"] == "my-id.1"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "é", '"'])
async def test_a_request_id_that_is_no_token_is_replaced(client: Client, sent: str) -> None:
    """What could break a log line or a header is not taken over."""
    response = await client.get("/health/live", headers={"X-Request-ID": sent})

    assert response.headers["X-Request-ID"] not in ("", sent)


async def test_each_request_has_an_id_of_its_own(client: Client) -> None:
    """Requests without an id get different ones."""
    first, second = [await client.get("/health/live") for _ in range(2)]

    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


async def test_an_unknown_path_is_a_problem(client: Client) -> None:
    """The framework's 404 is a problem document."""
    response = await client.get("/modelz")

    assert response.status == 404
    assert response.content_type == "application/problem+json"
    assert (await response.json())["type"] == "/problems/not-found"


async def test_a_wrong_method_is_a_problem_that_lists_the_right_ones(client: Client) -> None:
    """The framework's 405 is a problem document with `Allow`."""
    response = await client.put("/models")

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await response.json())["type"] == "/problems/method-not-allowed"


async def test_options_and_head_are_answered(client: Client) -> None:
    """OPTIONS lists the methods, HEAD has GET's status and no body."""
    options = await client.options("/models")
    head = await client.head("/models")

    assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (head.status, await head.read()) == (200, b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"data": NaN}',
        b'{"data": {"x": [1,]}}',
        b'{"data": {"x": ["\xff"]}}',
        b'{"data": {"x": ["\\ud800"]}}',
        b'{"data": {"x": ' + b"[" * 100_000,
        json.dumps(make_request()).encode("utf-16"),
        json.dumps(make_request()).encode() + b" x",
    ],
)
async def test_a_body_that_is_not_json_is_malformed(client: Client, body: bytes) -> None:
    """Whatever is not JSON by RFC 8259 is 400, and nothing is queued."""
    response = await client.post("/models", data=body, headers=JSON)

    assert response.status == 400
    assert (await response.json())["type"] == "/problems/malformed-json"


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"targt": "y"}, "/targt"),
        ({"target": 1}, "/target"),
        ({"name": "x" * 201}, "/name"),
        ({"params": {"C": "1"}}, "/params/C"),
        ({"params": {"C": 0}}, "/params/C"),
        ({"params": {"CC": 1}}, "/params/CC"),
        ({"params": {"solver": "adam"}}, "/params/solver"),
        ({"params": {"max_iter": 1_000_001}}, "/params/max_iter"),
        ({"data": 1}, "/data"),
        ({"data": [1]}, "/data/0"),
    ],
)
async def test_a_wrong_member_is_refused_with_its_place(
    client: Client, members: dict[str, Any], pointer: str
) -> None:
    """Unknown, mistyped and out of range: 422 that points at the member."""
    response = await client.post("/models", json=make_request(**members))

    document = await response.json()
    assert response.status == 422
    assert document["type"] == "/problems/invalid-request"
    assert document["errors"][0]["pointer"] == pointer


async def test_another_media_type_is_refused_with_those_that_are_read(client: Client) -> None:
    """415 has `Accept-Post`; a body without a media type is taken as JSON."""
    refused = await client.post("/models", data=b"<a/>", headers={"Content-Type": "text/xml"})
    body = json.dumps(make_request()).encode()
    taken = await client.post("/models", data=body, skip_auto_headers=["Content-Type"])

    assert refused.status == 415
    assert set(refused.headers["Accept-Post"].split(", ")) >= set(MEDIA_TYPES)
    assert (await refused.json())["type"] == "/problems/unsupported-media-type"
    assert taken.status == 202


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_beyond_the_limit_is_refused(
    aiohttp_client: Any, settings: Settings, *, chunked: bool
) -> None:
    """413 names the setting, whether the length was announced or not."""
    limited = msgspec.structs.replace(settings, training_body_bytes=1000)
    client = await aiohttp_client(Server(create_app(limited)))
    body = json.dumps(make_request()).encode()

    async def pieces() -> Any:
        yield body

    response = await client.post("/models", data=pieces() if chunked else body, headers=JSON)

    document = await response.json()
    assert response.status == 413
    assert document["type"] == "/problems/body-too-large"
    assert "MLSERVICE_TRAINING_BODY_BYTES" in document["detail"]


async def test_a_compressed_body_is_read_within_the_same_limit(
    aiohttp_client: Any, settings: Settings
) -> None:
    """gzip is decoded, and its decoded size is what counts."""
    limited = msgspec.structs.replace(settings, training_body_bytes=20_000)
    client = await aiohttp_client(Server(create_app(limited)))
    headers = JSON | {"Content-Encoding": "gzip"}
    small = gzip.compress(json.dumps(make_request()).encode())
    bomb = gzip.compress(b" " * 10_000_000)

    taken = await client.post("/models", data=io.BytesIO(small), headers=headers)
    refused = await client.post("/models", data=io.BytesIO(bomb), headers=headers)
    broken = await client.post("/models", data=b"not gzip", headers=headers)

    assert taken.status == 202
    assert refused.status == 413
    assert broken.status == 400


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "hunter2"])
async def test_an_unknown_coding_is_refused_with_those_that_are_read(
    client: Client, coding: str
) -> None:
    """A body that cannot be decoded is 415, with `Accept-Encoding` as RFC 7694 says."""
    response = await client.post("/models", data=b"{}", headers=JSON | {"Content-Encoding": coding})

    assert response.status == 415
    assert response.headers["Accept-Encoding"] == "gzip, deflate"
    assert (await response.json())["type"] == "/problems/unsupported-media-type"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\nAuthorization: Bearer hunter2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: hunter2\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_answered_without_echo(
    client: Client, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    """400, a problem document, a closed connection, and no word of what was sent."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request_bytes)

    answer = await asyncio.wait_for(reader.read(), 5)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0]
    assert json.loads(body)["type"] == "/problems/malformed-request"
    assert b"hunter2" not in answer
    assert "hunter2" not in caplog.text
    writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status", "slug"),
    [
        (b"GET /models/hunter2?" + b"hunter2=1&" * 2000, 414, "address-too-long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"hunter2" * 2000, 431, "header-too-large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"hunter2" * 2000 + b":", 431, "header-too-large"),
    ],
    ids=["query", "value", "name"],
)
async def test_a_head_that_is_too_long_is_told_with_its_limit(
    client: Client, caplog: pytest.LogCaptureFixture, request_bytes: bytes, status: int, slug: str
) -> None:
    """A row of many features does not fit in a query: the answer says so, and echoes nothing."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request_bytes + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    answer = await asyncio.wait_for(reader.read(), 5)

    head, _, body = answer.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert int(head.split()[1]) == problem["status"] == status
    assert problem["type"] == f"/problems/{slug}"
    assert "8190 bytes" in problem["detail"]
    assert b"hunter2" not in answer
    assert "hunter2" not in caplog.text
    writer.close()


async def test_no_answer_says_which_server_wrote_it_and_none_is_guessed_at(
    client: Client, settings: Settings
) -> None:
    """Predictions, documents, streams, failures, what is not HTTP: no `Server`, but `nosniff`."""
    model_id = await store_model(settings, make_model())
    document = f"/models/{model_id}"
    paths = [document, f"{document}?a=1&b=2", f"{document}/events", f"{document}/artifact", "/x"]

    for path in (*paths, f"{document}?a=1"):
        for method in ("GET", "HEAD", "PUT", "OPTIONS"):
            async with client.request(method, path) as response:
                assert "Server" not in response.headers, (method, path)
                assert response.headers["X-Content-Type-Options"] == "nosniff"
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"nonsense\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"\r\nServer:" not in answer
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer


async def test_an_unexpected_failure_hides_its_message_and_logs_it(
    app: web.Application, aiohttp_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug answers 500 without its text; the text is in the log."""

    async def explode(_: web.Request) -> web.Response:
        raise RuntimeError("hunter2")

    app.router.add_get("/explode", explode)
    client = await aiohttp_client(Server(app))

    response = await client.get("/explode")

    assert response.status == 500
    assert (await response.json())["type"] == "/problems/internal-error"
    assert "hunter2" not in await response.text()
    assert "hunter2" in caplog.text


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """A cut upload is not logged as a failure, and the next request is served."""
    _, writer = await asyncio.open_connection(client.host, client.port)
    head = "POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    response = await client.get("/health/live")

    assert response.status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_pieces_are_read_ahead_in_their_order() -> None:
    """The next piece comes while one is worked on; all come, each once."""
    asked = []

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            asked.append(piece)
            yield piece

    found = []
    async for piece in read_ahead(pieces()):
        await asyncio.sleep(0)
        found.append((piece, list(asked)))

    assert [piece for piece, _ in found] == [b"a", b"b", b"c"]
    assert found[0][1] == [b"a", b"b"]


async def test_pieces_that_fail_to_come_fail_where_they_are_taken() -> None:
    """What came before the failure is there."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        raise BodyTooLarge("It is too large.")

    coming = read_ahead(pieces())

    assert await anext(coming) == b"a"
    with pytest.raises(BodyTooLarge):
        await anext(coming)


async def test_nothing_is_read_on_once_nobody_takes_it() -> None:
    """The reading ends with its reader."""
    before = asyncio.all_tasks()
    ended = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with contextlib.aclosing(read_ahead(pieces())) as coming:
        assert await anext(coming) == b"a"
        await asyncio.sleep(0)

    assert ended.is_set()
    assert asyncio.all_tasks() == before
