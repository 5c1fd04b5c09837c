"""What was sent to be trained on, as the store has it: a media type, options and bytes.

It is a header, which is one msgpack map of `media_type` and `options`, and the body behind
it. What has no header is JSON. With a parent the map has its id as `parent`, and as
`parent_bytes` the size of its stored form, which stands between header and body.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from mlservice.parent import Parent
from mlservice.table import Coming, Whole

# Of texts: what is UTF-8 by any of its names.
CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
MSGPACK = "application/msgpack"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
FORM = "multipart/form-data"
_HEADER_BYTES = 1 << 16

Options = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A body as a client sent it.

    Attributes
    ----------
    media_type : str
        One of `intake.MEDIA_TYPES`.
    options : sequence of (str, str)
        Options of the training by their dotted names, where the body has none.
    body : bytes
        Decoded of its content coding; its end may be on its way.
    parent : Parent, optional
        The model that the fit starts from.
    coming : Coming, optional
        How the body comes.
    """

    media_type: str = JSON
    options: Options = ()
    body: bytes | bytearray
    parent: Parent | None = None
    coming: Coming | None = None

    def header(self) -> bytes:
        """Return what stands before the body in the store; JSON alone needs nothing."""
        if self.media_type == JSON and not (self.parent or _has_header(self.body)):
            return b""
        header: dict[str, Any] = {"media_type": self.media_type, "options": self.options}
        if not self.parent:
            return msgpack.packb(header)
        header |= {"parent": self.parent.id, "parent_bytes": len(self.parent.file)}
        return msgpack.packb(header) + self.parent.file


def unwrap(stored: bytes | bytearray, coming: Coming | None = None) -> Sent:
    """Read what the store has: a header and a body, or a body of JSON.

    Parameters
    ----------
    coming : Coming, optional
        As that of `Sent`, where `stored` is a bytearray.
    """
    coming = coming or Whole(stored)
    coming.reach(_HEADER_BYTES)
    if not _has_header(stored):
        return Sent(body=stored, coming=coming)
    unpacker = msgpack.Unpacker(max_buffer_size=_HEADER_BYTES)
    unpacker.feed(stored[:_HEADER_BYTES])
    header = unpacker.unpack()
    # A bytearray moves its start instead of its bytes.
    body = stored if isinstance(stored, bytearray) else bytearray(stored)
    del body[: unpacker.tell()]
    parent = None
    if "parent" in header:
        size = header.pop("parent_bytes")
        coming.reach(size)
        parent = Parent(id=header.pop("parent"), file=body[:size])
        del body[:size]
    return Sent(body=body, parent=parent, coming=coming, **header)


def _has_header(stored: bytes | bytearray) -> bool:
    # A map's first byte; no text begins with it.
    return bool(stored) and stored[0] & 0xF0 == 0x80
