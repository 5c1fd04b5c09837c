"""What the Open Inference Protocol tells of a server and its models."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mlservice.schemas import Feature, Label

# The extensions, by Triton's names.
EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "model_repository",
              "statistics")  # fmt: skip
PLATFORM = "mlservice_msgpack"
# A model of numbers takes one matrix, whatever its name is; this is the one that is told.
INPUT = "input"
CLASSES = "predict"
PROBABILITIES = "predict_proba"
OUTPUTS = (CLASSES, PROBABILITIES)

_OF_LABELS: Mapping[type, str] = {str: "BYTES", int: "INT64", bool: "BOOL"}
# Triton's configuration has its own word for it.
_CONFIG_TYPES = {"BYTES": "STRING"}


class ServerMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Which server this is, and what it does beside the protocol's core."""

    name: str
    version: str
    extensions: tuple[str, ...] = EXTENSIONS


class TensorMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor of a model; -1 stands for the number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """A model's versions and tensors."""

    name: str
    versions: list[str]
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    platform: str = PLATFORM


class ModelReadiness(msgspec.Struct, frozen=True, kw_only=True):
    """The model can predict."""

    name: str
    ready: bool = True


class ModelNames(msgspec.Struct, frozen=True, kw_only=True):
    """The aliases, and the newest models."""

    models: list[str]


class IndexRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which models an index is to have."""

    ready: bool = False


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the index."""

    name: str
    version: str
    state: str
    reason: str = ""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The model is in memory."""

    name: str
    load: bool = True


class Unloaded(msgspec.Struct, frozen=True, kw_only=True):
    """The model is not in memory, until it is asked again."""

    name: str
    unload: bool = True


class ConfigTensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor in a configuration; its first dimension, the rows, is left out."""

    name: str
    data_type: str
    dims: list[int]


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A model's tensors as Triton's configuration has them."""

    name: str
    input: list[ConfigTensor]
    output: list[ConfigTensor]
    platform: str = PLATFORM
    backend: str = "mlservice"
    # Any number of rows; 0 would mean that there is no dimension of rows.
    max_batch_size: int = 2**31 - 1


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and for how many nanoseconds in all."""

    count: int = 0
    ns: int = 0


class InferenceTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How often a model was asked, and how long it took."""

    success: Timed
    fail: Timed


class ModelStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has predicted by a model since its start, in whatever protocol."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceTimes
    batch_stats: list[Any] = []


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of some models."""

    model_stats: list[ModelStatistics]


def label_datatype(labels: Sequence[Label]) -> str:
    """Return the datatype of a model's classes."""
    return _OF_LABELS[type(labels[0])]


def inputs_of(features: Sequence[Feature]) -> list[TensorMetadata]:
    """Return the tensors that a model takes: one matrix, or one a feature if some are text."""
    if all(feature.kind == "number" for feature in features):
        return [TensorMetadata(name=INPUT, datatype="FP64", shape=[-1, len(features)])]
    return [
        TensorMetadata(
            name=feature.name,
            datatype="FP64" if feature.kind == "number" else "BYTES",
            shape=[-1],
        )
        for feature in features
    ]


def outputs_of(labels: Sequence[Label]) -> list[TensorMetadata]:
    """Return the tensors that a model answers."""
    return [
        TensorMetadata(name=CLASSES, datatype=label_datatype(labels), shape=[-1]),
        TensorMetadata(name=PROBABILITIES, datatype="FP64", shape=[-1, len(labels)]),
    ]


def configured(tensor: TensorMetadata) -> ConfigTensor:
    """Return a tensor as Triton's configuration has it."""
    kind = _CONFIG_TYPES.get(tensor.datatype, tensor.datatype)
    # Triton takes no tensor without a dimension beside that of the rows.
    dims = tensor.shape[1:] or [1]
    return ConfigTensor(name=tensor.name, data_type=f"TYPE_{kind}", dims=dims)
