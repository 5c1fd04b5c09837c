"""Requests that wait for nothing: answered without a task, and as on the usual way."""

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from mlservice.settings import Settings
from tests.conftest import Serve
from tests.support import Client, make_model, store_model

ROW = "a=1&b=-0.5"
COLUMNS = b'{"a": [1, 2], "b": [-0.5, 0]}'
TENSOR = (
    b'{"id": "7", "inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}]}'
)
# What differs from one answer to the next, or is that of a service that lets pages call.
OWN = (b"Date: ", b"Vary: Origin")


def written(
    method: str, path: str, body: bytes = b"", version: str = "1.1", **headers: str
) -> bytes:
    """Return a request as it is sent."""
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", "X-Request-ID: same"]
    lines += [f"Content-Length: {len(body)}"] if body else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def posted(path: str, body: bytes, **headers: str) -> bytes:
    """Return a POST of JSON as it is sent."""
    return written("POST", path, body, **{"Content_Type": "application/json"} | headers)


class Talk:
    """A connection to a service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, *pieces: bytes) -> bytes:
        """Send a request in pieces, each when the one before has been read; return the answer."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            # The server shares the loop, and reads it meanwhile.
            for _ in range(10):
                await asyncio.sleep(0)
        return await self.answer(has_body=not pieces[0].startswith(b"HEAD"))

    async def answer(self, *, has_body: bool = True) -> bytes:
        """Return the next answer."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        [length] = re.findall(rb"\nContent-Length: (\d+)", head) or [b"0"]
        return head + await self.reader.readexactly(int(length) if has_body else 0)


@pytest.fixture
async def model_id(settings: Settings) -> str:
    """Return a model of two features."""
    return await store_model(settings, make_model())


async def talk(client: Client, model_id: str) -> Talk:
    """Connect, and have the model in memory."""
    talking = Talk(*await asyncio.open_connection(client.host, client.port))
    assert b"200 OK" in await talking.ask(written("GET", f"/models/{model_id}?{ROW}"))
    return talking


@pytest.fixture
async def handled() -> list[str]:
    """Return the names of tasks' coroutines, which is added to from now on."""
    names: list[str] = []

    def start(loop: Any, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        names.append(getattr(coroutine, "__qualname__", ""))
        return asyncio.Task(coroutine, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(start)
    return names


AT_ONCE: dict[str, Callable[[str], bytes]] = {
    "a row": lambda model: written("GET", f"/models/{model}?{ROW}"),
    "a row by the name of the model": lambda _: written("GET", f"/models/first?{ROW}"),
    "a row beyond the training": lambda model: written("GET", f"/models/{model}?a=1e9&b=0"),
    "columns": lambda model: posted(f"/models/{model}/predictions", COLUMNS),
    "a tensor": lambda model: posted(f"/v2/models/{model}/infer", TENSOR),
    "a tensor by a name": lambda _: posted("/v2/models/first/infer", TENSOR),
    "a tensor, coded answers": lambda model: posted(
        f"/v2/models/{model}/infer", TENSOR, Accept_Encoding="gzip"
    ),
    "no id of its own": lambda model: written("GET", f"/models/{model}?{ROW}").replace(
        b"X-Request-ID: same\r\n", b""
    ),
    "a name that is encoded": lambda model: written(
        "GET", f"/models/{model.replace('-', '%2D')}?{ROW}"
    ),
}
USUALLY: dict[str, Callable[[str], bytes]] = {
    "the document": lambda model: written("GET", f"/models/{model}"),
    "the head": lambda model: written("HEAD", f"/models/{model}?{ROW}"),
    "a value left out": lambda model: written("GET", f"/models/{model}?a=1"),
    "no number": lambda model: written("GET", f"/models/{model}?a=x&b=%zz"),
    "no such model": lambda model: written("GET", f"/models/{model[::-1]}?{ROW}"),
    "no such path": lambda _: written("GET", "/modells/x?a=1"),
    "no such method": lambda model: written("PUT", f"/models/{model}?{ROW}"),
    "a page of another origin": lambda model: written(
        "GET", f"/models/{model}?{ROW}", Origin="http://other.example"
    ),
    "another host": lambda model: written("GET", f"/models/{model}?{ROW}").replace(
        b"localhost", b"other.example"
    ),
    "another expectation": lambda model: written("GET", f"/models/{model}?{ROW}", Expect="tea"),
    "a wrong column": lambda model: posted(f"/models/{model}/predictions", b'{"a": [1]}'),
    "no JSON": lambda model: posted(f"/models/{model}/predictions", b'{"a": [1'),
    "options": lambda model: posted(f"/models/{model}/predictions?top=1", COLUMNS),
    "another media type": lambda model: posted(
        f"/models/{model}/predictions", b"a,b\n1,2\n", Content_Type="text/csv", Accept="*/*"
    ),
    "a coding": lambda model: posted(
        f"/models/{model}/predictions", gzip.compress(COLUMNS), Content_Encoding="gzip"
    ),
    "a coded tensor": lambda model: posted(
        f"/v2/models/{model}/infer", gzip.compress(TENSOR), Content_Encoding="gzip"
    ),
    "a large table": lambda model: posted(
        f"/models/{model}/predictions", json.dumps({"a": [0] * 5000, "b": [0] * 5000}).encode()
    ),
    "no tensor": lambda model: posted(f"/v2/models/{model}/infer", b'{"inputs": []}'),
    "a tensor as bytes": lambda model: posted(
        f"/v2/models/{model}/infer", bytes(16), Inference_Header_Content_Length="0"
    ),
    "a version": lambda model: posted(f"/v2/models/{model}/versions/1/infer", TENSOR),
    "no more": lambda model: written("GET", f"/models/{model}?{ROW}", Connection="close"),
    "HTTP/1.0": lambda model: written("GET", f"/models/{model}?{ROW}", version="1.0"),
}


async def test_what_waits_for_nothing_is_answered_without_a_task(
    client: Client, model_id: str, handled: list[str]
) -> None:
    """Predictions by a model in memory make no task, on whichever connection."""
    await client.put("/aliases/first", json={"model": model_id})
    for number, request in enumerate(AT_ONCE.values()):
        talking = await talk(client, model_id)
        await talking.ask(request(model_id))
        handled.clear()

        answers = [await talking.ask(request(model_id)) for _ in range(3)]

        assert "RequestHandler._handle_request" not in handled, list(AT_ONCE)[number]
        assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
        talking.writer.close()


@pytest.mark.parametrize("name", [*AT_ONCE, *USUALLY])
async def test_the_short_way_answers_as_the_usual_one(
    serve: Serve, model_id: str, name: str
) -> None:
    """Status, headers and body are the same, and so is what the service counts."""
    request = (AT_ONCE | USUALLY)[name](model_id)
    # Where pages of other origins may read answers, all requests go the usual way.
    services = [await serve(), await serve(allowed_origins="http://page.example")]
    told, counted = [], []
    for client in services:
        await client.put("/aliases/first", json={"model": model_id})
        talking = await talk(client, model_id)
        told.append(without_own(await talking.ask(request)))
        talking.writer.close()
        counted.append(await counts(client))

    assert told[0] == told[1]
    assert counted[0] == counted[1]


def without_own(answer: bytes) -> tuple[list[bytes], bytes]:
    """Return an answer's status line and headers in some order, and its body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = (line for line in head.split(b"\r\n") if not line.startswith(OWN))
    # The number of an id that the service gave.
    return sorted(re.sub(rb"(X-Request-ID: \w+)-\w+", rb"\1", line) for line in lines), body


async def counts(client: Client) -> list[str]:
    """Return what was counted of predictions, without how long they took and when they were."""
    async with client.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    names = "mlservice_requests_total", "mlservice_predict", "mlservice_cache", "mlservice_drift"
    return [each for each in lines if each.startswith(names) and "seconds" not in each]


async def test_requests_that_are_sent_together_are_answered_in_order(
    client: Client, model_id: str
) -> None:
    """What could be answered at once waits for what was asked before it."""
    paths = [f"{model_id}?a={number}&b=0" for number in range(4)]
    asked = [f"/models/{each}" for each in (paths[0], model_id, *paths[1:], model_id, paths[0])]
    requests = [
        written("GET", path).replace(b"same", b"%d" % number) for number, path in enumerate(asked)
    ]
    talking = await talk(client, model_id)
    for size in (1, 7, 50, 1000):
        sent = b"".join(requests)
        for begin in range(0, len(sent), size):
            talking.writer.write(sent[begin : begin + size])
            await asyncio.sleep(0)

        answers = [await talking.answer() for _ in requests]

        ids = [re.findall(rb"X-Request-ID: (\w+)", answer) for answer in answers]
        assert ids == [[b"%d" % number] for number in range(len(requests))]
        assert answers[0].partition(b"\r\n\r\n")[2] == answers[-1].partition(b"\r\n\r\n")[2]
        assert b'"prediction"' not in answers[1].replace(b'"prediction_', b"")
    talking.writer.close()


async def test_a_body_may_come_after_its_head(client: Client, model_id: str) -> None:
    """Whether it comes at once, in two pieces or byte by byte, the answer is the same."""
    talking = await talk(client, model_id)
    for path, body in (
        (f"/models/{model_id}/predictions", COLUMNS),
        ("/v2/models/{}/infer", TENSOR),
    ):
        request = posted(path.format(model_id), body)
        at_once = await talking.ask(request)
        in_two = await talking.ask(request.removesuffix(body), body)
        by_byte = await talking.ask(*(request[i : i + 1] for i in range(len(request))))

        assert b"200 OK" in at_once
        assert without_own(at_once) == without_own(in_two) == without_own(by_byte)
    talking.writer.close()


async def test_a_client_that_has_gone_is_not_answered(
    client: Client, model_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who closes right behind a request leaves nothing behind, and no error."""
    for _ in range(20):
        talking = await talk(client, model_id)
        talking.writer.write(written("GET", f"/models/{model_id}?{ROW}"))
        talking.writer.write_eof()
        talking.writer.close()
    again = await talk(client, model_id)

    assert b"200 OK" in await again.ask(written("GET", f"/models/{model_id}?{ROW}"))
    assert not caplog.records
    again.writer.close()


async def test_an_idle_connection_that_was_answered_at_once_is_closed_when_its_time_is_over(
    serve: Serve, model_id: str
) -> None:
    """Its time begins with the last request."""
    client = await serve(keepalive_timeout_s=1.0)
    talking = await talk(client, model_id)
    for _ in range(3):
        assert b"200 OK" in await talking.ask(written("GET", f"/models/{model_id}?{ROW}"))

    assert await asyncio.wait_for(talking.reader.read(), 5) == b""
    talking.writer.close()
