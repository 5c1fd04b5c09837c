"""The members of a stored model as msgpack has them, each checked by itself.

What is read takes little more memory than its bytes, whatever they claim to be:
nothing is built but what the types below say.
"""

import math
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from mlservice.catalogue import Solver
from mlservice.errors import BrokenModel
from mlservice.schemas import Feature, Label, label_name

T = TypeVar("T")

# The most labels or features that are read, before any setting has its say.
_MOST = 200_000
_MAX_PROVENANCE_BYTES, _MAX_DEPTH = 1 << 16, 8
_TYPES: dict[str, type] = {"text": str, "integer": int, "boolean": bool}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_Label = str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | bool
# scikit-learn keeps them as int32.
_Iterations = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Array(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of float64, little-endian, in C order."""

    shape: Annotated[list[int], Meta(max_length=2)]
    data: bytes


class Classes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The target's values."""

    type: Literal["text", "integer", "boolean"]
    labels: Annotated[list[_Label], Meta(max_length=_MOST)]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The estimator's parameters, as `params.resolve` gives them."""

    C: float | None
    l1_ratio: float
    solver: Solver
    dual: bool
    tol: float
    fit_intercept: bool
    intercept_scaling: float
    class_weight: dict[str, float] | Literal["balanced"] | None
    random_state: int
    max_iter: int


class Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one map that a stored model is."""

    format: Literal["mlservice.model"]
    version: int
    features: Annotated[list[Feature], Meta(max_length=_MOST)]
    target: str
    classes: Classes
    coef: Array
    intercept: Array
    n_iter: Annotated[list[_Iterations], Meta(max_length=_MOST)]
    params: Params
    provenance: msgspec.Raw
    profile: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Header(msgspec.Struct, frozen=True):
    format: Literal["mlservice.model"]
    version: int


_stored = msgspec.msgpack.Decoder(Stored)
_header = msgspec.msgpack.Decoder(_Header)


def parse(data: bytes, *, newest: int) -> Stored:
    """Read a stored model's members.

    Parameters
    ----------
    newest : int
        The newest version of the form that is known.

    Raises
    ------
    BrokenModel
        If the bytes are not msgpack, of another format or a newer version, or
        a member is of the wrong type.
    """
    try:
        stored = _stored.decode(data)
    except msgspec.ValidationError as error:
        _check_version(data, newest)
        raise _disagreement(f"{error}") from error
    except _UNREADABLE as error:
        raise BrokenModel(f"The model must be msgpack, it is not: {error}.") from error
    _check_version(data, newest)
    return stored


def _check_version(data: bytes, newest: int) -> None:
    """Refuse another version by its number: its members are others as well."""
    try:
        version = _header.decode(data).version
    except _UNREADABLE:
        return
    known = 1 <= version <= newest
    must(known, f"formats 1 to {newest} are read, it is of format {version}")


def read_labels(stored: Classes) -> tuple[Label, ...]:
    """Return the classes: two or more of one type, ascending."""
    classes = tuple(stored.labels)
    must(all(type(label) is _TYPES[stored.type] for label in classes), "labels differ in type")
    ascending = len(classes) >= 2 and list(classes) == sorted(set(classes))
    must(ascending, "classes are not two or more in ascending order")
    return classes


def kind_of(classes: tuple[Label, ...]) -> str:
    """Return the name of the classes' type."""
    return next(name for name, type_ in _TYPES.items() if type(classes[0]) is type_)


def read_params(params: Params, classes: tuple[Label, ...]) -> dict[str, Any]:
    """Return the parameters, whose numbers are finite and whose weights are of classes."""
    numbers = [params.C or 0.0, params.l1_ratio, params.tol, params.intercept_scaling]
    if isinstance(params.class_weight, dict):
        known = {label_name(label) for label in classes}
        must(params.class_weight.keys() <= known, "class_weight names what is no class")
        numbers += params.class_weight.values()
    must(all(map(math.isfinite, numbers)), "a parameter is not finite")
    # scikit-learn would predict one class against the others, which no training here gives.
    is_told = params.solver != "liblinear" or len(classes) == 2
    must(is_told, "the solver liblinear takes two classes")
    return msgspec.structs.asdict(params)


def read_array(array: Array, ndim: int) -> NDArray[np.float64]:
    """Return an array of so many dimensions, its numbers finite."""
    must(len(array.shape) == ndim and min(array.shape) >= 1, "an array has the wrong shape")
    size = 8
    for length in array.shape:
        size *= length
    must(size == len(array.data), "an array's bytes do not fit its shape")
    values = np.frombuffer(array.data, "<f8").astype(np.float64).reshape(array.shape)
    must(bool(np.isfinite(values).all()), "a coefficient is not finite")
    return values


def read_provenance(raw: msgspec.Raw) -> dict[str, Any]:
    """Return what JSON can say as well, of 64 KiB at most and not nested deeply."""
    must(len(raw) <= _MAX_PROVENANCE_BYTES, "provenance is too large")
    try:
        provenance = msgspec.msgpack.decode(raw, type=dict[str, Any])
    except _UNREADABLE as error:
        raise _disagreement(f"provenance: {error}") from error
    must(_is_plain(provenance, _MAX_DEPTH), "provenance holds what JSON cannot say")
    return provenance


def read_member(decoder: "msgspec.msgpack.Decoder[T]", raw: msgspec.Raw) -> T:
    """Return a member that is decoded by itself."""
    try:
        return decoder.decode(raw)
    except _UNREADABLE as error:
        raise _disagreement(f"{error}") from error


def _is_plain(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        texts = all(isinstance(name, str) for name in value)
        return texts and _is_plain(list(value.values()), depth)
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(each, depth - 1) for each in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def must(holds: bool, otherwise: str) -> None:
    """Refuse a model of which something does not hold.

    Raises
    ------
    BrokenModel
        With what was found otherwise.
    """
    if not holds:
        raise _disagreement(otherwise)


def _disagreement(found: str) -> BrokenModel:
    return BrokenModel(f"The model does not agree with itself: {found}.")
