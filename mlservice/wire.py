"""What crosses HTTP: bodies in, bodies out, preferences."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from mlservice.courtesy import COURTESY
from mlservice.decoding import CODINGS, Decoded, Source
from mlservice.errors import BodyTooLarge, UnsupportedMediaType
from mlservice.reply import JSON_TYPE, Reply
from mlservice.sent import CHARSETS
from mlservice.settings import Settings, variable
from mlservice.slowness import paced
from mlservice.store import PIECE_BYTES, Changes, Checkup, QueueState, Tenant, Trainings

SETTINGS = web.AppKey("settings", Settings)
CALLER: web.AppKey[Callable[[web.Request], Tenant]] = web.AppKey("caller")
CHANGES = web.AppKey("changes", Changes)
CHECKUP = web.AppKey("checkup", Checkup)
TRAININGS = web.AppKey("trainings", Trainings)
QUEUE: web.AppKey[Callable[[], Awaitable[QueueState]]] = web.AppKey("queue")
JSON = JSON_TYPE

_encode = msgspec.json.Encoder().encode
# RFC 7240: a list, whose members may quote commas.
_preferences = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+').findall
_is_wait = re.compile(r"\s*wait\s*(?:[=;].*)?", re.IGNORECASE | re.DOTALL).fullmatch
_wait = re.compile(r'\s*\w+\s*=\s*("?)([0-9]{1,9})\1\s*(?:;.*)?', re.DOTALL).fullmatch
MOST_WAIT_S = 60
_READ_BYTES = 1 << 18
# The store needs nearly 2 ms for 1 MiB, in which other requests may wait for its core.
_SMALL_BYTES = 1 << 16


def respond(
    value: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return a JSON answer; bytes are taken as JSON already."""
    body = value if isinstance(value, bytes) else _encode(value)
    return Reply(body + b"\n", status=status, headers=headers)


def caller(request: web.Request) -> Tenant:
    """Return whose request it is, and with that all that exists for it."""
    return request.app[CALLER](request)


async def named_model(request: web.Request) -> str:
    """Return the id of the model that the path names, by its id or by an alias.

    Raises
    ------
    ModelNotFound
        If the name is neither.
    """
    return await caller(request).aliases.resolve(request.match_info["id"])


def check_media_type(request: web.Request, *allowed: str) -> None:
    """Refuse a body of a media type that the path does not read.

    Raises
    ------
    UnsupportedMediaType
        If `Content-Type` stands there and names another one or, for a text,
        a charset that is not UTF-8; or if the content coding is not read.
    """
    sent = request.headers.get("Content-Type", "")
    if sent and request.content_type not in allowed:
        raise UnsupportedMediaType(
            f"Content-Type must be {' or '.join(allowed)}, it is {sent.partition(';')[0][:100]}.",
            headers={"Accept-Post": ", ".join(allowed)},
        )
    charset = request.charset or "utf-8"
    if request.content_type.startswith("text/") and charset.lower() not in CHARSETS:
        raise UnsupportedMediaType(f"The charset must be utf-8, it is {charset[:64]}.")
    check_coding(request)


def check_coding(request: web.Request) -> None:
    """Refuse a body whose content coding is not read.

    Raises
    ------
    UnsupportedMediaType
        If `Content-Encoding` names another one than gzip, deflate and identity.
    """
    coding = _coding(request)
    if coding != "identity" and coding not in CODINGS:
        # RFC 7694: this header tells a 415 for the coding from one for the media type.
        raise UnsupportedMediaType(
            f"Content-Encoding must be {' or '.join(CODINGS)}, it is {coding[:64]!r}.",
            headers={"Accept-Encoding": ", ".join(CODINGS)},
        )


def _coding(request: web.Request) -> str:
    sent = request.headers.get("Content-Encoding", "identity").lower()
    # RFC 9110, 8.4.1.3: the same by an older name.
    return "gzip" if sent == "x-gzip" else sent


