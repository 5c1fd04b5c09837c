"""Long lists of JSON, cut where an element ends and decoded piece by piece, or written so.

Whoever decodes JSON holds the interpreter until all of it is read: 55 ms for 14 MB of
records. Between two pieces others have their turn.

A cut is guessed from a few characters, which may as well stand in a text or in a cell.
Then what is before it is no JSON, for a text or a list is not ended there, and all
is decoded at once. If every piece is a list, their elements are those of the whole: in
JSON's grammar a list is elements between commas, and there is one way to read it.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
Readable = bytes | bytearray | memoryview | msgspec.Raw

# Decoded in one to two milliseconds.
PIECE_BYTES = 1 << 18
# Encoded in as long.
CELLS_AT_ONCE = 1 << 15
_encode = msgspec.json.Encoder().encode
# What is raised of a text that is no JSON.
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_begin = re.compile(rb"[ \t\n\r]*\[[ \t\n\r]*([\[{]?)").match
# By what a list begins with, the comma between two elements, as it looks: of texts and
# what else is no number none is found. There is something on either side, so that no
# piece is empty, which would be a list, and none of the whole.
_BETWEEN = {
    b"{": re.compile(rb"\}[ \t\n\r]*(,)[ \t\n\r]*\{").search,
    b"[": re.compile(rb"\][ \t\n\r]*(,)[ \t\n\r]*\[").search,
    b"": re.compile(rb"[0-9][ \t\n\r]*(,)[ \t\n\r]*[-0-9]").search,
}


def in_blocks(rows: int, cells_of_row: int, listed: Callable[[slice], list[Any]]) -> Any:
    """Return rows as they are put into JSON: as a list, or where they are many as its text.

    Parameters
    ----------
    listed : callable
        Gives some of the rows; others have their turn between what it gives and the next.
    """
    size = max(1, CELLS_AT_ONCE // cells_of_row)
    if rows <= size:
        return listed(slice(None))
    blocks = (_encode(listed(slice(at, at + size)))[1:-1] for at in range(0, rows, size))
    return msgspec.Raw(b"".join((b"[", b",".join(blocks), b"]")))


def by_pieces(text: Readable, read: Callable[[Readable], T]) -> list[T] | None:
    """Return what is made of each piece of a long list.

    Parameters
    ----------
    text : bytes
        What may be such a list in JSON.
    read : callable
        Takes a list in JSON.

    Returns
    -------
    list or None
        None if the text must be read at once: it is short, none of this kind, or no JSON.

    Raises
    ------
    ValidationError
        As `read` does; so it would of the whole, but where it says that it was.
    """
    commas = _commas(text)
    if not commas:
        return None
    try:
        return [read(piece) for piece in _pieces(memoryview(text), commas)]
    except msgspec.ValidationError:
        # What was read before it was right.
        raise
    except _MALFORMED:
        return None


def _commas(text: Readable) -> list[int]:
    """Return where to cut: at most one comma in each stretch of the length of a piece."""
    last = len(memoryview(text)) - PIECE_BYTES // 2
    begin = _begin(text) if last > PIECE_BYTES else None
    if not begin:
        return []
    between = _BETWEEN[begin[1]]
    stretches = (
        between(text, at, at + PIECE_BYTES) for at in range(PIECE_BYTES, last, PIECE_BYTES)
    )
    return [found.start(1) for found in stretches if found]


def _pieces(view: memoryview, commas: list[int]) -> Iterator[bytes]:
    yield b"".join((view[: commas[0]], b"]"))
    for comma, following in pairwise(commas):
        yield b"".join((b"[", view[comma + 1 : following], b"]"))
    yield b"".join((b"[", view[commas[-1] + 1 :]))
