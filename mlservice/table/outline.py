"""A long JSON table in an object: its lists are read apart from what stands around them.

Each list's place is taken by a text that nobody can have sent. If what is left is JSON and
each list is, the body is JSON too and means that: where a list was guessed to be within a
text, the quotes around what takes its place end that text, and nothing of it is JSON.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from mlservice import simd
from mlservice.arrays import numbers_of
from mlservice.table.columns import Column
from mlservice.table.records import from_records

# Below, nobody waits for long, with simdjson 9 ms for 10,000 x 30 in 6 MB, and reading all at
# once is a twentieth faster. Without it pieces take four fifths of the time, since an object
# a number takes much memory, and that of the piece before is at hand.
FROM_BYTES = 8 << 20 if simd.HAS_SIMD else 1 << 19
_MOST_COLUMNS = 10_000
# What stands before a list of rows, names and index, and behind it.
_MOST_AROUND_BYTES = 1 << 20
_TRIES = 8
_MARK = secrets.token_hex(8)
_nested = re.compile(rb"\[[ \t\n\r]*[\[{]").search
_object = msgspec.json.Decoder(dict[str, Any])
_cells = msgspec.json.Decoder(list[Any])

Columns = dict[str, Column]


class Outline:
    """An object without its long lists, which are read when they are asked for.

    Parameters
    ----------
    body : bytes
        What may be such an object in JSON.

    Attributes
    ----------
    document : dict
        The object; where a list stood, there is its mark.

    Raises
    ------
    DecodeError, ValueError
        If it is no such object.
    """

    def __init__(self, body: bytes | bytearray) -> None:
        view, end = memoryview(body), 0
        around: list[bytes | memoryview] = []
        self._lists: dict[str, memoryview] = {}
        for place in _places(body):
            mark = f"{_MARK}:{len(self._lists)}"
            self._lists[mark] = view[place]
            around += [view[end : place.start], f'"{mark}"'.encode()]
            end = place.stop
        self.document: dict[str, Any] = _object.decode(b"".join([*around, view[end:]]))

    @property
    def is_read(self) -> bool:
        """Whether each list was asked for; one that was not may be no JSON."""
        return not self._lists

    def columns(self, table: Any) -> Columns | None:
        """Return a table that is records or columns, with the place of each list in `table`."""
        if isinstance(table, str):
            return from_records(self._lists.pop(table))
        return {name: _column(self._lists.pop(mark)) for name, mark in table.items()}

    def rows(self, table: dict[str, Any]) -> Any:
        """Return the matrix of a table that is split, or nothing."""
        return numbers_of(self._lists.pop(table["data"]))


def _column(cells: memoryview) -> Column:
    numbers = numbers_of(cells)
    return numbers if numbers is not None and numbers.ndim == 1 else _cells.decode(cells)


def _places(body: bytes | bytearray) -> Sequence[slice]:
    """Return where long lists are: one of rows or records, or else all that there are."""
    if found := _nested(body, 0, _MOST_AROUND_BYTES):
        return [slice(found.start(), _end_of_nested(body))]
    return list(_flat_places(body))


def _end_of_nested(body: bytes | bytearray) -> int:
    at = len(body)
    for _ in range(_TRIES):
        at = body.rindex(b"]", max(0, len(body) - _MOST_AROUND_BYTES), at)
        if body[max(0, at - 64) : at].rstrip().endswith((b"]", b"}")):
            return at + 1
    raise ValueError("Behind the last row may not stand so many lists.")


def _flat_places(body: bytes | bytearray) -> Iterator[slice]:
    end = 0
    for _ in range(_MOST_COLUMNS):
        if (begin := body.find(b"[", end)) < 0:
            return
        end = body.index(b"]", begin) + 1
        yield slice(begin, end)
    raise ValueError("There are too many lists.")
