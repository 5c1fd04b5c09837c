"""How long the queue of trainings is, and who works on it, for operators."""

from dataclasses import dataclass

from mlservice.settings import Settings
from mlservice.store import keys
from mlservice.store.link import Link
from mlservice.store.trainings import Trainings


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """The trainings that are open.

    Attributes
    ----------
    queued, training : int
        How many wait, and how many a worker has.
    oldest_s : float
        How long the one has waited that has waited longest; 0 if none waits.
    workers : int
        How many were seen within three sweeps.
    """

    queued: int
    training: int
    oldest_s: float
    workers: int


async def queue_state(link: Link, trainings: Trainings, settings: Settings) -> QueueState:
    """Return the state of the queue; it costs the same however long that is.

    Raises
    ------
    StoreUnavailable
        If the store does not answer.
    """
    queued, training, first, now = await link.batch(
        [
            ("ZCARD", keys.DEADLINES),
            ("ZCARD", keys.LEASES),
            ("ZRANGE", keys.DEADLINES, 0, 0, "WITHSCORES"),
            ("TIME",),
        ]
    )
    oldest_s = 0.0
    if first:
        left_s = float(first[-1]) / 1000 - int(now[0]) - int(now[1]) / 1e6
        oldest_s = max(0.0, settings.queue_timeout_s - left_s)
    workers = await trainings.workers()
    return QueueState(queued=queued, training=training, oldest_s=oldest_s, workers=workers)
