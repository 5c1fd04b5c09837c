"""multipart/form-data (RFC 7578): a file and the fields beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32

from mlservice.errors import MalformedBody

MOST_PARTS = 200
MOST_HEAD_BYTES = 8192
_AS_IT_IS = ("7bit", "8bit", "binary")
_BLANK = b"\r\n\r\n"
_parse = BytesHeaderParser(policy=compat32).parsebytes


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part: who it is, and where in the body it stands."""

    name: str
    file_name: str | None
    media_type: str
    charset: str | None
    start: int
    stop: int


def read_parts(body: bytes | bytearray) -> list[Part]:
    """Find the parts of a form; the first line of the body is the boundary.

    Raises
    ------
    MalformedBody
        If it is no form, is cut, or has more than 200 parts.
    """
    parts = []
    for part in _parts(body):
        parts.append(part)
        _must(len(parts) <= MOST_PARTS, f"have at most {MOST_PARTS} parts")
    return parts


def boundary_of(body: bytes | bytearray) -> bytes:
    """Return the first line of a form, which parts it; empty where there is none."""
    return bytes(body[: max(body.find(b"\r\n", 0, 256), 0)])


def _parts(body: bytes | bytearray) -> Iterator[Part]:
    boundary = boundary_of(body)
    end = len(boundary)
    _must(boundary.startswith(b"--") and len(boundary) > 2, "begin with a boundary")
    if boundary.endswith(b"--") and end + 2 == len(body):
        return
    at = end
    while body[at : at + 2] == b"\r\n":
        stop = body.find(b"\r\n" + boundary, at)
        _must(stop >= 0, "end with its boundary")
        yield _part(body, at, stop)
        at = stop + len(boundary) + 2
    _must(body[at : at + 2] == b"--", "end with its boundary")


def _part(body: bytes | bytearray, start: int, stop: int) -> Part:
    """Read the headers of a part; `start` is the line break before them."""
    blank = body.find(_BLANK, start, min(start + MOST_HEAD_BYTES, stop))
    # A part without content ends in the blank line's own line break.
    if blank < 0 and body[stop - 2 : stop + 2] == _BLANK:
        blank = stop - 2
    _must(blank >= 0, "have parts with headers and a blank line after them")
    headers = _parse(bytes(body[start + 2 : blank]) + _BLANK)
    disposition = "Content-Disposition"
    _must(headers.get_content_disposition() == "form-data", "have parts of form-data")
    coding = str(headers.get("Content-Transfer-Encoding", "binary")).strip().lower()
    # RFC 7578, 4.7: it is deprecated, and senders must not use it.
    _must(coding in _AS_IT_IS, f"have parts as they are, not as {coding[:64]!r}")
    return Part(
        name=_text(headers.get_param("name", "", disposition)),
        file_name=_file_name(headers),
        media_type=headers.get_content_type(),
        charset=headers.get_content_charset(),
        start=min(blank + len(_BLANK), stop),
        stop=stop,
    )


def _file_name(headers: Message) -> str | None:
    found = headers.get_param("filename", None, "Content-Disposition")
    if found is None:
        found = headers.get_param("filename*", None, "Content-Disposition")
    return None if found is None else _text(found)


def _text(value: object) -> str:
    """Return a parameter, whose bytes clients send as UTF-8."""
    if isinstance(value, tuple):
        value = value[2]
    text = str(value).encode("utf-8", "surrogateescape")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody("The form's names must be UTF-8, they are not.") from error


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise MalformedBody(f"The form must {what}, it does not.")
