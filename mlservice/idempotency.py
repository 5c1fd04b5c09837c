"""The key of a request that may be repeated, as it stands in its headers."""

from aiohttp import web

from mlservice.errors import MalformedIdempotencyKey
from mlservice.store import Once

MOST_KEY = 255


def read_once(request: web.Request) -> Once:
    """Read the key of a request that may be repeated.

    Raises
    ------
    MalformedIdempotencyKey
        If it is not 1 to 255 printable ASCII characters.
    """
    sent = request.headers.getall("Idempotency-Key", [])
    if not sent:
        return Once()
    key = sent[0]
    if len(sent) > 1 or not (0 < len(key) <= MOST_KEY and key.isascii() and key.isprintable()):
        raise MalformedIdempotencyKey(
            f"Idempotency-Key must be one header of 1 to {MOST_KEY} printable ASCII characters."
        )
    once = Once(key)
    once.add(f"{request.content_type}?{request.rel_url.raw_query_string}\n".encode())
    return once
