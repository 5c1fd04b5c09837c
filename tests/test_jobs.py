"""Entries of arq's queue."""

import msgpack
import pytest
from arq.jobs import deserialize_job_raw

from mlservice import jobs


def test_entry_names_model_and_attempt_and_nothing_else() -> None:
    """An entry tells arq to run the task `train` with a model's id and an attempt."""
    entry = jobs.entry("m-1", 2)

    function, args, kwargs, *_ = deserialize_job_raw(entry.payload, deserializer=jobs.unpack)
    assert entry.id == "m-1:2"
    assert (function, list(args), kwargs) == ("train", ["m-1", 2], {})


def test_attempts_of_a_model_have_different_entries() -> None:
    """arq's locks and counters concern one attempt only."""
    assert jobs.entry_id("m", 1) != jobs.entry_id("m", 2)


def test_what_is_packed_is_unpacked() -> None:
    """Plain values survive the queue."""
    value = {"a": [1, 2.5, None, True, "x", b"y"]}

    assert jobs.unpack(jobs.pack(value)) == value


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no"), {"type": "ValueError", "message": "no"}),
        (OSError("x" * 5000), {"type": "OSError", "message": "x" * 1000}),
        (OSError("\udc80"), {"type": "OSError", "message": "?"}),
        (OSError("\U0001f600" * 5000), {"type": "OSError", "message": "\U0001f600" * 1000}),
    ],
)
def test_exception_becomes_its_type_and_text(error: Exception, told: dict[str, str]) -> None:
    """An exception is stored as text, never as code that is run when it is read."""
    assert jobs.unpack(jobs.pack({"r": error})) == {"r": told}


def test_object_is_not_packed() -> None:
    """What is no plain value is refused instead of pickled."""
    with pytest.raises(TypeError, match="object cannot be an argument"):
        jobs.pack(object())


@pytest.mark.parametrize(
    "value",
    ["x" * 4097, [0] * 65, {str(i): i for i in range(65)}, b"x" * 65537, msgpack.ExtType(1, b"x")],
)
def test_oversized_entry_is_refused(value: object) -> None:
    """Nothing larger than an entry of ours is built in memory."""
    with pytest.raises(ValueError, match="exceeds"):
        jobs.unpack(msgpack.packb(value))


def test_pickle_is_not_read() -> None:
    """Bytes of a pickle are no entry."""
    with pytest.raises(ValueError, match=r"unpack|extra"):
        jobs.unpack(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01x\x94.")
