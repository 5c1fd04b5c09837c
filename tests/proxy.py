"""A TCP proxy between the service and its store, which does what networks do.

::

    async with Proxy("unix:///path/to/valkey.sock") as proxy:
        settings = Settings(redis_url=proxy.url)

========================  ========================================================
``freeze()``, ``thaw()``  half open: connections are accepted and bytes are taken,
                          nothing comes out; after `thaw` all of it does, in order
``close()``, ``open()``   every connection is reset and new ones are refused; later
                          the same port listens again
``abandon()``             half open for ever: all connections that there are, no new one
``cut()``                 every connection that there is, is reset, once
``delay_s``               each chunk is late by this, in both directions
``bytes_per_s``           answers trickle at this rate
``cut_before(needle)``    the connection that asks for this is reset: never executed
``cut_after(needle)``     the same when the answer is there: executed, answer lost
``answer(needle, bytes)`` the store never sees it; this line is the answer
========================  ========================================================

A needle is matched against what clients send: a command's name or key, or a
script's SHA-1 (`sha1_of`). Traps spring `times` times; `sprung` counts them. One
command has one answer, so traps are for single commands and scripts, and of a
MULTI they are for its last command.
"""

import asyncio
import contextlib
import hashlib
import socket
import ssl
import struct
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

from mlservice.store import link

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)


def sha1_of(script: str) -> bytes:
    """Return what EVALSHA calls one of the store's scripts."""
    source = link._SOURCES[script]  # as it is sent
    return hashlib.sha1(source.encode()).hexdigest().encode()  # noqa: S324  # Valkey's choice


@dataclass
class _Trap:
    needle: bytes
    kind: Literal["before", "after", "answer"]
    times: int
    reply: bytes = b""


class _Connection:
    """Both ends of one connection."""

    def __init__(self, client: asyncio.StreamWriter, store: asyncio.StreamWriter) -> None:
        self.client = client
        self.store = store
        self.tail = b""
        self.is_doomed = False
        self.flows = asyncio.Event()
        self.flows.set()

    def reset(self) -> None:
        """End it with RST, as a machine that knows nothing of it does."""
        for writer in (self.client, self.store):
            with contextlib.suppress(OSError):
                end = writer.get_extra_info("socket")
                if end.family != socket.AF_UNIX:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class Proxy:
    """Listens on a free port of this machine, in front of a store.

    Parameters
    ----------
    target : str
        Address of the store, `unix://` or `redis://`.
    tls : SSLContext, optional
        Clients must speak TLS with this; the store is spoken to in plain.
    """

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        self._target = urlsplit(target)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._traps: list[_Trap] = []
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = 0
        self.delay_s = 0.0
        self.bytes_per_s = 0.0
        self.sprung = 0

    @property
    def url(self) -> str:
        """Address of the store by way of the proxy."""
        return f"rediss://localhost:{self.port}" if self._tls else f"redis://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open(self) -> None:
        """Listen, after `close` on the same port."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections, and reset those that there are."""
        if self._server:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for connection in self._connections:
            connection.reset()

    def abandon(self) -> None:
        """Never pass anything more on the connections that there are."""
        for connection in self._connections:
            connection.flows.clear()

    def freeze(self) -> None:
        """Take everything and pass nothing on."""
        self._flows.clear()

    def thaw(self) -> None:
        """Pass on what was held, and all that follows."""
        self._flows.set()

    def cut_before(self, needle: bytes, *, times: int = 1) -> None:
        """Reset the connection that sends `needle`, before the store sees it."""
        self._traps.append(_Trap(needle, "before", times))

    def cut_after(self, needle: bytes, *, times: int = 1) -> None:
        """Reset the connection that sent `needle`, when the store has answered."""
        self._traps.append(_Trap(needle, "after", times))

    def answer(self, needle: bytes, reply: bytes, *, times: int = 1) -> None:
        """Answer what holds `needle` in the store's place, say with `-LOADING later`."""
        self._traps.append(_Trap(needle, "answer", times, reply + b"\r\n"))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(_close, writer)
            await self._flows.wait()
            with contextlib.suppress(OSError):
                store_reader, store_writer = await self._connect()
                stack.push_async_callback(_close, store_writer)
                connection = _Connection(writer, store_writer)
                self._connections.add(connection)
                stack.callback(self._connections.discard, connection)
                await _first_of(self._ask(connection, reader), self._tell(connection, store_reader))
                if connection.is_doomed:
                    connection.reset()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.scheme == "unix":
            return await asyncio.open_unix_connection(self._target.path)
        return await asyncio.open_connection(self._target.hostname, self._target.port)

    async def _ask(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        """Pass on what the client sends, unless a trap springs."""
        while chunk := await reader.read(_CHUNK):
            await self._hold(connection)
            trap = self._spring(connection.tail + chunk)
            # What was matched once is not matched again.
            connection.tail = b"" if trap else chunk[-64:]
            if trap and trap.kind == "before":
                connection.is_doomed = True
                return
            if trap and trap.kind == "answer":
                await _write(connection.client, trap.reply)
                continue
            connection.is_doomed = bool(trap)
            await _write(connection.store, chunk)

    async def _tell(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        """Pass on what the store answers, unless the connection is to be cut now."""
        while chunk := await reader.read(_CHUNK):
            await self._hold(connection)
            if connection.is_doomed:
                return
            for piece in _pieces(chunk, self.bytes_per_s):
                await _write(connection.client, piece)
                if self.bytes_per_s:
                    await asyncio.sleep(len(piece) / self.bytes_per_s)

    async def _hold(self, connection: _Connection) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._flows.wait()
        await connection.flows.wait()

    def _spring(self, sent: bytes) -> _Trap | None:
        for trap in self._traps:
            if trap.times and trap.needle in sent:
                trap.times -= 1
                self.sprung += 1
                return trap
        return None


async def _first_of(*pumps: Coroutine[None, None, None]) -> None:
    """Run both directions until one ends."""
    running = [asyncio.ensure_future(pump) for pump in pumps]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in running:
            pump.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _pieces(chunk: bytes, bytes_per_s: float) -> list[bytes]:
    """Part an answer into what comes within a tenth of a second."""
    size = int(bytes_per_s / 10) or len(chunk) if bytes_per_s else len(chunk)
    return [chunk[start : start + size] for start in range(0, len(chunk), size)]


async def _write(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(chunk)
        await writer.drain()
