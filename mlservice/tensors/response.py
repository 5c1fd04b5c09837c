"""An inference response of the Open Inference Protocol: JSON, perhaps with bytes behind it."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.cutting import in_blocks
from mlservice.schemas import Label, TableWarning
from mlservice.tensors.binary import to_binary
from mlservice.tensors.datatypes import Tensor
from mlservice.tensors.metadata import label_datatype
from mlservice.tensors.plain import to_json
from mlservice.tensors.request import Parameters

_encode = msgspec.json.Encoder().encode


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
    model_version: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    parameters: Annotated[
        Parameters | UnsetType,
        Meta(description="`warnings`, a list in JSON, where there is something to say."),
    ] = UNSET
    outputs: list[Output]


def in_json(tensor: Tensor) -> Output:
    """Return a tensor whose values stand in JSON."""
    return Output(
        name=tensor.name,
        datatype=tensor.datatype,
        shape=list(tensor.shape),
        data=in_blocks(len(tensor.values), 1, lambda part: to_json(tensor.values[part])),
    )


def write(
    outputs: Sequence[tuple[Tensor, bool]],
    *,
    name: str,
    version: str | UnsetType = UNSET,
    identity: str | UnsetType = UNSET,
    warnings: Sequence[TableWarning] = (),
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and how many of its bytes are JSON where not all are.

    Parameters
    ----------
    outputs : sequence of (Tensor, bool)
        Each tensor, and whether it is written as bytes.
    name, version, identity : str
        The model's name and version as they were asked for, and the request's own id.
    warnings : sequence of TableWarning
        They stand in a parameter, which the protocol has no lists for, as JSON.
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
    text = _encode(
        InferenceResponse(
            model_name=name,
            outputs=told,
            model_version=version,
            id=identity,
            parameters={"warnings": _encode(warnings).decode()} if warnings else UNSET,
        )
    )
    if not parts:
        return text, None
    return b"".join([text, *parts]), len(text)


class RowForm:
    """What a model answers for one row in JSON, all of it written but names and numbers."""

    def __init__(self, labels: Sequence[Label]) -> None:
        kind = label_datatype(labels).encode()
        classes = b'"outputs":[{"name":"predict","datatype":"%b","shape":[1],"data":[%b]},'
        shares = b'{"name":"predict_proba","datatype":"FP64","shape":[1,%d],"data":' % len(labels)
        self._tails = [classes % (kind, _encode(label)) + shares for label in labels]

    def fill(
        self,
        best: int,
        shares: list[float],
        name: str,
        version: str | UnsetType,
        identity: str | UnsetType,
    ) -> bytes:
        """Return the answer that `write` gives for the class at `best` and its probabilities."""
        told = b'{"model_name":' + _encode(name)
        if version is not UNSET:
            told += b',"model_version":' + _encode(version)
        if identity is not UNSET:
            told += b',"id":' + _encode(identity)
        return b"%b,%b%b}]}" % (told, self._tails[best], _encode(shares))
