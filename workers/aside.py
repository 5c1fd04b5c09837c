"""A second process of a fit, for the part of a small table that a model is measured by.

The model that is kept and the one that is measured are two fits, which on two cores take
the time of one. A child that has waited for a while forks its second, which gets the same
body and answers with coefficients. Where it answers nothing, the child makes both fits.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import msgpack

from workers.crew import fork, share_memory

# A larger table takes the second process's time to read, and memory twice.
MOST_BYTES = 1 << 16
_MOST_ANSWER_BYTES = 1 << 20
# A small table's fit needs less than this part of the memory that is left, or is made by the first.
_SHARES = 8

Work = Callable[[bytes], dict[str, Any] | None]


class Aside:
    """A process that has been forked, and waits for a body.

    Parameters
    ----------
    prepare : callable
        What it does until there is a body; gets its end of the connection.
    work : callable
        What it does with the body; returns a few numbers, or None.
    """

    def __init__(self, prepare: Callable[[socket.socket], None], work: Work) -> None:
        # Each message arrives whole.
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._has_body = False
        with theirs:
            self._pid = fork(lambda: _run(theirs, prepare, work), theirs.fileno())

    def begin(self, body: bytes | bytearray) -> None:
        """Give it the body; end it where that is large."""
        if len(body) > MOST_BYTES:
            self.end()
            return
        with contextlib.suppress(OSError):
            self._connection.send(body)
            self._has_body = True

    def answer(self) -> dict[str, Any] | None:
        """Wait for what it has found; None where it has nothing, or is dead."""
        if not self._has_body:
            return None
        # What is no msgpack was cut off, and too long.
        with contextlib.suppress(OSError, ValueError):
            if answer := self._connection.recv(_MOST_ANSWER_BYTES):
                found: dict[str, Any] = msgpack.unpackb(answer)
                return found
        return None

    def end(self) -> None:
        """End the process, whatever it does, unless it was ended before."""
        if self._connection.fileno() < 0:
            return
        self._connection.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _run(connection: socket.socket, prepare: Callable[[socket.socket], None], work: Work) -> None:
    prepare(connection)
    share_memory(_SHARES)
    if (body := connection.recv(MOST_BYTES)) and (found := work(body)):
        connection.send(msgpack.packb(found))
