"""Numbers of lists in JSON as arrays, by simdjson where it is installed; long lists in pieces."""

from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice import simd
from mlservice.cutting import Readable, by_pieces

_SIMD_FROM_BYTES = simd.FROM_BYTES
_HAS_SIMD = simd.HAS_SIMD
# What is raised of a list that has anything but numbers, or lists of different lengths.
_REFUSED = (
    msgspec.MsgspecError, ValueError, TypeError, AttributeError, RuntimeError, RecursionError,
)  # fmt: skip

_floats = msgspec.json.Decoder(list[float])
_nested_floats = msgspec.json.Decoder(list[list[float]])


def numbers_of(text: Readable) -> NDArray[np.float64] | None:
    """Return the numbers of a list, or of lists of as many numbers each.

    Parameters
    ----------
    text : bytes
        What may be such a list in JSON.

    Returns
    -------
    ndarray of shape (n,) or (n, m), or None
        None for anything else, and no reason.
    """
    is_long = len(memoryview(text)) >= _SIMD_FROM_BYTES
    read = _by_simdjson if _HAS_SIMD and is_long else _by_msgspec
    try:
        parts = by_pieces(text, read) or [read(text)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    except _REFUSED:
        return None


def is_nested(text: Readable) -> bool:
    """Tell whether what may be a list begins with a list."""
    begin = bytes(memoryview(text)[:16]).lstrip()
    return begin.startswith(b"[") and begin[1:].lstrip().startswith(b"[")


def _by_simdjson(text: Readable) -> NDArray[np.float64]:
    whole = text if isinstance(text, bytes | bytearray) else bytes(text)
    return simd.read(whole, lambda found: _rectangular(found, simd.lists_in(whole) - 1))


def _rectangular(found: Any, rows: int) -> NDArray[np.float64]:
    # A buffer does not show where the lists within begin and end.
    if rows and (len(found) != rows or len(set(map(len, found))) != 1):
        raise ValueError("Lists in a list must be equally long.")
    values = simd.numbers(found)
    return values.reshape(rows, -1) if rows else values


def _by_msgspec(text: Readable) -> NDArray[np.float64]:
    if not is_nested(text):
        return np.array(_floats.decode(text), dtype=np.float64)
    rows = _nested_floats.decode(text)
    if len(set(map(len, rows))) != 1:
        raise ValueError("Lists in a list must be equally long.")
    return np.fromiter(chain.from_iterable(rows), np.float64).reshape(len(rows), -1)
