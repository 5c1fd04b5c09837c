"""What a client has already: `ETag` and `If-None-Match` (RFC 9110, section 13.1.2)."""

import hashlib
import re

from aiohttp import web

_tags = re.compile(r'(?:W/)?("[^"]*")').findall
# It may be kept, and is asked for again before it is used.
_KEPT = {"Cache-Control": "private, no-cache"}


def has_already(request: web.Request, tag: str) -> bool:
    """Tell whether `If-None-Match` says that the client has what is tagged."""
    sent = ",".join(request.headers.getall("If-None-Match", ()))
    return sent.strip() == "*" or tag in _tags(sent)


def validating(body: bytes) -> dict[str, str]:
    """Return the headers by which a client may keep an answer and ask whether it has changed."""
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    return {"ETag": tag, **_KEPT}
