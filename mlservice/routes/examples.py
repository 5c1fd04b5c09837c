"""Bodies that may be sent as they are: a training, and what its model can be asked."""

from typing import Any

from mlservice.sent import CSV, JSON

ROW: dict[str, Any] = {"length": 4.7, "width": 1.4}
_LENGTHS = [1.4, 1.3, 1.5, 1.7, 1.6, 1.5, 4.7, 4.5, 4.9, 4.0, 4.6, 3.3]
_WIDTHS = [0.2, 0.2, 0.4, 0.3, 0.2, 0.1, 1.4, 1.5, 1.5, 1.3, 1.5, 1.0]
_SPECIES = ["setosa"] * 6 + ["versicolor"] * 6
_LINES = zip(_LENGTHS, _WIDTHS, _SPECIES, strict=True)
_ROWS = [[4.7, 1.4], [1.5, 0.2]]
_CSV = "length,width\n4.7,1.4\n1.5,0.2\n"

TRAINING: dict[str, Any] = {
    JSON: {
        "data": {"length": _LENGTHS, "width": _WIDTHS, "species": _SPECIES},
        "target": "species",
        "name": "flowers",
        "params": {"C": 0.5},
    },
    CSV: "length,width,species\n"
    + "".join(f"{length},{width},{species}\n" for length, width, species in _LINES),
}
PREDICTIONS: dict[str, Any] = {
    JSON: {"data": {"length": [4.7, 1.5], "width": [1.4, 0.2]}},
    CSV: _CSV,
}
INFERENCE: dict[str, Any] = {
    JSON: {"inputs": [{"name": "input", "shape": [2, 2], "datatype": "FP64", "data": _ROWS}]}
}
INSTANCES: dict[str, Any] = {JSON: {"instances": _ROWS}}
CLASSIFIED: dict[str, Any] = {JSON: {"examples": [ROW]}}
INVOCATION: dict[str, Any] = {
    JSON: {"dataframe_split": {"columns": ["length", "width"], "data": _ROWS}},
    CSV: _CSV,
}
