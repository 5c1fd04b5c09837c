"""Tensors as bytes: little-endian, row by row, without padding.

An element of BYTES is its length, four bytes without a sign, and then as many bytes.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import InvalidRequest
from mlservice.tensors.datatypes import (
    BF16,
    BYTES,
    STORED,
    Coded,
    Values,
    check_count,
    count_of,
    wrong,
)

_LENGTH = struct.Struct("<I")


def from_binary(data: memoryview, datatype: str, shape: Sequence[int], place: str) -> Values:
    """Return the values of a tensor that stands in bytes.

    Parameters
    ----------
    data : memoryview
        All of the tensor's bytes and no other.
    place : str
        Pointer to the tensor.

    Returns
    -------
    ndarray of shape (n,), or list of bytes
        Of BF16 float32, else of the datatype; it shares memory with `data`.

    Raises
    ------
    InvalidRequest
        If there are more or fewer bytes than the shape says, or a BOOL is neither 0 nor 1.
    """
    if datatype == BYTES:
        elements = _elements(data, place)
        check_count(len(elements), shape, place)
        return elements
    kind = STORED[datatype]
    if len(data) != (size := count_of(shape, place) * kind.itemsize):
        raise _wrong_size(place, f"{size} for this shape, it is {len(data)}")
    if datatype == "BOOL" and (np.frombuffer(data, np.uint8) > 1).any():
        raise wrong(place, "Each byte of a BOOL must be 0 or 1.")
    values = np.frombuffer(data, kind)
    return from_bf16(values) if datatype == BF16 else values


def to_binary(values: Values | Coded, datatype: str) -> bytes:
    """Return the bytes of a tensor; of BF16 the nearest, ties to even."""
    if isinstance(values, list):
        return b"".join([_LENGTH.pack(len(value)) + value for value in values])
    if isinstance(values, Coded):
        whole = [_LENGTH.pack(len(text)) + text for text in values.texts]
        return b"".join([whole[code] for code in values.codes.tolist()])
    if datatype == BF16:
        return to_bf16(values).tobytes()
    return np.ascontiguousarray(values, STORED[datatype]).tobytes()


def from_bf16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """Return the numbers whose upper halves these are."""
    return (bits.astype("<u4") << 16).view("<f4")


def to_bf16(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Return the upper halves of numbers as FP32, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4").astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # Rounding a number that is none could make it infinite.
    return np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2")


def _elements(data: memoryview, place: str) -> list[bytes]:
    found, start, size = [], 0, len(data)
    while start < size:
        if size - start < _LENGTH.size:
            raise _wrong_size(place, f"whole, {size - start} bytes are left for a length of 4")
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        if size - start < length:
            raise _wrong_size(place, f"whole, {size - start} bytes are left for a text of {length}")
        found.append(bytes(data[start : start + length]))
        start += length
    return found


def _wrong_size(place: str, said: str) -> InvalidRequest:
    return wrong(f"{place}/parameters/binary_data_size", f"binary_data_size must be {said}.")
