"""What happened to a model, in order: its states, and the progress of its fit."""

from dataclasses import dataclass

from mlservice.store.records import Record

_GOING_ON = (b'"queued"', b'"training"')


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a model.

    Attributes
    ----------
    id : str
        Its place in the stream: milliseconds and a number.
    kind : str
        `state` or `progress`.
    data : bytes
        JSON object.
    """

    id: str
    kind: str
    data: bytes

    @property
    def is_last(self) -> bool:
        """Whether nothing follows."""
        return self.kind == "state" and not any(state in self.data for state in _GOING_ON)

    @classmethod
    def of_end(cls, record: Record) -> "Event":
        """Return the last event of a training that has ended."""
        data = f'{{"state":"{record.state}","attempts":{record.attempt}}}'
        return cls(id=f"{record.finished_ms}-0", kind="state", data=data.encode())

    @classmethod
    def read(cls, stored: tuple[bytes, dict[bytes, bytes]]) -> "Event":
        """Build an event from the store's stream."""
        place, fields = stored
        return cls(id=place.decode(), kind=fields[b"kind"].decode(), data=fields[b"data"])
