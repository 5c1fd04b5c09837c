"""The process of a fit as its worker sees it: a body goes in, progress and an answer come out.

`frames` has what the two say to each other.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from multiprocessing.context import ForkServerProcess
from typing import Any

import msgpack

Report = Callable[[dict[str, Any]], None]
Pieces = Callable[[], AsyncGenerator[bytes, None]]

_LENGTH_BYTES, _MOST_BYTES = 4, 8
_MOST_ANSWER_BYTES = 1 << 30


class Child:
    """One process, and the parent's end of its socket."""

    def __init__(self, process: ForkServerProcess, connection: socket.socket) -> None:
        self.process = process
        self._connection = connection

    def is_waiting(self) -> bool:
        """Tell whether the child still holds its end of the socket."""
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    async def exchange(self, pieces: Pieces, report: Report, most_bytes: int) -> dict[str, Any]:
        """Send a body as often as the child asks for it, report progress, and return its answer.

        Raises
        ------
        ConnectionError, asyncio.IncompleteReadError
            If the child dies before it has answered.
        """
        reader, writer = await asyncio.open_connection(sock=self._connection)
        try:
            writer.write(most_bytes.to_bytes(_MOST_BYTES))
            frame: dict[str, Any] = {"again": True}
            while frame.keys() <= {"again", "progress"}:
                if "again" in frame:
                    await _send(writer, pieces())
                else:
                    report(frame["progress"])
                frame = await _receive(reader)
            return frame
        finally:
            # Not close, which would wait for a child that reads no more.
            writer.transport.abort()

    async def end(self) -> int | None:
        """Kill the process if it still runs, and return its exit code."""
        self.process.kill()
        self._connection.close()
        await asyncio.to_thread(self.process.join)
        code = self.process.exitcode
        self.process.close()
        return code


async def _send(writer: asyncio.StreamWriter, pieces: AsyncGenerator[bytes, None]) -> None:
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            writer.write(len(piece).to_bytes(_LENGTH_BYTES))
            # By itself: together they would be copied.
            writer.write(piece)
            await writer.drain()
    writer.write(bytes(_LENGTH_BYTES))


async def _receive(reader: asyncio.StreamReader) -> dict[str, Any]:
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > _MOST_ANSWER_BYTES:
        raise ConnectionError("a child's answer is too long")
    try:
        frame = msgpack.unpackb(await reader.readexactly(length))
    except ValueError as error:
        raise ConnectionError("a child's answer is no msgpack") from error
    if not isinstance(frame, dict):
        raise ConnectionError("a child's answer is no object")
    return frame
