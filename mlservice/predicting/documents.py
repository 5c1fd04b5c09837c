"""Answers as one document: JSON, msgpack or an Arrow stream."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgpack
import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from mlservice.cutting import in_blocks
from mlservice.predicting.answer import Answer
from mlservice.predicting.explaining import explained_classes, intercepts
from mlservice.schemas import Label, TableWarning
from mlservice.table import check_installed


class Predictions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The classes of a table's rows, in its order, and the probability of each class."""

    model: str
    predictions: list[Label]
    classes: Annotated[list[Label], Meta(description="What the columns of `probabilities` are.")]
    probabilities: list[list[float]]
    top: Annotated[
        list[list[Label]] | UnsetType,
        Meta(description="With `top`, the classes that each row's `probabilities` are of."),
    ] = UNSET
    intercept: Annotated[
        dict[str, float] | UnsetType,
        Meta(description="With `explain`, the log-odds that no feature adds, by class."),
    ] = UNSET
    contributions: Annotated[
        list[dict[str, dict[str, float]]] | UnsetType,
        Meta(description="With `explain`, what each feature adds, by row and class."),
    ] = UNSET
    warnings: list[TableWarning]


_encode = msgspec.json.Encoder().encode


def in_json(model: str, answer: Answer, warnings: list[TableWarning]) -> bytes:
    """Write an answer as JSON, block by block where it is long."""
    shares = answer.probabilities
    probabilities = in_blocks(len(shares), shares.shape[1], lambda part: shares[part].tolist())
    members = _members(model, answer, probabilities, warnings, in_blocks)
    return _encode(Predictions(**members)) + b"\n"


def in_msgpack(model: str, answer: Answer, warnings: list[TableWarning]) -> bytes:
    """Write an answer as msgpack, its probabilities as one array's bytes."""
    probabilities = {
        "dtype": "<f8",
        "shape": list(answer.probabilities.shape),
        "data": answer.probabilities.astype("<f8", copy=False).tobytes(),
    }
    members = _members(model, answer, probabilities, warnings, _at_once)
    members["warnings"] = msgspec.to_builtins(warnings)
    return msgpack.packb(members)


def _at_once(_: int, __: int, listed: Callable[[slice], list[Any]]) -> list[Any]:
    return listed(slice(None))


def _members(
    model: str,
    answer: Answer,
    probabilities: Any,
    warnings: list[TableWarning],
    written: Callable[[int, int, Callable[[slice], list[Any]]], Any],
) -> dict[str, Any]:
    scorer, rows = answer.form.scorer, len(answer.positions)
    told: dict[str, Any] = {
        "model": model,
        "predictions": written(rows, 1, answer.labels_of),
        "classes": scorer.labels,
        "probabilities": probabilities,
        "warnings": warnings,
    }
    if (top := answer.top) is not None:
        told["top"] = written(rows, answer.probabilities.shape[1], lambda part: top[part])
    if (added := answer.contributions) is not None:
        told["intercept"] = dict(
            zip(explained_classes(scorer), intercepts(scorer).tolist(), strict=True)
        )
        told["contributions"] = written(
            rows, max(1, added[:1].size), lambda part: list(by_name(answer, added[part]))
        )
    return told


def by_name(answer: Answer, contributions: NDArray[np.float64]) -> Iterable[dict[str, Any]]:
    """Yield each row's contributions by class and feature."""
    classes = explained_classes(answer.form.scorer)
    features = answer.form.scorer.features
    for row in contributions.tolist():
        yield {
            name: dict(zip(features, added, strict=True))
            for name, added in zip(classes, row, strict=True)
        }


def in_arrow(model: str, answer: Answer, warnings: list[TableWarning]) -> bytes:
    """Write an answer as an Arrow stream with a column for each class; the schema has the rest."""
    check_installed()
    import pyarrow as pa

    labels = pa.array(answer.form.scorer.labels)
    columns: dict[str, Any] = {"prediction": labels.take(pa.array(answer.positions))}
    for name, cells in named_columns(answer):
        columns[name] = pa.array(cells)
    about = {"model": model, "warnings": _encode(warnings).decode()}
    table = pa.table(columns).replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def named_columns(answer: Answer) -> Iterable[tuple[str, Any]]:
    """Yield the columns beside `prediction`: probabilities by class, or the likeliest classes."""
    cells = answer.probabilities.T
    if answer.top is None:
        for label, column in zip(answer.form.scorer.label_names, cells, strict=True):
            yield f"probability_{label}", column
        return
    for place, column in enumerate(cells):
        yield f"class_{place + 1}", [row[place] for row in answer.top]
        yield f"probability_{place + 1}", column
