"""An inference request of the Open Inference Protocol: JSON, perhaps with bytes behind it.

The header `Inference-Header-Content-Length` says how many bytes are JSON; the
tensors that are sent as bytes follow in the order of `inputs`. It is 0 where all
of the body is one tensor. Some clients write null for each member that they leave out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.errors import MalformedBody
from mlservice.schemas import read_json
from mlservice.tensors.binary import from_binary
from mlservice.tensors.datatypes import Tensor, check_datatype, wrong
from mlservice.tensors.plain import from_json

HEADER_LENGTH = "Inference-Header-Content-Length"

Parameters = dict[str, str | int | float | bool]
_Parameters = dict[str, str | int | float | bool | None] | None

_is_length = re.compile(r"[0-9]{1,10}", re.ASCII).fullmatch
_LARGEST_LENGTH = 2**31 - 1
_SIZE = "binary_data_size"
_SHARED = "shared_memory_region"


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor that is sent: its values in JSON, or as bytes behind the JSON."""

    name: str
    shape: Annotated[list[int], Meta(description="Any 64-bit dimensions.", min_length=1)]
    datatype: str
    parameters: Annotated[
        _Parameters, Meta(description="`binary_data_size` where the values are bytes.")
    ] = None
    data: Annotated[
        msgspec.Raw | UnsetType, Meta(description="Row by row, flat or nested as the shape is.")
    ] = UNSET


class RequestedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor that is asked for."""

    name: str
    parameters: Annotated[
        _Parameters, Meta(description="`binary_data` or `classification`, if need be.")
    ] = None


class InferenceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of an inference."""

    inputs: Annotated[list[Input], Meta(min_length=1)]
    id: Annotated[str | None, Meta(description="It comes back.")] = None
    parameters: Annotated[
        _Parameters, Meta(description="`binary_data_output` asks for all outputs as bytes.")
    ] = None
    outputs: Annotated[
        list[RequestedOutput] | None, Meta(description="All of them if left out.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class WantedOutput:
    """How an output is to be answered.

    Attributes
    ----------
    binary : bool
        Whether as bytes behind the JSON.
    classification : int
        How many of the likeliest classes are told as texts; 0: the tensor itself.
    """

    name: str
    binary: bool
    classification: int = 0


_request = msgspec.json.Decoder(InferenceRequest)


def split(body: bytes | bytearray, length: str | None) -> tuple[memoryview, memoryview]:
    """Return the JSON of a body, and the bytes behind it.

    Parameters
    ----------
    length : str or None
        The header that says how many bytes are JSON; without it all are.

    Raises
    ------
    MalformedBody
        If the header is no such number.
    """
    view = memoryview(body)
    if length is None:
        return view, view[:0]
    if not _is_length(length) or int(length) > min(len(view), _LARGEST_LENGTH):
        raise MalformedBody(
            f"{HEADER_LENGTH} must be a number of the body's {len(view)} bytes, "
            f"it is {length[:64]!r}."
        )
    return view[: int(length)], view[int(length) :]


def read_request(text: bytes | memoryview) -> InferenceRequest:
    """Read the JSON of an inference, without judging the values of its tensors.

    Raises
    ------
    MalformedJson
        If it is not JSON, or nested too deeply to be read.
    InvalidRequest
        If a member is missing or of the wrong type, or a parameter is one that is reserved.
    """
    request = read_json(_request, text)
    for name in request.parameters or ():
        if name.startswith("triton_"):
            raise wrong("/parameters", f"A parameter must not be named {name[:64]!r}.")
    return request


def read_tensors(inputs: Sequence[Input], rest: memoryview) -> list[Tensor]:
    """Return the tensors of a request.

    Parameters
    ----------
    rest : memoryview
        The bytes behind the JSON.

    Raises
    ------
    MalformedJson
        If values are nested too deeply.
    InvalidRequest
        If a tensor's values do not fit its datatype and shape, one stands twice, or
        bytes are left over.
    """
    tensors: dict[str, Tensor] = {}
    for position, sent in enumerate(inputs):
        place = f"/inputs/{position}"
        if sent.name in tensors:
            raise wrong(f"{place}/name", f"Inputs must differ, {sent.name[:64]!r} stands twice.")
        size = _binary_size(sent, place)
        if size > len(rest):
            raise wrong(
                f"{place}/parameters/{_SIZE}",
                f"{_SIZE} must be at most what is left of the body, {len(rest)}, it is {size}.",
            )
        tensors[sent.name] = _read(sent, rest[:size], place)
        rest = rest[size:]
    if len(rest):
        raise wrong("/inputs", f"No bytes may be left over, there are {len(rest)} more.")
    return list(tensors.values())


def _read(sent: Input, data: memoryview, place: str) -> Tensor:
    check_datatype(sent.datatype, place)
    if sent.data is UNSET:
        values = from_binary(data, sent.datatype, sent.shape, place)
    else:
        values = from_json(sent.data, sent.datatype, sent.shape, place)
    return Tensor(sent.name, sent.datatype, tuple(sent.shape), values)


def _binary_size(sent: Input, place: str) -> int:
    """Return how many bytes behind the JSON are the tensor's."""
    given = _given(sent.parameters)
    if _SHARED in given:
        raise wrong(f"{place}/parameters/{_SHARED}", "Data must be sent, no memory is shared.")
    if (_SIZE in given) == (sent.data is not UNSET):
        raise wrong(place, f"An input must have either data or the parameter {_SIZE}.")
    return _whole(given, _SIZE, 0, place) if _SIZE in given else 0


def _given(parameters: _Parameters) -> Parameters:
    return {name: value for name, value in (parameters or {}).items() if value is not None}


def read_wanted(request: InferenceRequest, known: Sequence[str]) -> list[WantedOutput]:
    """Return the outputs that a request asks for, all in their order if it names none.

    Raises
    ------
    InvalidRequest
        If one is unknown or named twice, or a parameter of them is wrong.
    """
    binary = _switch(_given(request.parameters), "binary_data_output", False, "")
    if not request.outputs:
        return [WantedOutput(name=name, binary=binary) for name in known]
    wanted: dict[str, WantedOutput] = {}
    for position, asked in enumerate(request.outputs):
        place = f"/outputs/{position}"
        if asked.name not in known or asked.name in wanted:
            raise wrong(
                f"{place}/name",
                f"Each output must be one of {', '.join(known)}, and stand once; "
                f"it is {asked.name[:64]!r}.",
            )
        given = _given(asked.parameters)
        wanted[asked.name] = WantedOutput(
            name=asked.name,
            binary=_switch(given, "binary_data", binary, place),
            classification=_whole(given, "classification", 1, place)
            if "classification" in given
            else 0,
        )
    return list(wanted.values())


def _switch(parameters: Mapping[str, object], name: str, default: bool, place: str) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise wrong(f"{place}/parameters/{name}", f"{name} must be true or false.")
    return value


def _whole(parameters: Mapping[str, object], name: str, least: int, place: str) -> int:
    value = parameters[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise wrong(f"{place}/parameters/{name}", f"{name} must be an integer of {least} or more.")
    return value
