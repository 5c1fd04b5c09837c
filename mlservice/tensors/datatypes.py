"""Datatypes and shapes of tensors, as the Open Inference Protocol names them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import Fault, InvalidRequest

BYTES = "BYTES"
BF16 = "BF16"

# How an element stands in bytes: little-endian, without padding. numpy has no BF16, whose
# bits are the upper half of those of FP32; BYTES has elements of any length.
STORED: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    BF16: np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
DATATYPES = (*STORED, BYTES)
LARGEST_DIMENSION = 2**64 - 1
MOST_DIMENSIONS = 32

Values = NDArray[Any] | list[bytes]


@dataclass(frozen=True)
class Coded:
    """Texts that stand often, such as labels.

    Attributes
    ----------
    texts : tuple of bytes
        Each once, in UTF-8.
    codes : ndarray of shape (n,)
        Position of each value's text.
    """

    texts: tuple[bytes, ...]
    codes: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, part: slice) -> "Coded":
        return Coded(self.texts, self.codes[part])

    def __iter__(self) -> Iterator[bytes]:
        return map(self.texts.__getitem__, self.codes.tolist())


@dataclass(frozen=True)
class Tensor:
    """A named array.

    Attributes
    ----------
    datatype : str
        One of `DATATYPES`.
    shape : tuple of int
        Its product is the number of values.
    values : ndarray of shape (n,), list of bytes, or Coded
        All of them, row by row; one of the latter two for BYTES.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values | Coded


def wrong(pointer: str, detail: str) -> InvalidRequest:
    """Return the error for a part of a request that is wrong."""
    return InvalidRequest(detail, errors=[Fault(pointer=pointer, detail=detail)])


def check_datatype(datatype: str, place: str) -> None:
    """Refuse a datatype that there is not.

    Raises
    ------
    InvalidRequest
        If it is none of `DATATYPES`.
    """
    if datatype not in DATATYPES:
        raise wrong(
            f"{place}/datatype",
            f"A datatype must be one of {', '.join(DATATYPES)}, it is {datatype[:64]!r}.",
        )


def count_of(shape: Sequence[int], place: str) -> int:
    """Return how many elements a shape has; its dimensions may be of any size.

    Raises
    ------
    InvalidRequest
        If a dimension is not an unsigned 64-bit integer, or there are more than 32.
    """
    if len(shape) > MOST_DIMENSIONS:
        raise wrong(
            f"{place}/shape",
            f"A shape must have at most {MOST_DIMENSIONS} dimensions, it has {len(shape)}.",
        )
    for position, size in enumerate(shape):
        if not 0 <= size <= LARGEST_DIMENSION:
            raise wrong(
                f"{place}/shape/{position}",
                f"A dimension must be an unsigned 64-bit integer, it is {_shown(size)}.",
            )
    # Python's integers do not overflow, so no product is taken for a smaller one.
    return prod(shape)


def check_count(found: int, shape: Sequence[int], place: str) -> None:
    """Refuse data of another size than their shape says.

    Raises
    ------
    InvalidRequest
        If there are more or fewer.
    """
    if found != (count := count_of(shape, place)):
        raise wrong(
            f"{place}/data",
            f"data must have {_shown(count)} elements for this shape, it has {found}.",
        )


def _shown(number: int) -> str:
    return str(number) if abs(number) < 10**30 else f"a number of {len(str(number))} digits"
