"""What workers and sweepers do with trainings in the store.

The record is the truth. It moves by atomic steps that carry the attempt's
number as a fencing token: a worker that was given up and wakes up late finds
its step refused as stale.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from mlservice.errors import (
    QueueTimeout,
    StoreFull,
    StoreUnavailable,
    TrainingProblem,
    WorkerLost,
)
from mlservice.settings import Settings
from mlservice.store import keys
from mlservice.store.entries import EntryBuilder
from mlservice.store.link import Link
from mlservice.store.pieces import stage_all_but_last
from mlservice.store.records import Record

logger = logging.getLogger(__name__)

LOCK_GRACE_MS = 5_000

Progress = Mapping[str, object]


class Trainings:
    """Trainings as workers and sweepers see them.

    Parameters
    ----------
    link : Link
        The store.
    settings : Settings
        Lease, deadlines and the queue's name.
    entry : callable
        Builds the queue's entry for one attempt, `jobs.entry`.
    """

    def __init__(self, link: Link, settings: Settings, entry: EntryBuilder) -> None:
        self._link = link
        self._settings = settings
        self._entry = entry

    async def claim(self, model_id: str, attempt: int, claimant: str) -> str:
        """Take a queued training; return `ok`, `stale` or `no-data`."""
        answer: bytes = await self._link.script(
            "claim", model_id, attempt, claimant, _ms(self._settings.lease_s)
        )
        return answer.decode()

    async def renew(self, model_id: str, attempt: int) -> bool:
        """Keep the lease; return whether the training is still this attempt's."""
        return bool(
            await self._link.script("renew", model_id, attempt, _ms(self._settings.lease_s))
        )

    async def progress(self, model_id: str, attempt: int, steps: Sequence[Progress]) -> None:
        """Note how far the attempt's fit is; what comes too late is left out."""
        await self._link.script("progress", model_id, attempt, *map(msgspec.json.encode, steps))

    async def piece(self, model_id: str, index: int) -> tuple[bytes | None, int]:
        """Return a piece of at most 1 MiB of the training's body, and how many there are."""
        key = keys.data(model_id)
        piece, count = await self._link.read([("LINDEX", key, index), ("LLEN", key)])
        return piece, count

    async def finish(
        self,
        model_id: str,
        attempt: int,
        artifact: bytes,
        description: bytes,
        name: str = "",
        *,
        progress: Sequence[Progress] = (),
    ) -> str:
        """Commit a model in one step; return `ok`, `stale` or `no-artifact`.

        Parameters
        ----------
        artifact : bytes
            The stored form of the model.
        description : bytes
            JSON object for the model's document.
        name : str
            The model's name for people, or empty.
        progress : sequence of dict
            Steps of the fit that were not told yet.
        """
        digest, rest = await stage_all_but_last(self._link, model_id, attempt, artifact)
        return await self._end(
            model_id, "training", attempt, "ready",
            description=description, sha256=digest, name=name, piece=rest, progress=progress,
        )  # fmt: skip

    async def fail(
        self,
        model_id: str,
        attempt: int,
        problem: dict[str, object],
        *,
        state: str = "training",
        progress: Sequence[Progress] = (),
    ) -> str:
        """End an attempt as failed, with the problem that says why."""
        token = attempt if state == "training" else ""
        error = msgspec.json.encode(problem)
        return await self._end(model_id, state, token, "failed", error=error, progress=progress)

    async def requeue(self, model_id: str, attempt: int, *, guard: str = "") -> str:
        """Give a training back to the queue; return `ok`, `stale`, `not-due` or `exhausted`."""
        entry = self._entry(model_id, attempt + 1)
        answer: bytes = await self._link.script(
            "requeue", model_id, attempt, guard, self._settings.queue_name,
            entry.id, entry.payload, _ms(self._settings.queue_timeout_s),
        )  # fmt: skip
        return answer.decode()

    async def _end(
        self,
        model_id: str,
        state: str,
        attempt: int | str,
        outcome: str,
        *,
        description: bytes = b"",
        error: bytes = b"",
        sha256: str = "",
        name: str = "",
        guard: str = "",
        piece: bytes = b"",
        progress: Sequence[Progress] = (),
    ) -> str:
        answer: bytes = await self._link.script(
            "finish", model_id, state, attempt, outcome, description, error, sha256, guard,
            _ms(self._settings.retention_s), self._settings.queue_name, name, piece,
            *map(msgspec.json.encode, progress),
        )  # fmt: skip
        return answer.decode()

    async def sweep(self) -> None:
        """Act once on every training that was lost, waited too long, or expired."""
        settings = self._settings
        groups = await self._link.script(
            "overdue", settings.queue_name, _ms(arq_lock_s(settings)), LOCK_GRACE_MS,
            _ms(settings.lease_s), _ms(settings.queue_timeout_s),
        )  # fmt: skip
        leases, deadlines, lost, expired = ([i.decode() for i in group] for group in groups)
        for step, ids in (
            (self._reclaim, leases),
            (self._give_up_waiting, deadlines),
            (self._restore, lost),
            (self._forget, expired),
        ):
            for model_id in ids:
                await self._apart(step, model_id)

    async def look_after(self, record: Record) -> bool:
        """Act on one training that seems to be lost or to wait too long, as a sweep would.

        Returns
        -------
        bool
            Whether it seemed so; its record may then be another one.
        """
        now_ms, begun_ms = time.time() * 1000, record.started_ms or record.created_ms
        if record.state == "training" and now_ms > begun_ms + _ms(self._settings.lease_s):
            await self._apart(self._reclaim, record.id)
        elif record.state == "queued" and now_ms > begun_ms + _ms(self._settings.queue_timeout_s):
            await self._apart(self._give_up_waiting, record.id)
        else:
            return False
        return True

    async def _apart(self, step: Callable[[str], Awaitable[None]], model_id: str) -> None:
        """Take one step of a sweep; what is broken in the store keeps no other model from its own.

        Raises
        ------
        StoreUnavailable
            If the store is away.
        """
        try:
            await step(model_id)
        except (StoreUnavailable, StoreFull, ValueError) as error:
            if isinstance(error, StoreUnavailable) and self._link.is_away:
                raise
            logger.warning("model %s cannot be swept: %s", model_id, type(error).__name__)

    async def _forget(self, model_id: str) -> None:
        await self._link.script("delete", model_id, self._settings.queue_name, "")

    async def _reclaim(self, model_id: str) -> None:
        attempt = await self._attempt(model_id)
        answer = await self.requeue(model_id, attempt, guard="leases")
        if answer == "ok":
            logger.warning("worker of model %s was lost in attempt %d", model_id, attempt)
        elif answer == "exhausted":
            problem = WorkerLost(f"A worker must live until the end, {attempt} died.")
            await self._end_overdue(model_id, "training", "leases", problem)

    async def _give_up_waiting(self, model_id: str) -> None:
        waited = f"{self._settings.queue_timeout_s:g} s"
        problem = QueueTimeout(f"A worker must take the training within {waited}, none did.")
        await self._end_overdue(model_id, "queued", "deadlines", problem)

    async def _end_overdue(
        self, model_id: str, state: str, guard: str, problem: TrainingProblem
    ) -> None:
        error = msgspec.json.encode(problem.document())
        if await self._end(model_id, state, "", "failed", error=error, guard=guard) == "ok":
            logger.warning("model %s failed: %s", model_id, problem.slug)

    async def _restore(self, model_id: str) -> None:
        attempt = await self._attempt(model_id)
        entry = self._entry(model_id, attempt + 1)
        if await self._link.script(
            "restore", model_id, attempt, self._settings.queue_name, entry.id, entry.payload
        ):
            logger.warning("entry of model %s was lost and is queued again", model_id)

    async def _attempt(self, model_id: str) -> int:
        return int(await self._link.call("HGET", keys.record(model_id), "attempt") or 0)

    async def announce(self, worker: str) -> None:
        """Note that a worker lives."""
        seconds = (await self._link.call("TIME"))[0]
        await self._link.batch(
            [
                ("ZADD", keys.WORKERS, int(seconds), worker),
                ("ZREMRANGEBYSCORE", keys.WORKERS, "-inf", int(seconds) - 3600),
            ]
        )

    async def retire(self, worker: str) -> None:
        """Note that a worker has stopped."""
        await self._link.call("ZREM", keys.WORKERS, worker)

    async def workers(self) -> int:
        """Return how many workers were seen within three sweeps."""
        seconds = int((await self._link.call("TIME"))[0])
        # Later than now was one seen before the clock went back.
        apart = 3 * self._settings.sweep_s + 1
        return int(await self._link.call("ZCOUNT", keys.WORKERS, seconds - apart, seconds + apart))


