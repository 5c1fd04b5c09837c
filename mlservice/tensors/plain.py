"""Tensors as JSON: row by row, flat or nested as the shape is."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice.arrays import is_nested, numbers_of
from mlservice.cutting import Readable
from mlservice.errors import MalformedJson
from mlservice.tensors.datatypes import BF16, BYTES, STORED, Coded, Values, check_count, wrong

_BINARY_ONLY = ("FP16", BF16)
_FLOATS = ("FP32", "FP64")
_LARGEST = {"FP32": float(np.finfo(np.float32).max), "FP64": float(np.finfo(np.float64).max)}


def from_json(data: bytes | msgspec.Raw, datatype: str, shape: Sequence[int], place: str) -> Values:
    """Return the values of a tensor that is written in JSON.

    Parameters
    ----------
    data : bytes
        JSON: a flat list of all elements, or lists in lists as `shape` is. A number is
        one of `datatype`; null is a missing number (FP32, FP64) or a missing text (BYTES).
    datatype : str
        One that has a form in JSON, which FP16 and BF16 have not.
    shape : sequence of int
        Of any size.
    place : str
        Pointer to the tensor.

    Returns
    -------
    ndarray of shape (n,), or list of bytes
        Of FP32 float64: a decimal number is not rounded before it is used.

    Raises
    ------
    MalformedJson
        If lists are nested too deeply.
    InvalidRequest
        If an element is not of the datatype, or there are more or fewer than the shape says.
    """
    if datatype in _BINARY_ONLY:
        raise wrong(f"{place}/datatype", f"{datatype} must be sent as binary data.")
    if datatype in _FLOATS and (values := _fast(data, shape)) is not None:
        check_count(len(values), shape, place)
        _check_range(values, datatype, place)
        return values
    elements = _flat(_parse(data), shape, place)
    check_count(len(elements), shape, place)
    return _values(elements, datatype, place)


def to_json(values: Values | Coded) -> list[Any]:
    """Return values as JSON has them; those of BYTES must be UTF-8."""
    if isinstance(values, Coded):
        told = np.array([text.decode() for text in values.texts], object)
        return list(told[values.codes])
    if not isinstance(values, list):
        return list(values.tolist())
    # Labels are few and stand often.
    texts = {value: value.decode() for value in set(values)}
    return list(map(texts.__getitem__, values))


def _fast(data: Readable, shape: Sequence[int]) -> NDArray[np.float64] | None:
    """Return numbers that are all there, flat or a matrix; or nothing, and no reason."""
    values = numbers_of(data)
    if values is None or (is_nested(data) and values.shape != tuple(shape)):
        return None
    return values.ravel()


def _parse(data: bytes | msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(data)
    except RecursionError as error:
        raise MalformedJson("The body must not be nested this deeply.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedJson(f"The body must be JSON, it is not: {error}.") from error


def _flat(data: Any, shape: Sequence[int], place: str) -> list[Any]:
    """Return all elements in one list, lists in lists taken apart as the shape is."""
    if not isinstance(data, list):
        raise wrong(f"{place}/data", "data must be a list.")
    if not data or not isinstance(data[0], list):
        return data
    if len(data) != shape[0]:
        raise _other_shape(shape, place)
    for size in shape[1:]:
        if not all(isinstance(each, list) and len(each) == size for each in data):
            raise _other_shape(shape, place)
        data = [element for each in data for element in each]
    return list(data)


def _other_shape(shape: Sequence[int], place: str) -> Exception:
    return wrong(f"{place}/data", f"data must be flat, or nested as its shape {list(shape)} is.")


def _values(elements: list[Any], datatype: str, place: str) -> Values:
    if datatype == BYTES:
        _check_types(elements, {str, type(None)}, "a text", place)
        return [(element or "").encode() for element in elements]
    if datatype == "BOOL":
        _check_types(elements, {bool}, "true or false", place)
        return np.array(elements, dtype=np.bool_)
    if datatype in _FLOATS:
        _check_types(elements, {float, int, type(None)}, "a number", place)
        return _numbers(elements, datatype, place)
    _check_types(elements, {int}, "an integer", place)
    return _integers(elements, datatype, place)


def _check_types(elements: list[Any], wanted: set[type], name: str, place: str) -> None:
    if set(map(type, elements)) <= wanted:
        return
    position = next(i for i, element in enumerate(elements) if type(element) not in wanted)
    raise wrong(
        f"{place}/data", f"Each element must be {name}, that at {position} in row order is not."
    )


def _numbers(elements: list[Any], datatype: str, place: str) -> NDArray[np.float64]:
    try:
        values = np.array(elements, dtype=np.float64)
    except OverflowError:
        values = np.array([_as_float(element) for element in elements])
    _check_range(values, datatype, place)
    return values


def _as_float(element: float | None) -> float:
    """Return a number, infinity for an integer that is too large."""
    try:
        return float("nan") if element is None else float(element)
    except OverflowError:
        return float("inf")


def _integers(elements: list[int], datatype: str, place: str) -> NDArray[Any]:
    kind = STORED[datatype]
    try:
        return np.array(elements, dtype=kind)
    except OverflowError:
        limits = np.iinfo(kind)
        fits = [limits.min <= element <= limits.max for element in elements]
        raise _outside(fits.index(False), datatype, place) from None


def _check_range(values: NDArray[np.float64], datatype: str, place: str) -> None:
    outside = np.abs(values) > _LARGEST[datatype]
    if outside.any():
        raise _outside(int(outside.argmax()), datatype, place)


def _outside(position: int, datatype: str, place: str) -> Exception:
    return wrong(
        f"{place}/data", f"Each element must fit in {datatype}, that at {position} does not."
    )
