"""A model as an ONNX graph of plain operators in float64.

It has one input a feature, by its name and of shape [rows, 1]: float64 with NaN
where a number is missing, or text, empty where it is missing. `label` is of
shape [rows], `probabilities` of [rows, classes], the classes in their order.

A row is prepared step by step as the service prepares it, so that answers agree
to the last digits. A text adds a row of a table of coefficients; that of a
reference is zero, as is the last row, for all that training has not seen. With two
classes the first has zero coefficients, so that there is one way for any number.

The numbers of fields and types are those of onnx.proto.
"""

import json
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from mlservice.model import Model
from mlservice.preparation import Preparation, by_label, encoded, labels
from mlservice.protobuf import message
from mlservice.schemas import Feature, Label

_IR_VERSION, _OPSET, _ML, _ML_OPSET = 8, 17, "ai.onnx.ml", 2
_INT64, _STRING, _BOOL, _DOUBLE = 7, 8, 9, 11
_INT_ATTRIBUTE, _INTS_ATTRIBUTE, _STRINGS_ATTRIBUTE = 2, 7, 8

Array = NDArray[np.float64]


def to_onnx(model: Model) -> bytes:
    """Write a model as an ONNX file, which any runtime of ONNX predicts with."""
    entries = {"target": model.target, "classes": json.dumps(list(model.classes))}
    graph = _Graph(each.name for each in model.features)
    label, probabilities = graph.unused("label"), graph.unused("probabilities")
    scores = _add_scores(graph, model)
    graph.node("Softmax", scores, to=probabilities, axis=1)
    best = graph.node("ArgMax", probabilities, axis=1, keepdims=0)
    kind, classes = _labels(model.classes)
    graph.node("Gather", graph.constant(classes, kind), best, to=label, axis=0)
    inputs = [_shaped(each.name, _kind(each), "rows", 1) for each in model.features]
    outputs = [
        _shaped(label, kind, "rows"),
        _shaped(probabilities, _DOUBLE, "rows", len(model.classes)),
    ]
    return message(
        (1, _IR_VERSION),
        (2, "mlservice"),
        (7, graph.written(inputs, outputs)),
        (8, [message((1, ""), (2, _OPSET)), message((1, _ML), (2, _ML_OPSET))]),
        (14, [message((1, name), (2, text)) for name, text in entries.items()]),
    )


def _add_scores(graph: "_Graph", model: Model) -> str:
    """Add up what numbers and texts give each class; return the name of the sums."""
    preparation = Preparation(model.features)
    coef, intercept = model.coef.T, model.intercept
    if len(model.classes) == 2:
        coef = np.column_stack([np.zeros_like(coef), coef])
        intercept = np.array([0.0, *intercept])
    parts = [graph.constant(intercept[None])]
    width = len(preparation.number_features)
    if width:
        numbers = _add_numbers(graph, preparation)
        parts.append(graph.node("MatMul", numbers, graph.constant(coef[:width])))
    start = width
    for feature in preparation.text_features:
        stop = start + len(encoded(feature))
        parts.append(_add_text(graph, feature, coef[start:stop]))
        start = stop
    return graph.node("Sum", *parts)


def _add_numbers(graph: "_Graph", preparation: Preparation) -> str:
    """Join the numbers to a matrix, fill and scale it; return its name."""
    features = preparation.number_features
    numbers = graph.node("Concat", *[each.name for each in features], axis=1)
    fills = np.array([[np.nan if each.fill is UNSET else each.fill for each in features]])
    if not np.isnan(fills).all():
        missing = graph.node("IsNaN", numbers)
        numbers = graph.node("Where", missing, graph.constant(fills), numbers)
    means, scales = preparation.scales[:, None, : len(features)]
    if any(each.scale is not UNSET for each in features):
        numbers = graph.node("Sub", numbers, graph.constant(means))
        numbers = graph.node("Div", numbers, graph.constant(scales))
    return numbers


def _add_text(graph: "_Graph", feature: Feature, coef: Array) -> str:
    """Look up what a text gives each class, where it was seen; return its name."""
    known = labels(feature)
    place = graph.node(
        "LabelEncoder",
        feature.name,
        domain=_ML,
        keys_strings=known,
        values_int64s=list(range(len(known))),
        default_int64=len(known),
    )
    flat = graph.node("Reshape", place, graph.constant(np.array([-1]), _INT64))
    return graph.node("Gather", graph.constant(by_label(feature, coef)), flat, axis=0)


class _Graph:
    """Nodes and constants; each result has a name that no feature has."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def unused(self, name: str) -> str:
        """Return a name that is not taken yet, and take it."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def constant(self, values: NDArray[np.generic] | list[str], kind: int = _DOUBLE) -> str:
        """Add a constant, and return its name."""
        name = self.unused(f"constant_{len(self._constants)}")
        self._constants.append(_tensor(name, values, kind))
        return name

    def node(
        self,
        operator: str,
        *inputs: str,
        to: str = "",
        domain: str = "",
        **attributes: int | list[int] | list[str],
    ) -> str:
        """Add a node of one result, and return the result's name."""
        result = to or self.unused(f"{operator}_{len(self._nodes)}")
        written = [_attribute(name, value) for name, value in attributes.items()]
        self._nodes.append(
            message((1, inputs), (2, result), (4, operator), (5, written), (7, domain))
        )
        return result

    def written(self, inputs: list[bytes], outputs: list[bytes]) -> bytes:
        """Write the graph."""
        return message(
            (1, self._nodes), (2, "model"), (5, self._constants), (11, inputs), (12, outputs)
        )


def _attribute(name: str, value: int | list[int] | list[str]) -> bytes:
    if isinstance(value, int):
        return message((1, name), (3, value), (20, _INT_ATTRIBUTE))
    if value and isinstance(value[0], str):
        return message((1, name), (9, value), (20, _STRINGS_ATTRIBUTE))
    return message((1, name), (8, value), (20, _INTS_ATTRIBUTE))


def _tensor(name: str, values: NDArray[np.generic] | list[str], kind: int) -> bytes:
    if isinstance(values, list):
        return message((1, len(values)), (2, kind), (6, values), (8, name))
    # Raw data are little-endian, whatever machine this is.
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return message((1, values.shape), (2, kind), (8, name), (9, data))


def _shaped(name: str, kind: int, *shape: int | str) -> bytes:
    dimensions = [message((2 if isinstance(each, str) else 1, each)) for each in shape]
    tensor = message((1, kind), (2, message((1, dimensions))))
    return message((1, name), (2, message((1, tensor))))


def _kind(feature: Feature) -> int:
    return _DOUBLE if feature.kind == "number" else _STRING


def _labels(classes: Sequence[Label]) -> tuple[int, NDArray[np.generic] | list[str]]:
    """Return the classes as a constant, and the type of its members."""
    if isinstance(classes[0], str):
        return _STRING, [str(label) for label in classes]
    if isinstance(classes[0], bool):
        return _BOOL, np.array(classes, dtype=bool)
    return _INT64, np.array(classes, dtype=np.int64)
