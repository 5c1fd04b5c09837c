"""An inference response of the Open Inference Protocol: JSON, perhaps with bytes behind it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from mlservice.tensors.binary import to_binary
from mlservice.tensors.datatypes import Tensor
from mlservice.tensors.plain import to_json
from mlservice.tensors.request import Parameters


class Output(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tensor that is answered: its values in JSON, or as bytes behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters | UnsetType = UNSET
    data: list[Any] | UnsetType = UNSET


class InferenceResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON of an inference's answer."""

    model_name: str
    outputs: list[Output]
    model_version: str | UnsetType = UNSET
    id: str | UnsetType = UNSET


def in_json(tensor: Tensor) -> Output:
    """Return a tensor whose values stand in JSON."""
    return Output(
        name=tensor.name,
        datatype=tensor.datatype,
        shape=list(tensor.shape),
        data=to_json(tensor.values),
    )


def write(
    outputs: Sequence[tuple[Tensor, bool]],
    *,
    name: str,
    version: str | UnsetType = UNSET,
    identity: str | UnsetType = UNSET,
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and how many of its bytes are JSON where not all are.

    Parameters
    ----------
    outputs : sequence of (Tensor, bool)
        Each tensor, and whether it is written as bytes.
    name, version, identity : str
        The model's name and version as they were asked for, and the request's own id.
    """
    parts: list[bytes] = []
    told: list[Output] = []
    for tensor, binary in outputs:
        if not binary:
            told.append(in_json(tensor))
            continue
        parts.append(to_binary(tensor.values, tensor.datatype))
        told.append(
            Output(
                name=tensor.name,
                datatype=tensor.datatype,
                shape=list(tensor.shape),
                parameters={"binary_data_size": len(parts[-1])},
            )
        )
    text = msgspec.json.encode(
        InferenceResponse(model_name=name, outputs=told, model_version=version, id=identity)
    )
    if not parts:
        return text, None
    return b"".join([text, *parts]), len(text)
