"""Bodies in a content coding, decoded as they are read: gzip and deflate.

Not by aiohttp, which takes gzip that was cut off as whole, and decodes what nobody reads.
"""

import asyncio
import zlib
from typing import Protocol

from aiohttp.web import RequestPayloadError

CODINGS = ("gzip", "deflate")
# Decoded at once: about a millisecond.
PIECE_BYTES = 1 << 18
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS + 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_DEFLATE_METHOD = 8


class Source(Protocol):
    """What is used of aiohttp's `StreamReader`."""

    async def readany(self) -> bytes:
        """Return what is there, waiting for the first of it; nothing at the end."""

    def at_eof(self) -> bool:
        """Tell whether all was read."""


class Decoded:
    """A body without its coding.

    Parameters
    ----------
    content : Source
        The body as it comes.
    coding : str
        One of `CODINGS`; several streams of it may follow one another.
    """

    def __init__(self, content: Source, coding: str) -> None:
        self._content = content
        self._coding = coding
        self._coded = b""
        self._decoder: zlib._Decompress | None = None
        self._has_more = False
        self._is_over = False

    def at_eof(self) -> bool:
        """Tell whether all was read, and found to be whole."""
        return self._is_over

    async def readany(self) -> bytes:
        """Return what is decoded next, at most 256 KiB; nothing at the end.

        Raises
        ------
        RequestPayloadError
            If the body is not of its coding, or not whole.
        """
        while not self._is_over:
            if self._coded or self._has_more:
                # What was read at once may decode to many pieces: others run between them.
                await asyncio.sleep(0)
                if piece := self._decode():
                    return piece
            elif self._content.at_eof():
                self._end()
            else:
                self._coded = await self._content.readany()
        return b""

    def _decode(self) -> bytes:
        if self._decoder is None:
            self._decoder = zlib.decompressobj(self._form())
        try:
            piece = self._decoder.decompress(self._coded, PIECE_BYTES)
        except zlib.error as error:
            raise RequestPayloadError(f"The body must be {self._coding}, it is not.") from error
        self._has_more = len(piece) == PIECE_BYTES
        self._coded = self._decoder.unconsumed_tail
        if self._decoder.eof:
            self._coded, self._has_more = self._decoder.unused_data, False
            self._decoder = None
        return piece

    def _form(self) -> int:
        if self._coding == "gzip":
            return _GZIP
        # Some send what RFC 9110 calls deflate without its zlib header.
        return _ZLIB if self._coded[0] & 0xF == _DEFLATE_METHOD else _RAW

    def _end(self) -> None:
        if self._decoder is not None:
            raise RequestPayloadError(f"The body must be {self._coding} to its end, it is cut off.")
        self._is_over = True
