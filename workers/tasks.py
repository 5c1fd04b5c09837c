"""What arq runs: take the lease, keep it alive, fit in the pool, store once."""

import asyncio
import contextlib
import functools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from mlservice.errors import (
    DataLost,
    InternalError,
    Problem,
    StoreFull,
    StoreUnavailable,
    TrainerKilled,
)
from mlservice.settings import Settings
from mlservice.store import PIECE_BYTES, Trainings
from workers.ahead import Ahead, Reading
from workers.pool import Pool
from workers.telling import Progress, Telling

T = TypeVar("T")

logger = logging.getLogger(__name__)

# A store without memory is waited for like one that is away.
_WITHOUT_STORE = (StoreUnavailable, StoreFull)
_RETRY_S = 0.2
_STOP_PATIENCE_S = 2.0


class Trainer:
    """Runs trainings for one worker.

    Parameters
    ----------
    trainings : Trainings
        The store.
    pool : Pool
        Where fits run.
    settings : Settings
        How often leases are renewed.
    worker : str
        The worker's name.
    """

    def __init__(self, trainings: Trainings, pool: Pool, settings: Settings, worker: str) -> None:
        self._trainings = trainings
        self._pool = pool
        self._ahead = Ahead(pool, settings)
        self._settings = settings
        self._worker = worker

    async def run(self, model_id: str, attempt: int) -> None:
        """Run one attempt of a training, unless another worker has it."""
        try:
            with self._ahead.running(model_id):
                await self._run(model_id, attempt)
        except _WITHOUT_STORE:
            logger.warning("model %s is left to its lease: the store is away, or full", model_id)
        finally:
            # Not before: to fork a process and to end one takes as long as to store a model.
            self._pool.restock()

    async def read_ahead(self, model_id: str, most_bytes: int) -> None:
        """Read a body while its upload runs, if no other worker may claim its training."""
        with contextlib.suppress(*_WITHOUT_STORE):
            if self._ahead.has_room and await self._trainings.workers() <= 1:
                piece = functools.partial(self._piece, model_id)
                self._ahead.begin(model_id, piece, most_bytes)

    async def close(self) -> None:
        """Give up what is read ahead."""
        await self._ahead.close()

    async def _run(self, model_id: str, attempt: int) -> None:
        claimant = f"{self._worker}:{secrets.token_hex(8)}"
        answer = await self._insist(lambda: self._trainings.claim(model_id, attempt, claimant))
        if answer == "ok":
            await self._attempt(model_id, attempt)
        elif answer == "no-data":
            lost = DataLost("The training's data must be in the store, they are gone.")
            await self._insist(
                lambda: self._trainings.fail(model_id, attempt, lost.document(), state="queued")
            )

    async def _attempt(self, model_id: str, attempt: int) -> None:
        begun = time.monotonic()
        tell = functools.partial(self._trainings.progress, model_id, attempt)
        telling = Telling(tell)
        try:
            answer = await self._fit(model_id, attempt, telling)
        except asyncio.CancelledError:
            # The worker stops: another one may take the training at once.
            with contextlib.suppress(*_WITHOUT_STORE):
                await self._insist(
                    lambda: self._trainings.requeue(model_id, attempt), patience_s=_STOP_PATIENCE_S
                )
            raise
        except _WITHOUT_STORE:
            raise  # It is no end of the training, as other problems are.
        except Problem as problem:
            answer = {"problem": problem.document()}
        except OSError as error:
            lacks = InternalError(f"A process must be started for the fit: {error.strerror}.")
            answer = {"problem": lacks.document()}
        if answer is None:
            logger.info("attempt %d of model %s was taken away", attempt, model_id)
            return
        untold = telling.untold
        outcome = await self._insist(lambda: self._store(model_id, attempt, answer, untold))
        logger.info("model %s: %s in %.3f s", model_id, outcome, time.monotonic() - begun)

    async def _fit(self, model_id: str, attempt: int, telling: Telling) -> dict[str, Any] | None:
        """Return the fit's answer, or None when the attempt is no longer ours."""
        if reading := self._ahead.take(model_id):
            # What a child died of before it was a training's is not the training's end.
            with contextlib.suppress(TrainerKilled):
                return await self._follow(reading, model_id, attempt, telling)
        first, count = await self._piece(model_id, 0)
        # Room for a small body is not worth it.
        most_bytes = count * PIECE_BYTES if count > 1 else 0
        piece = functools.partial(self._piece, model_id)
        timeout_s = self._settings.training_timeout_s
        reading = Reading(
            self._pool, piece, timeout_s=timeout_s, first=(first, count), most_bytes=most_bytes
        )
        return await self._follow(reading, model_id, attempt, telling)

    async def _follow(
        self, reading: Reading, model_id: str, attempt: int, telling: Telling
    ) -> dict[str, Any] | None:
        reading.claim(telling.report)
        try:
            while not (await asyncio.wait([reading.fit], timeout=self._settings.renew_s))[0]:
                if not await self._is_ours(model_id, attempt):
                    return None
            return reading.fit.result()
        finally:
            await reading.end()
            await telling.end()

    async def _piece(self, model_id: str, index: int) -> tuple[bytes | None, int]:
        """Ask for a piece, again while the store is away."""
        return await self._insist(functools.partial(self._trainings.piece, model_id, index))

    async def _is_ours(self, model_id: str, attempt: int) -> bool:
        try:
            return await self._trainings.renew(model_id, attempt)
        except _WITHOUT_STORE:
            # Go on: the commit is refused if the lease was lost meanwhile.
            return True

    async def _store(
        self, model_id: str, attempt: int, answer: dict[str, Any], untold: Sequence[Progress]
    ) -> str:
        if "problem" in answer:
            slug = str(answer["problem"]["type"])
            stored = await self._trainings.fail(
                model_id, attempt, answer["problem"], progress=untold
            )
            return f"failed, {slug}" if stored == "ok" else stored
        stored = await self._trainings.finish(model_id, attempt, **answer, progress=untold)
        return "ready" if stored == "ok" else stored

    async def _insist(self, step: Callable[[], Awaitable[T]], patience_s: float | None = None) -> T:
        """Take a step again while the store is away, for as long as a lease lasts."""
        deadline = time.monotonic() + (patience_s or self._settings.lease_s)
        while True:
            try:
                return await step()
            except _WITHOUT_STORE:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_RETRY_S)


async def train(ctx: dict[Any, Any], model_id: str, attempt: int) -> None:
    """Run one attempt; this is the task that arq knows."""
    await ctx["trainer"].run(model_id, attempt)