async def keep_swept(trainings: Trainings, settings: Settings, worker: str | None = None) -> None:
    """Sweep for ever; every process does, and needs no leader, since steps check again.

    Parameters
    ----------
    worker : str, optional
        Name of the worker that this process is, announced at each sweep.
    """
    sweeps_from = 0.0
    while True:
        try:
            if worker:
                # A store without memory notes nobody; what is lost is found all the same.
                with contextlib.suppress(StoreFull):
                    await trainings.announce(worker)
            if time.monotonic() >= sweeps_from:
                await trainings.sweep()
        except StoreUnavailable:
            # Workers that live must get to renew their leases first.
            sweeps_from = time.monotonic() + settings.lease_s
        except Exception:
            # Nobody would begin it again.
            logger.exception("a sweep failed")
        # Never more than the setting: lease and sweep together bound how long a loss lasts.
        await asyncio.sleep(settings.sweep_s * random.uniform(0.6, 1.0))  # noqa: S311  # jitter


def arq_lock_s(settings: Settings) -> float:
    """Return how long arq locks an entry that a worker took."""
    return arq_timeout_s(settings) + 10


def arq_timeout_s(settings: Settings) -> float:
    """Return arq's own time limit of a job, which must never come before ours."""
    return settings.training_timeout_s + 60


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
