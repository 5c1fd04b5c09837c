"""What stands against a new model, in words."""

import math
import random

from mlservice.errors import (
    IdempotencyKeyReused,
    Problem,
    QueueFull,
    StoreUnavailable,
    TooManyModels,
    TooManyTrainings,
)
from mlservice.settings import Settings, variable

WAITING_RETRY_S = 1
MOST_RETRY_S = 300


def refusal(answer: str, settings: Settings, wait_ms: int = 0) -> Problem:
    """Return the error for what a script answered.

    Parameters
    ----------
    answer : str
        Name of the limit that is reached, `no-data` or `other-body`.
    wait_ms : int
        Time in which one slot of each worker would train all that are queued.
    """
    if answer == "no-data":
        return StoreUnavailable("The body must be stored within 60 s, it took longer.")
    if answer == "other-body":
        return IdempotencyKeyReused(
            "Idempotency-Key must be new for a new request, it came with another body before."
        )
    most = f"{getattr(settings, answer)} ({variable(answer)})"
    if answer == "models_per_tenant":
        return TooManyModels(f"At most {most} models may be stored; delete some.")
    what = "bytes of trainings" if "bytes" in answer else "trainings"
    kind = TooManyTrainings if answer.endswith("_per_tenant") else QueueFull
    return kind(
        f"At most {most} {what} may be open; try again later.",
        headers={"Retry-After": str(_retry_s(wait_ms / 1000 / settings.worker_slots))},
    )


def _retry_s(wait_s: float) -> int:
    # Spread, so that those who are refused together do not come back together.
    spread_s = wait_s * random.uniform(0.8, 1.2)  # noqa: S311  # no secret
    return min(max(math.ceil(spread_s), WAITING_RETRY_S), MOST_RETRY_S)
