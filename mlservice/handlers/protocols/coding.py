"""Content codings of answers: gzip or deflate where the client takes one of them."""

import asyncio
import re
import zlib

from aiohttp import web

from mlservice.wire import JSON, respond

Headers = dict[str, str] | None

# Less is not worth its header; more takes milliseconds, which other requests need not wait for.
LEAST_BYTES = 1024
_ON_THE_LOOP = 64 * 1024
# zlib's fastest level: numbers hardly get smaller by the slower ones.
_LEVEL = 1
_WINDOWS = {"gzip": 31, "deflate": 15}

_accepted = re.compile(r"\s*([\w*-]+)\s*(?:;\s*q\s*=\s*([0-9.]{1,5})\s*)?", re.ASCII).fullmatch


def chosen(accept: str) -> str | None:
    """Return the coding that `Accept-Encoding` prefers of those that there are, if any."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        if found := _accepted(part):
            weights[found[1]] = _weight(found[2])
    usable = {name: weights.get(name, weights.get("*", 0.0)) for name in _WINDOWS}
    best = max(usable, key=lambda name: usable[name])
    return best if usable[best] > weights.get("identity", 0.0) or usable[best] == 1 else None


def _weight(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0


async def coded(
    request: web.Request, body: bytes, media_type: str = JSON, headers: Headers = None
) -> web.Response:
    """Return an answer, coded as the client takes it, off the event loop if it is large."""
    accept = request.headers.get("Accept-Encoding")
    coding = chosen(accept) if accept and len(body) >= LEAST_BYTES else None
    if coding is None:
        if media_type == JSON and not headers:
            return respond(body)
        return web.Response(body=body, headers=headers, content_type=media_type)
    if len(body) < _ON_THE_LOOP:
        short = _coded(body, _WINDOWS[coding])
    else:
        short = await asyncio.to_thread(_coded, body, _WINDOWS[coding])
    own = {"Content-Encoding": coding, "Vary": "Accept-Encoding", **(headers or {})}
    return web.Response(body=short, headers=own, content_type=media_type)


def _coded(body: bytes, window: int) -> bytes:
    coder = zlib.compressobj(_LEVEL, zlib.DEFLATED, window)
    return coder.compress(body) + coder.flush()
