"""Clients that are too slow: how long one may take to send, and to take what is sent to it.

A client may lag behind a rate by some seconds, both settings: with 30 s and 16 KiB/s
a body of 1 MiB may take 94 s. Only the time that the client is waited for counts.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

from mlservice.decoding import Source
from mlservice.errors import RequestTooSlow
from mlservice.settings import Settings, variable


async def paced(content: Source, settings: Settings) -> AsyncIterator[bytes]:
    """Yield a body as it arrives.

    Raises
    ------
    RequestTooSlow
        If the client lags behind.
    ConnectionError
        If it has gone.
    """
    waited_s, size = 0.0, 0
    while True:
        begun = time.monotonic()
        left_s = settings.slow_client_s + size / settings.slow_client_bytes_per_s - waited_s
        try:
            async with asyncio.timeout(left_s):
                chunk = await content.readany()
        except TimeoutError:
            raise _too_slow(settings, size) from None
        except RuntimeError as error:
            # aiohttp's own, if the client had gone before it was waited for.
            if str(error) != "Connection closed.":
                raise
            raise ConnectionResetError("The client has gone.") from error
        if not chunk:
            return
        waited_s += time.monotonic() - begun
        size += len(chunk)
        yield chunk


def _too_slow(settings: Settings, size: int) -> RequestTooSlow:
    rate, patience = "slow_client_bytes_per_s", "slow_client_s"
    return RequestTooSlow(
        f"The body must come with {settings.slow_client_bytes_per_s} bytes a second "
        f"({variable(rate)}) after {settings.slow_client_s:g} s ({variable(patience)}), "
        f"{size} bytes have come.",
        headers={"Connection": "close"},
    )


class SlowReaders:
    """Finds connections whose clients do not take what is sent to them.

    Parameters
    ----------
    patience_s : float
        How long nothing need be taken.
    bytes_per_s : int
        What must be taken of a large answer, on average of the time above.
    """

    def __init__(self, patience_s: float, bytes_per_s: int) -> None:
        self._patience_s = patience_s
        self._enough = patience_s * bytes_per_s
        self._seen: dict[asyncio.Transport, tuple[float, int, int]] = {}

    def look(self, transports: Iterable[asyncio.Transport], now: float) -> list[asyncio.Transport]:
        """Return those that are too slow, by how full their buffers were since they filled."""
        late: list[asyncio.Transport] = []
        seen: dict[asyncio.Transport, tuple[float, int, int]] = {}
        for transport in transports:
            if size := transport.get_write_buffer_size():
                since, first, last = self._seen.get(transport, (now, size, size))
                # More in it than before: a stream writes on only when its reader has read.
                if size > last or first - size >= self._enough:
                    since, first = now, size
                seen[transport] = since, first, size
                if now - since > self._patience_s:
                    late.append(transport)
        self._seen = seen
        return late
