"""A model's record as it stands in the store, and as the document that clients read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from mlservice.errors import BrokenModel, ModelNotFound
from mlservice.schemas import Links, State, Summary


@dataclass(frozen=True, kw_only=True)
class Record:
    """One model's record.

    Attributes
    ----------
    state : str
        Where the model is in its life.
    description : bytes
        JSON object: what is known beside the members of `Summary`.
    progress : bytes
        JSON object: how far the fit is, or empty.
    error : bytes
        JSON problem document of a failed training, or empty.
    sha256 : str
        Digest of the stored artifact, or empty.
    """

    id: str
    tenant: str
    state: State
    name: str | None
    created_ms: int
    description: bytes
    attempt: int = 0
    started_ms: int | None = None
    finished_ms: int | None = None
    progress: bytes = b""
    error: bytes = b""
    sha256: str = ""

    @classmethod
    def read(cls, model_id: str, stored: dict[bytes, bytes]) -> "Record":
        """Build a record from the store's hash.

        Raises
        ------
        ModelNotFound
            If the hash is empty.
        BrokenModel
            If it is no record.
        """
        if not stored:
            raise not_found(model_id)
        try:
            return cls._read(model_id, stored)
        except (KeyError, ValueError) as error:
            raise BrokenModel("The stored record must be whole, it is not.") from error

    @classmethod
    def _read(cls, model_id: str, stored: dict[bytes, bytes]) -> "Record":
        fields = {name.decode(): value for name, value in stored.items()}
        times = {name: int(fields[name]) for name in ("started", "finished") if name in fields}
        return cls(
            id=model_id,
            tenant=fields["tenant"].decode(),
            state=_state(fields["state"]),
            name=fields["name"].decode() or None,
            attempt=int(fields["attempt"]),
            created_ms=int(fields["created"]),
            started_ms=times.get("started"),
            finished_ms=times.get("finished"),
            description=fields["description"],
            progress=fields.get("progress", b""),
            error=fields.get("error", b""),
            sha256=fields.get("sha256", b"").decode(),
        )

    @property
    def has_ended(self) -> bool:
        """Whether the training is over, well or not."""
        return self.state not in ("queued", "training")

    def summary(self) -> Summary:
        """Return what a list tells of the model."""
        times = (self.created_ms, self.started_ms, self.finished_ms)
        return _summary(self.id, self.state, self.name, self.attempt, times)

    def document(self) -> bytes:
        """Return the model's whole document as JSON."""
        # Spliced, not parsed: a description with many coefficients is megabytes.
        members = msgspec.json.encode(self.summary())[:-1] + b"," + self.description[1:-1]
        members += b',"progress":' + (self.progress or b"null")
        return members + b',"error":' + (self.error or b"null") + b"}"


def _state(stored: bytes) -> State:
    state: State = msgspec.convert(stored.decode(), State)
    return state


# What `read_summary` takes of a record, whose description may have megabytes.
SUMMARY_FIELDS = ("state", "name", "attempt", "created", "started", "finished")


def read_summary(model_id: str, values: Sequence[bytes | None]) -> Summary | None:
    """Build what a list tells of a model from the `SUMMARY_FIELDS` of its hash, if it has them."""
    state, name, attempt, *times = values
    try:
        moments = [int(time) if time else None for time in times]
        told = _state(state or b""), (name or b"").decode() or None, int(attempt or b"")
    except ValueError:
        return None
    return _summary(model_id, *told, moments)


def _summary(
    model_id: str, state: State, name: str | None, attempt: int, times: Sequence[int | None]
) -> Summary:
    path = f"/models/{model_id}"
    created, started, finished = (None if time is None else time_of(time) for time in times)
    return Summary(
        id=model_id,
        name=name,
        state=state,
        created_at=created or "",
        started_at=started,
        finished_at=finished,
        attempts=attempt,
        links=Links(
            self=path,
            events=f"{path}/events",
            predictions=f"{path}/predictions",
            artifact=f"{path}/artifact",
        ),
    )


def not_found(model_id: str) -> ModelNotFound:
    """Return the error for an id that no model has."""
    return ModelNotFound(f"There must be a model {model_id[:64]!r}, there is none.")


def time_of(milliseconds: int) -> str:
    """Return a moment as RFC 3339 writes it, in UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
