"""What stands against a model that is asked for or made, in words."""

import math
import random
import re

from mlservice.errors import (
    IdempotencyKeyReused,
    ModelNotReady,
    Problem,
    QueueFull,
    StoreUnavailable,
    TooManyModels,
    TooManyTrainings,
)
from mlservice.settings import Settings, variable
from mlservice.store.records import not_found

WAITING_RETRY_S = 1
MOST_RETRY_S = 300

# A UUID as this service writes them; no alias has this shape.
is_id = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


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


def check_id(model_id: str) -> None:
    """Refuse an id that is not a UUID as this service writes them.

    Raises
    ------
    ModelNotFound
        If it is not.
    """
    if not is_id(model_id):
        raise not_found(model_id)


def not_ready(state: str) -> ModelNotReady:
    """Return the error for a model that is asked to predict too early, or never can."""
    waiting = state in ("queued", "training")
    return ModelNotReady(
        f"The model must be ready to predict, it is {state}.",
        headers={"Retry-After": str(WAITING_RETRY_S)} if waiting else {},
        members={"state": state},
    )