def content_of(request: web.Request) -> Source:
    """Return a body to be read, without its content coding.

    Raises
    ------
    UnsupportedMediaType
        If the content coding is not read.
    """
    if "Content-Encoding" not in request.headers:
        return request.content
    check_coding(request)
    coding = _coding(request)
    return Decoded(request.content, coding) if coding in CODINGS else request.content


def preferred_wait(request: web.Request) -> int | None:
    """Return how many seconds `Prefer: wait` asks for, at most 60, if it asks (RFC 7240)."""
    sent = ",".join(request.headers.getall("Prefer", ()))
    # Only the first of several counts, and one that is malformed is ignored.
    first = next(filter(_is_wait, _preferences(sent)), "")
    found = _wait(first)
    return min(int(found[2]), MOST_WAIT_S) if found else None


def applied(wait_s: int | None) -> dict[str, str]:
    """Return the header that says which wait was applied."""
    return {} if wait_s is None else {"Preference-Applied": f"wait={wait_s}"}


async def read_pieces(request: web.Request, setting: str) -> AsyncIterator[bytes]:
    """Yield a body in pieces of 1 MiB, the last one shorter.

    After the first one, it gives way to other requests, and pieces are smaller meanwhile.

    Parameters
    ----------
    setting : str
        Name of the setting that holds the largest size, decoded.

    Raises
    ------
    BodyTooLarge
        As soon as the body is known to be larger.
    RequestTooSlow
        If it does not come.
    """
    most: int = getattr(request.app[SETTINGS], setting)
    if (request.content_length or 0) > most:
        raise _too_large(most, setting, f"{request.content_length}")
    # aiohttp's 64 KiB stop and start a fast client for each read.
    request.content.set_read_chunk_size(_READ_BYTES)
    piece, size = bytearray(), 0
    async for chunk in paced(content_of(request), request.app[SETTINGS]):
        size += len(chunk)
        if size > most:
            raise _too_large(most, setting, "more")
        piece += chunk
        gave_way = size > PIECE_BYTES and await request.app[COURTESY].give_way(len(chunk))
        while len(piece) >= (_SMALL_BYTES if gave_way else PIECE_BYTES):
            with memoryview(piece) as view:
                whole = bytes(view[:PIECE_BYTES])
            del piece[:PIECE_BYTES]
            yield whole
    if piece:
        yield bytes(piece)


async def read_ahead(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield pieces, the next one being read while one is worked on."""
    coming = asyncio.ensure_future(_next(pieces))
    try:
        while piece := await coming:
            coming = asyncio.ensure_future(_next(pieces))
            yield piece
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces, b"")


def body_at_hand(request: web.Request) -> bytes | None:
    """Return a body without content coding if all of it is there: nearly always, if small."""
    if request.content.is_eof() and "Content-Encoding" not in request.headers:
        return request.content.read_nowait()
    return None


async def read_whole(request: web.Request, setting: str) -> bytes | bytearray:
    """Return a body; `setting` is the name of the one that holds the largest size, decoded.

    Raises
    ------
    BodyTooLarge
        As soon as the body is known to be larger.
    RequestTooSlow
        If it does not come.
    """
    most: int = getattr(request.app[SETTINGS], setting)
    if (request.content_length or 0) > most:
        raise _too_large(most, setting, f"{request.content_length}")
    if (whole := body_at_hand(request)) is not None:
        if len(whole) > most:
            raise _too_large(most, setting, "more")
        return whole
    body = bytearray()
    async for chunk in paced(content_of(request), request.app[SETTINGS]):
        body += chunk
        if len(body) > most:
            raise _too_large(most, setting, "more")
    return body


async def read_small(request: web.Request) -> bytes:
    """Return a body that has less than 1 MiB.

    Raises
    ------
    BodyTooLarge
        If it has more.
    """
    first = await anext(read_pieces(request, "training_body_bytes"), b"")
    if len(first) == PIECE_BYTES:
        raise BodyTooLarge(f"The body must have less than {PIECE_BYTES} bytes here, it has more.")
    return first


def _too_large(most: int, setting: str, found: str) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body may have at most {most} bytes ({variable(setting)}), it has {found}."
    )
