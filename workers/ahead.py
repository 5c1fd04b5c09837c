"""Bodies on their way from the store to the children that fit them; one may be read ahead.

A large body is read while its upload runs, which nobody has asked for: nothing in the store
tells of it, and nothing of it is used unless this worker claims the training. It is given up
when its slot is needed, and when no piece comes for a while.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

from mlservice.settings import Settings
from workers.exchange import Report
from workers.pool import Pool

# Returns a piece of a body and how many there are; one that is there never changes.
Piece = Callable[[int], Awaitable[tuple[bytes | None, int]]]

_PATIENCE_S = 1.0
_LOOK_AGAIN_S = 0.01
# One by one they came more slowly than a child parses them.
_AT_ONCE = 3


class Reading:
    """A body that a child reads as it comes, and fits when all of it is there.

    Parameters
    ----------
    pool : Pool
        Where the child is from.
    piece : callable
        Asks the store for a piece.
    timeout_s : float
        How long the fit may take from its claim.
    first : pair of bytes and int, optional
        The first piece and how many there are, of a body that is whole.
    most_bytes : int
        How large the body is at most; 0: not known.

    Attributes
    ----------
    fit : Task
        Returns the child's answer.
    is_given_up : bool
        Whether it waits for no more pieces.
    """

    def __init__(
        self,
        pool: Pool,
        piece: Piece,
        *,
        timeout_s: float,
        first: tuple[bytes | None, int] = (None, 0),
        most_bytes: int = 0,
    ) -> None:
        self.is_given_up = False
        self._pool = pool
        self._piece = piece
        self._timeout_s = timeout_s
        self._limit = asyncio.timeout(None)
        self._is_under_way = False
        self._claimed = asyncio.Event()
        self._report: Report | None = None
        self._first, self._count = first
        self._there = self._count
        run = pool.run(self._read, self._tell, most_bytes, limit=self._limit)
        self.fit = asyncio.create_task(run)

    def claim(self, report: Report) -> None:
        """Take it for a training, whose body is whole and whose time begins."""
        self._report = report
        self._claimed.set()
        if self._is_under_way:
            self._bound()

    async def end(self) -> None:
        """End the child, unless it has answered."""
        self.fit.cancel()
        await asyncio.wait([self.fit])

    def _bound(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    def _tell(self, progress: dict[str, Any]) -> None:
        if self._report:
            self._report(progress)

    async def _read(self) -> AsyncGenerator[bytes, None]:
        """Yield the body, the next pieces on their way while one is taken."""
        if self._claimed.is_set() and not self._is_under_way:
            self._bound()
        self._is_under_way = True
        piece, index = self._first, 1 if self._first else 0
        coming: deque[asyncio.Task[bytes | None]] = deque()
        try:
            while True:
                # Of pieces that are there some are asked for at once, of others the next one.
                while not coming or (len(coming) < _AT_ONCE and index < self._there):
                    coming.append(asyncio.create_task(self._next(index)))
                    index += 1
                if piece:
                    yield piece
                if not (piece := await coming.popleft()):
                    return
        finally:
            for each in coming:
                each.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _next(self, index: int) -> bytes | None:
        """Return a piece once it is there, None behind the last one.

        Raises
        ------
        TimeoutError
            If none comes for a while, and nobody has claimed the body.
        """
        patient_until = time.monotonic() + _PATIENCE_S
        while not (is_whole := self._claimed.is_set()) or index < (self._count or index + 1):
            piece, count = await self._piece(index)
            self._there = max(self._there, count)
            # What was claimed before it was asked for is whole.
            if is_whole:
                self._count = count
            if piece or is_whole:
                return piece
            if time.monotonic() > patient_until:
                self.is_given_up = True
                raise TimeoutError
            # The next training finds a child as ever.
            self._pool.restock()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._claimed.wait()
        return None


class Ahead:
    """The one body at most that a worker reads before it is a training.

    Parameters
    ----------
    pool : Pool
        Where the child is from.
    settings : Settings
        How many trainings run side by side, and how long one may take.
    """

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._pool = pool
        self._slots = settings.worker_slots
        self._timeout_s = settings.training_timeout_s
        self._running: list[str] = []
        self._model_id = ""
        self._reading: Reading | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def has_room(self) -> bool:
        """Whether a body may be read: none is, and a slot is free."""
        is_reading = self._reading is not None and not self._reading.fit.done()
        return not is_reading and len(self._running) < self._slots

    def begin(self, model_id: str, piece: Piece, most_bytes: int) -> None:
        """Read a body whose upload runs, if there is room."""
        if not self.has_room:
            return
        self._model_id = model_id
        self._reading = Reading(self._pool, piece, timeout_s=self._timeout_s, most_bytes=most_bytes)
        # Nobody else may look at how it ends.
        self._reading.fit.add_done_callback(lambda fit: fit.cancelled() or fit.exception())

    @contextlib.contextmanager
    def running(self, model_id: str) -> Iterator[None]:
        """Note that a training runs, which has its slot first."""
        self._running.append(model_id)
        if len(self._running) >= self._slots and model_id != self._model_id:
            self._give_up()
        try:
            yield
        finally:
            self._running.remove(model_id)

    def take(self, model_id: str) -> Reading | None:
        """Return the reading of a body, if it is read."""
        reading = self._reading
        if reading is None or model_id != self._model_id:
            return None
        if reading.is_given_up or reading.fit.done():
            return None
        self._reading = None
        return reading

    def _give_up(self) -> None:
        reading, self._reading = self._reading, None
        if reading:
            ending = asyncio.create_task(reading.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End what is read."""
        self._give_up()
        await asyncio.gather(*self._ending)
