"""What stands against a new model, in words."""

from mlservice.errors import (
    IdempotencyKeyReused,
    Problem,
    StoreUnavailable,
    TooManyModels,
    TooManyTrainings,
)
from mlservice.settings import Settings, variable

WAITING_RETRY_S = 1


def refusal(answer: str, settings: Settings) -> Problem:
    """Return the error for what a script answered.

    Parameters
    ----------
    answer : str
        Name of the limit that is reached, `no-data` or `other-body`.
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
    return TooManyTrainings(
        f"At most {most} trainings may be open; try again later.",
        headers={"Retry-After": str(WAITING_RETRY_S)},
    )
