"""Frames between a worker and the process of a fit: a body one way, msgpack the other.

A frame is a 4-byte big-endian length and that many bytes. The parent says in 8 bytes
how large the body is at most, 0 where it does not know; sends it in pieces, and
ends it with an empty frame; the child answers with one frame and exits. Frames before that
one tell its progress, or ask for the body once more: it is not held whole where
a part of it is enough.
"""

import os
import socket
import struct

import msgpack

LENGTH, MOST = struct.Struct(">I"), struct.Struct(">Q")
_SOME_BYTES = 1 << 18
_MOST_ROOM_BYTES = 1 << 24


def send(connection: socket.socket, value: dict[str, object]) -> None:
    """Send a frame of msgpack."""
    frame = msgpack.packb(value)
    connection.sendall(LENGTH.pack(len(frame)) + frame)


class Body:
    """A body as it comes, which is held once at most.

    Parameters
    ----------
    connection : socket
        Where it comes from; its first bytes say how large it is.

    Attributes
    ----------
    there : bytearray
        What has come, and room for what comes next. What is taken from its beginning is gone.
    most_bytes : int
        How large it is at most, 0 where that is not known.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.there = bytearray()
        self.most_bytes = MOST.unpack(_exactly(connection, MOST.size))[0]
        self._connection = connection
        self._room = 0
        self._left_of_frame = 0
        self._has_ended = False
        self._came = 0
        self._taken_unread = 0
        self._is_forgotten = self._is_kept = False

    def reach(self, size: int) -> int:
        """Wait until so many bytes are there, or all, and tell how many are.

        Raises
        ------
        MemoryError
            If they need more memory than there is.
        """
        while len(self.there) - self._room < size and self._comes():
            if not self._room:
                self._make_room()
            at = len(self.there) - self._room
            with memoryview(self.there) as view, view[at : at + self._left_of_frame] as place:
                self._room -= self._take(place)
        return len(self.there) - self._room

    def forget(self, size: int) -> int:
        """Take what was read from the beginning, unless all is kept; tell how much was taken."""
        if self._is_kept:
            return 0
        if not self._is_forgotten:
            self._is_forgotten = True
            self._taken_unread = self._came - (len(self.there) - self._room)
        del self.there[:size]
        return size

    def again(self) -> None:
        """Have the body as it was before any of it was forgotten, and keep all of it."""
        self._is_kept = True
        if not self._is_forgotten:
            return
        # The parent sends all of it before it listens.
        self.leave_rest()
        self.there.clear()
        self._room = 0
        self._came, self._has_ended = 0, False
        send(self._connection, {"again": True})
        self.reach(self._taken_unread)
        del self.there[: self._taken_unread]

    def leave_rest(self) -> None:
        """Take what comes still, and keep none of it."""
        some = memoryview(bytearray(_SOME_BYTES))
        while self._comes():
            self._take(some[: self._left_of_frame])

    def _make_room(self) -> None:
        # As much as there is: a buffer that grows by less is moved too often.
        known = min(len(self.there), self.most_bytes - self._came, _MOST_ROOM_BYTES)
        self._room = max(known, min(self._left_of_frame, _SOME_BYTES))
        self.there += bytes(self._room)

    def _comes(self) -> bool:
        """Tell whether more comes; leave no room once all has come."""
        if not self._left_of_frame and not self._has_ended:
            self._left_of_frame = LENGTH.unpack(_exactly(self._connection, LENGTH.size))[0]
            if not self._left_of_frame:
                self._has_ended = True
                del self.there[len(self.there) - self._room :]
                self._room = 0
        return not self._has_ended

    def _take(self, place: memoryview) -> int:
        count = _receive(self._connection, place)
        self._left_of_frame -= count
        self._came += count
        return count


def _exactly(connection: socket.socket, length: int) -> bytearray:
    received = bytearray(length)
    missing = memoryview(received)
    while missing:
        missing = missing[_receive(connection, missing) :]
    return received


def _receive(connection: socket.socket, place: memoryview) -> int:
    count = connection.recv_into(place)
    if not count:
        os._exit(0)
    return count
