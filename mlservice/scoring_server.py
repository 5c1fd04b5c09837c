"""Requests of MLflow's scoring server, and their answers.

A JSON body has exactly one of four members: `dataframe_split`, `dataframe_records`,
`instances` and `inputs`; CSV and Parquet are tables with named columns. Columns
that are no features are not read, as by a model of MLflow's with a signature.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.errors import InvalidRequest
from mlservice.instances import (
    Positions,
    check_answer,
    from_columns,
    from_records,
    from_rows,
    labels_at,
    remarks_of,
    wanted_of,
)
from mlservice.predicting.matching import Wanted, match
from mlservice.predicting.question import check_extent
from mlservice.preparation import Column
from mlservice.schemas import Label, TableWarning, read_json
from mlservice.scoring import Scorer
from mlservice.sent import CSV, JSON, PARQUET
from mlservice.settings import Settings
from mlservice.table import from_csv, from_parquet

MEDIA_TYPES = (JSON, CSV, PARQUET)


class Split(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table as pandas writes it with `orient="split"`; the index is not read."""

    data: msgspec.Raw
    columns: list[str] | UnsetType = UNSET
    index: Any = None


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """The rows to predict, in exactly one of four forms; other members are not read."""

    dataframe_split: Split | UnsetType = UNSET
    dataframe_records: list[dict[str, Any]] | UnsetType = UNSET
    instances: msgspec.Raw | UnsetType = UNSET
    inputs: msgspec.Raw | UnsetType = UNSET


class Invoked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The class of each row."""

    predictions: list[Label]
    warnings: Annotated[
        list[TableWarning] | UnsetType, Meta(description="Left out where there is nothing to say.")
    ] = UNSET


_invocation = msgspec.json.Decoder(Invocation)
_object = msgspec.json.Decoder(dict[str, Any])
_rows = msgspec.json.Decoder(list[list[Any]])
_encode = msgspec.json.Encoder().encode
_FORMS = tuple(Invocation.__struct_fields__)


def invoked(
    scorer: Scorer, body: bytes | bytearray, media_type: str, limits: Settings
) -> tuple[bytes, Positions]:
    """Answer an invocation; return the answer, and each row's class.

    Parameters
    ----------
    media_type : {"application/json", "text/csv", "application/vnd.apache.parquet"}
        What the body is.

    Raises
    ------
    ClientProblem
        If the body is not of its media type, or has no rows that the model takes.
    """
    wanted = wanted_of(scorer)
    if media_type == CSV:
        columns = match(from_csv(body, ",", wanted.texts), wanted, ignores_extra=True)
    elif media_type == PARQUET:
        check_extent(media_type, body, limits)
        columns = match(from_parquet(body), wanted, ignores_extra=True)
    else:
        columns = _of_json(read_json(_invocation, body), wanted)
    check_answer(columns, len(scorer.labels), limits)
    scored = scorer.table.score(columns)
    labels = labels_at(scorer, scored.positions.tolist())
    told = Invoked(predictions=labels, warnings=remarks_of(scorer, columns))
    return _encode(told), scored.positions


def _of_json(asked: Invocation, wanted: Wanted) -> dict[str, Column]:
    given = [form for form in _FORMS if getattr(asked, form) is not UNSET]
    if len(given) != 1:
        raise InvalidRequest(
            f"The body must have exactly one of {', '.join(_FORMS)}, it has {len(given)}."
        )
    if asked.dataframe_split is not UNSET:
        return _of_split(asked.dataframe_split, wanted)
    if asked.dataframe_records is not UNSET:
        records = asked.dataframe_records
        return from_records(records, wanted, "/dataframe_records", extra=True)
    [form] = given
    sent: msgspec.Raw = getattr(asked, form)
    is_object = form == "inputs" and bytes(memoryview(sent)[:1]) == b"{"
    if is_object:
        return from_columns(read_json(_object, sent), wanted, f"/{form}", extra=True)
    return from_rows(sent, wanted, f"/{form}", extra=True)


def _of_split(split: Split, wanted: Wanted) -> dict[str, Column]:
    place = "/dataframe_split"
    if split.columns is UNSET:
        return from_rows(split.data, wanted, f"{place}/data")
    table = {"columns": split.columns, "data": read_json(_rows, split.data)}
    return from_columns(table, wanted, place, extra=True)
