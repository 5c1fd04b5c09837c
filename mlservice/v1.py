"""Answers in the V1 protocol of KServe and of TensorFlow Serving, whose requests are its own.

A body is `{"instances": [...]}`, one item a row, or `{"inputs": ...}`, rows or columns by
name; a CloudEvent has it as `data`.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.errors import InvalidRequest
from mlservice.instances import (
    THREAD_BYTES,
    Positions,
    check_answer,
    few_rows,
    from_columns,
    from_records,
    from_rows,
    labels_at,
    remarks_of,
    wanted_of,
)
from mlservice.predicting.explaining import contributions, explained_classes, intercepts
from mlservice.preparation import Column
from mlservice.schemas import Label, TableWarning, read_json
from mlservice.scores import Scored
from mlservice.scoring import Scorer
from mlservice.settings import Settings


class V1Request(msgspec.Struct, frozen=True, kw_only=True):
    """The rows to predict; members that are not known are ignored."""

    instances: msgspec.Raw | UnsetType = UNSET
    inputs: msgspec.Raw | UnsetType = UNSET
    signature_name: str | None = None


Remarks = Annotated[
    list[TableWarning] | UnsetType, Meta(description="Left out where there is nothing to say.")
]


class ClassifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The rows to classify."""

    examples: list[dict[str, Any]]
    context: dict[str, Any] = {}


class V1Predictions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The classes: `predictions` of rows, `outputs` of columns."""

    predictions: list[Label] | UnsetType = UNSET
    outputs: list[Label] | UnsetType = UNSET
    warnings: Remarks = UNSET


class Classified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The probability of each class by its name, for each example."""

    result: list[list[tuple[str, float]]]
    warnings: Remarks = UNSET


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What makes up a row's log-odds, by class: the intercept, and what each feature adds."""

    intercept: dict[str, float]
    contributions: dict[str, dict[str, float]]


class Explained(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The classes, and why."""

    predictions: list[Label]
    explanations: list[Explanation]
    warnings: Remarks = UNSET


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent whose data are a request, or the request itself."""

    specversion: str | UnsetType = UNSET
    data: msgspec.Raw | UnsetType = UNSET


_object = msgspec.json.Decoder(dict[str, Any])
Answered = tuple[bytes, Positions]

_event = msgspec.json.Decoder(_Event)
_request = msgspec.json.Decoder(V1Request)
_examples = msgspec.json.Decoder(ClassifyRequest)
_encode = msgspec.json.Encoder().encode


def predicted(scorer: Scorer, body: bytes | bytearray, limits: Settings) -> Answered:
    """Answer `:predict`; return the answer, and each row's class.

    Raises
    ------
    MalformedJson, InvalidRequest, InvalidTable, InvalidRow
        If the body is not what the model takes.
    """
    asked = read_json(_request, unwrapped(body))
    if len(body) < THREAD_BYTES and asked.instances is not UNSET and asked.inputs is UNSET:
        rows = few_rows(asked.instances, scorer)
        if rows and len(rows) * len(scorer.labels) <= limits.prediction_cells:
            return _encode(V1Predictions(predictions=labels_at(scorer, rows))), rows
    columns, is_columns = _columns(scorer, asked)
    positions = _scored(scorer, columns, limits).positions
    labels = labels_at(scorer, positions.tolist())
    member = "outputs" if is_columns else "predictions"
    told = V1Predictions(**{member: labels}, warnings=remarks_of(scorer, columns))
    return _encode(told), positions


def classified(scorer: Scorer, body: bytes | bytearray, limits: Settings) -> Answered:
    """Answer `:classify`; it raises what `predicted` does."""
    asked = read_json(_examples, unwrapped(body))
    rows = [asked.context | example for example in asked.examples]
    columns = from_records(rows, wanted_of(scorer), "/examples")
    scored = _scored(scorer, columns, limits)
    names = scorer.label_names
    shares = scored.probabilities.tolist()
    told = Classified(
        result=[list(zip(names, row, strict=True)) for row in shares],
        warnings=remarks_of(scorer, columns),
    )
    return _encode(told), scored.positions


def explained(scorer: Scorer, body: bytes | bytearray, limits: Settings) -> Answered:
    """Answer `:explain`; it raises what `predicted` does."""
    columns, _ = _columns(scorer, read_json(_request, unwrapped(body)))
    width = len(scorer.estimator.coef_) * len(scorer.features)
    scored = _scored(scorer, columns, limits, cells=width)
    classes, features = explained_classes(scorer), scorer.features
    base = dict(zip(classes, intercepts(scorer).tolist(), strict=True))
    why = [
        Explanation(
            intercept=base,
            contributions={
                name: dict(zip(features, added, strict=True))
                for name, added in zip(classes, row, strict=True)
            },
        )
        for row in contributions(scorer, columns).tolist()
    ]
    told = Explained(
        predictions=labels_at(scorer, scored.positions.tolist()),
        explanations=why,
        warnings=remarks_of(scorer, columns),
    )
    return _encode(told), scored.positions


def _columns(scorer: Scorer, asked: V1Request) -> tuple[dict[str, Column], bool]:
    """Return the columns of a request, and whether they were sent as such."""
    wanted, instances, inputs = wanted_of(scorer), asked.instances, asked.inputs
    if instances is not UNSET and inputs is UNSET:
        return from_rows(instances, wanted, "/instances"), False
    if inputs is UNSET or instances is not UNSET:
        raise InvalidRequest("The body must have either instances or inputs.")
    if bytes(memoryview(inputs)[:1]) == b"{":
        return from_columns(read_json(_object, inputs), wanted, "/inputs"), True
    return from_rows(inputs, wanted, "/inputs"), False


def unwrapped(body: bytes | bytearray) -> bytes | bytearray | msgspec.Raw:
    """Return the data of a CloudEvent in JSON; of anything else, the body."""
    if b'"specversion"' not in body[:4096]:
        return body
    event = read_json(_event, body)
    return body if event.specversion is UNSET or event.data is UNSET else event.data


def _scored(
    scorer: Scorer, columns: dict[str, Column], limits: Settings, *, cells: int = 0
) -> Scored:
    check_answer(columns, max(cells, len(scorer.labels)), limits)
    return scorer.table.score(columns)
