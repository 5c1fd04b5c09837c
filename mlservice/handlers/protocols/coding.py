"""Content codings of answers: gzip or deflate where the client takes one of them."""

import asyncio
import re
import zlib

from aiohttp import web

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


async def compress(response: web.Response, accept: str) -> None:
    """Code an answer's body as the client takes it, off the event loop if it is large."""
    coding = chosen(accept)
    body = response.body
    if not isinstance(body, bytes) or len(body) < LEAST_BYTES or coding is None:
        return
    if len(body) < _ON_THE_LOOP:
        response.body = _coded(body, _WINDOWS[coding])
    else:
        response.body = await asyncio.to_thread(_coded, body, _WINDOWS[coding])
    response.headers["Content-Encoding"] = coding
    response.headers["Vary"] = "Accept-Encoding"


def _coded(body: bytes, window: int) -> bytes:
    coder = zlib.compressobj(_LEVEL, zlib.DEFLATED, window)
    return coder.compress(body) + coder.flush()
