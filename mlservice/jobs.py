"""The contract between service and workers: task name, payload, serializer.

arq only dispatches: an entry names a model and an attempt, never data, and its
arq id is `{model}:{attempt}`, so that arq's own locks, counters and expiry
concern one attempt only. Everything is msgpack; arq's default would be pickle.
"""

from typing import Any, NamedTuple

import msgpack
from arq.jobs import serialize_job

TASK = "train"


class Entry(NamedTuple):
    """One entry of arq's queue."""

    id: str
    payload: bytes


def entry(model_id: str, attempt: int) -> Entry:
    """Build the entry that lets a worker run one attempt of a training."""
    payload = serialize_job(TASK, (model_id, attempt), {}, None, 0, serializer=pack)
    return Entry(entry_id(model_id, attempt), payload)


def entry_id(model_id: str, attempt: int) -> str:
    """Return arq's id of one attempt."""
    return f"{model_id}:{attempt}"


def pack(value: object) -> bytes:
    """Serialize arq's job or result; an exception becomes its type and text."""
    return msgpack.packb(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        # A file name in it may hold surrogates, which UTF-8 cannot.
        message = str(value)[:1000].encode(errors="replace").decode()
        return {"type": type(value).__name__, "message": message}
    raise TypeError(f"{type(value).__name__} cannot be an argument of a job.")


def unpack(data: bytes) -> Any:
    """Read what `pack` wrote, within limits that no entry of ours reaches."""
    return msgpack.unpackb(
        data,
        raw=False,
        strict_map_key=True,
        max_str_len=4096,
        max_array_len=64,
        max_map_len=64,
        max_bin_len=65536,
        max_ext_len=0,
    )
