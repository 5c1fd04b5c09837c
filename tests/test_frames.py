"""A body as it comes to a fit's process, over a real socket."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import pytest

from mlservice.errors import InvalidTable
from mlservice.table import Table, from_csv
from workers.frames import LENGTH, MOST, Body

ROWS = [b"%d,%d.5,%d\n" % (i, i % 97, i % 2) for i in range(120_000)]
PLAIN = b"a,b,y\n" + b"".join(ROWS)


class Parent:
    """The other end: it sends a body, and again when it is asked to."""

    def __init__(self, body: bytes, piece_bytes: int, most_bytes: int) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.sent = 0
        self._body, self._piece_bytes, self._most_bytes = body, piece_bytes, most_bytes
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.ours.sendall(MOST.pack(self._most_bytes))
        self._send()
        while length := self.ours.recv(LENGTH.size, socket.MSG_WAITALL):
            frame = self.ours.recv(LENGTH.unpack(length)[0], socket.MSG_WAITALL)
            assert msgpack.unpackb(frame) == {"again": True}
            self._send()

    def _send(self) -> None:
        self.sent += 1
        for start in range(0, len(self._body), self._piece_bytes):
            piece = self._body[start : start + self._piece_bytes]
            self.ours.sendall(LENGTH.pack(len(piece)) + piece)
        self.ours.sendall(LENGTH.pack(0))


@pytest.fixture
def parents() -> Iterator[list[Parent]]:
    """Return a list whose parents are ended."""
    parents: list[Parent] = []
    yield parents
    for each in parents:
        each.theirs.close()
        each.thread.join(10)
        each.ours.close()


@pytest.mark.parametrize("known", [True, False])
def test_a_body_is_there_once_it_is_asked_for(parents: list[Parent], *, known: bool) -> None:
    """All of it is held where nothing is forgotten, whether its size is known or not."""
    parents.append(Parent(PLAIN, 300_000, len(PLAIN) + 99 if known else 0))
    body = Body(parents[0].theirs)

    assert body.reach(10) >= 10
    assert body.reach(len(PLAIN) + 1) == len(PLAIN)
    assert body.there == PLAIN


def test_what_is_read_of_a_csv_is_not_held(parents: list[Parent]) -> None:
    """A part of the text is in memory at a time, and the table is that of all of it."""
    parents.append(Parent(PLAIN, 1 << 20, len(PLAIN)))
    body = Body(parents[0].theirs)

    table = from_csv(body.there, coming=body)

    assert np.array_equal(np.asarray(table.columns["a"]), np.arange(len(ROWS)))
    assert len(body.there) < len(PLAIN) / 2
    assert parents[0].sent == 1


@pytest.mark.parametrize("last", [b'7,"1",0\n', b"x,1,0\n"], ids=["quoted", "a text"])
def test_what_was_forgotten_too_early_is_asked_for_once_more(
    parents: list[Parent], last: bytes
) -> None:
    """Where the end of a text is not as its beginning, the table is that of the whole text."""
    text = PLAIN + last
    parents.append(Parent(b"header" + text, 1 << 20, len(text) + 6))
    body = Body(parents[0].theirs)
    body.reach(6)
    del body.there[:6]

    table = from_csv(body.there, coming=body)

    assert _values(table) == _values(from_csv(text))
    assert parents[0].sent == 2


def test_what_is_wrong_at_the_end_of_a_csv_is_told_with_its_line(parents: list[Parent]) -> None:
    """The reader that tells it has all of the text."""
    text = PLAIN + b"7,1\n"
    parents.append(Parent(text, 1 << 20, len(text)))
    body = Body(parents[0].theirs)

    with pytest.raises(InvalidTable, match=f"Line {len(ROWS) + 2} must have 3 fields"):
        from_csv(body.there, coming=body)


def _values(table: Table) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in table.columns.items()}


def test_a_csv_that_is_not_plain_from_its_beginning_comes_once(parents: list[Parent]) -> None:
    """The first block tells it, of which nothing is forgotten yet."""
    text = b'a,b,y\n"1",2,3\n' + PLAIN[6:]
    parents.append(Parent(text, 1 << 20, len(text)))
    body = Body(parents[0].theirs)

    table = from_csv(body.there, coming=body)

    assert table.rows == len(ROWS) + 1
    assert parents[0].sent == 1
