"""Models, datasets and trainings in Redis: every key name and every atomic step."""

from mlservice.store.aliases import Alias, Aliases
from mlservice.store.changes import Changes
from mlservice.store.checkup import Checkup, refuse_risks
from mlservice.store.connections import open_pool, open_redis
from mlservice.store.events import Event
from mlservice.store.grants import Grant, Grants
from mlservice.store.link import Link
from mlservice.store.models import Models
from mlservice.store.once import Once
from mlservice.store.pieces import PIECE_BYTES
from mlservice.store.queue import QueueState, queue_state
from mlservice.store.records import Record
from mlservice.store.tenants import Tenant, Tenants
from mlservice.store.trainings import Trainings, arq_timeout_s, keep_swept

__all__ = [
    "PIECE_BYTES",
    "Alias",
    "Aliases",
    "Changes",
    "Checkup",
    "Event",
    "Grant",
    "Grants",
    "Link",
    "Models",
    "Once",
    "QueueState",
    "Record",
    "Tenant",
    "Tenants",
    "Trainings",
    "arq_timeout_s",
    "keep_swept",
    "open_pool",
    "open_redis",
    "queue_state",
    "refuse_risks",
]
