"""Bodies in a content coding: decoded piece by piece, whole or refused."""

import asyncio
import gzip
import itertools
import json
import zlib
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp.web import RequestPayloadError

from mlservice.decoding import PIECE_BYTES, Decoded
from mlservice.settings import Settings
from tests.support import JSON, Client, make_model, make_request, store_model

TEXT = b"".join(b"%d,%d\n" % (i, i * i) for i in range(1000))


class Pieces:
    """A body that comes in pieces of one size."""

    def __init__(self, body: bytes, size: int) -> None:
        self._left = [body[begin : begin + size] for begin in range(0, len(body), size)]

    async def readany(self) -> bytes:
        """Return the next piece."""
        return self._left.pop(0) if self._left else b""

    def at_eof(self) -> bool:
        """Tell whether there is none."""
        return not self._left


async def _read(body: bytes, coding: str, size: int = 1 << 16) -> bytes:
    content = Decoded(Pieces(body, size), coding)
    read = b""
    while not content.at_eof():
        read += await content.readany()
    return read


def _raw(text: bytes) -> bytes:
    """Return what some call deflate: without a header."""
    return zlib.compress(text)[2:-4]


def _two(text: bytes) -> bytes:
    """Return two members, as `cat a.gz b.gz` writes them."""
    return gzip.compress(text[:100]) + gzip.compress(text[100:])


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "two members": ("gzip", _two),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", _raw),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize("coder", CODERS)
async def test_what_was_coded_is_read_wherever_a_piece_ends(coder: str, size: int) -> None:
    """The text comes back, however it was cut on its way."""
    coding, code = CODERS[coder]

    assert await _read(code(TEXT), coding, size) == TEXT


@pytest.mark.parametrize("coder", [name for name in CODERS if name != "two members"])
async def test_no_beginning_of_a_body_is_taken_for_the_whole(coder: str) -> None:
    """Wherever it was cut off, checksum and length at its end included."""
    coding, code = CODERS[coder]
    whole = code(b"a,b\n1,2\n" * 20)

    for length in range(1, len(whole)):
        with pytest.raises(RequestPayloadError, match="cut off"):
            await _read(whole[:length], coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_is_not_of_its_coding_is_refused(coding: str) -> None:
    """So is what follows a body that was whole."""
    coder = gzip.compress if coding == "gzip" else zlib.compress
    for body in (b"not coded", coder(TEXT) + b"\xff\xff", coder(TEXT)[:-6] + b"\0\1\2\3\4\5"):
        with pytest.raises(RequestPayloadError, match=coding):
            await _read(body, coding)


async def test_a_bomb_is_decoded_piece_by_piece_and_others_run_meanwhile() -> None:
    """64 MiB of zeros in 64 KiB: no piece is large, and the loop is free between them."""
    content = Decoded(Pieces(gzip.compress(bytes(1 << 26)), 1 << 20), "gzip")
    turns, sizes = itertools.count(), []

    async def turn() -> None:
        while True:
            next(turns)
            await asyncio.sleep(0)

    other = asyncio.create_task(turn())
    while not content.at_eof():
        sizes.append(len(await content.readany()))
    other.cancel()

    assert sum(sizes) == 1 << 26
    assert max(sizes) == PIECE_BYTES
    assert next(turns) >= 256


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("path", ["/models", "/models/{}/predictions", "/v2/models/{}/infer"])
async def test_a_body_whose_end_is_missing_is_malformed(
    client: Client, settings: Settings, path: str, coding: str
) -> None:
    """The JSON in it is complete, and all the same it did not arrive whole."""
    path = path.format(await store_model(settings, make_model()))
    body = (gzip if coding == "gzip" else zlib).compress(json.dumps(make_request()).encode())

    async with client.post(
        path, data=body[:-4], headers=JSON | {"Content-Encoding": coding}
    ) as response:
        document = await response.json()

    assert response.status == 400
    assert document["type"] == "/problems/malformed-request"


async def test_a_stream_whose_end_is_missing_is_broken_off(
    client: Client, settings: Settings
) -> None:
    """Rows that came are answered, and the answer does not end as a whole one does."""
    model_id = await store_model(settings, make_model())
    body = gzip.compress(b"a,b\n" + b"".join(b"%d,2\n" % i for i in range(300_000)))

    async with client.post(
        f"/models/{model_id}/predictions",
        data=body[:-4],
        headers={"Content-Type": "text/csv", "Content-Encoding": "gzip"},
    ) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()
        assert response.status == 200
