"""What all API processes of one start have counted, whichever is asked.

Each process writes its figures to a file of its own, once a second and when it
stops, and reads those of the others when it is asked: they are a second old at
most. A process that is started again goes on from its file.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from mlservice.figures import NOTHING, Figures, total

logger = logging.getLogger(__name__)

WRITE_S = 1.0
_SUFFIX = ".json"
_decode = msgspec.json.Decoder(Figures).decode


class Ledger:
    """Figures of this process, and of those beside it.

    Parameters
    ----------
    count : callable
        Returns what this process has counted.
    file : Path, optional
        Its own in the folder that the processes share; left out where it is alone.
    """

    def __init__(self, count: Callable[[], Figures], file: Path | None = None) -> None:
        self._count = count
        self._file = file
        self._past = NOTHING
        self._is_behind = False

    def own(self) -> Figures:
        """Return what this process has counted, and what those before it in its place had."""
        return self._past + self._count()

    async def together(self) -> Figures:
        """Return what all processes have counted."""
        if self._file is None:
            return self.own()
        return total([self.own(), *await asyncio.to_thread(_read_others, self._file)])

    async def keep(self) -> None:
        """Write the figures for ever, and once more at the end."""
        if self._file is None:
            return
        if found := await asyncio.to_thread(_read, self._file):
            self._past = msgspec.structs.replace(found, levels={})
        try:
            while True:
                await self._note(self._file, self.own())
                await asyncio.sleep(WRITE_S)
        finally:
            last = msgspec.structs.replace(self.own(), levels={})
            await self._note(self._file, last)

    async def _note(self, file: Path, figures: Figures) -> None:
        """Write figures; a disk that takes nothing now may take the next ones."""
        try:
            await asyncio.to_thread(_write, file, figures)
        except OSError as error:
            if not self._is_behind:
                logger.warning("figures cannot be written: %s", error.strerror)
            self._is_behind = True
        else:
            self._is_behind = False


def _write(file: Path, figures: Figures) -> None:
    beside = file.with_suffix(".new")
    beside.write_bytes(msgspec.json.encode(figures))
    # Whoever reads has the file before or the one after, never half of one.
    beside.replace(file)


def _read(file: Path) -> Figures | None:
    with contextlib.suppress(FileNotFoundError):
        return _decode(file.read_bytes())
    return None


def _read_others(own: Path) -> list[Figures]:
    files = [file for file in own.parent.glob(f"*{_SUFFIX}") if file != own]
    return [found for found in map(_read, files) if found]


LEDGER = web.AppKey("ledger", Ledger)
