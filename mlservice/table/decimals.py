"""Decimal numbers in text, many at once."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice import simd

_CHARACTERS = b"0123456789+-.eE,"
_SIMD_FROM_BYTES = simd.FROM_BYTES
# Lists and spaces, which simdjson would take.
_OTHERS = (b"[", b" ", b"\t", b"\r", b"\n")
_HAS_SIMD = simd.HAS_SIMD

_numbers = msgspec.json.Decoder(list[float])
_with_missing = msgspec.json.Decoder(list[float | None])


def read_decimals(text: bytes, count: int) -> NDArray[np.float64] | None:
    """Read numbers that are separated by commas.

    Parameters
    ----------
    text : bytes
        ASCII digits, sign, point and exponent; nothing between two commas is missing,
        and so is `NA`.
    count : int
        How many there are.

    Returns
    -------
    ndarray of shape (count,) or None
        NaN where one is missing, infinity where one does not fit in float64;
        None if any of them is no decimal number, or they are not `count`.
    """
    values = read_plain_decimals(text)
    if values is None:
        if b"NA" in text:
            text = _without_na(text)
        if text.translate(None, _CHARACTERS):
            return None
        values = _values(text)
    return values if values is not None and len(values) == count else None


def read_plain_decimals(text: bytes) -> NDArray[np.float64] | None:
    """Read many numbers that are separated by commas and written as JSON writes them.

    Returns
    -------
    ndarray or None
        None if there is anything else, nothing between two commas, or a number that does not
        fit in float64; or if the text is short, or simdjson is not installed.
    """
    # What else JSON's grammar has makes simdjson refuse a list of numbers.
    if not _HAS_SIMD or len(text) < _SIMD_FROM_BYTES or any(each in text for each in _OTHERS):
        return None
    try:
        return simd.read(b"[%b]" % text, simd.numbers)
    # The last one is for integers beyond 64 bits.
    except (ValueError, TypeError, RuntimeError):
        return None


def _values(text: bytes) -> NDArray[np.float64] | None:
    try:
        # JSON's grammar covers nearly all decimals; its reader is four times as fast as float().
        if not text or text.startswith(b",") or text.endswith(b",") or b",," in text:
            text = _with_nulls(text)
            return np.array(_with_missing.decode(b"[" + text + b"]"), np.float64)
        numbers = _numbers.decode(b"[" + text + b"]")
        return np.fromiter(numbers, np.float64, len(numbers))
    except msgspec.DecodeError:
        return _read_others(text)


def _without_na(text: bytes) -> bytes:
    # Twice, since matches do not overlap.
    text = b",%b," % text
    return text.replace(b",NA,", b",,").replace(b",NA,", b",,")[1:-1]


def _with_nulls(text: bytes) -> bytes:
    # Twice, since matches do not overlap.
    text = text.replace(b",,", b",null,").replace(b",,", b",null,")
    if text.startswith(b","):
        text = b"null" + text
    return text + b"null" if text.endswith(b",") or not text else text


def _read_others(text: bytes) -> NDArray[np.float64] | None:
    """Read what JSON does not know: `+1`, `.5`, `5.`, `007`, and numbers too large."""
    try:
        return np.array([_float(cell) for cell in text.split(b",")], np.float64)
    except ValueError:
        return None


def _float(cell: bytes) -> float:
    if cell == b"null":
        return math.nan
    value = float(cell)
    # As in JSON, -0 is an integer and has no sign; -0.0 has one.
    return value if value or {*b".eE"} & {*cell} else 0.0
