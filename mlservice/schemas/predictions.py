"""The prediction of one row, and what is remarked of rows."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.schemas.models import Label


class RowWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a row that its sender should know."""

    code: str
    detail: str
    parameter: str


class LineWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a row of a table that its sender should know."""

    code: str
    detail: str
    column: str


class TableWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a table's column that its sender should know."""

    code: str
    detail: str
    column: str
    rows: Annotated[int, Meta(description="How many rows it is about.")]
    first: Annotated[int, Meta(description="The first of them, counted from 0.")]


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The class of one row, and the probability of each class."""

    model: str
    prediction: Label
    probabilities: dict[str, float]
    warnings: Annotated[
        list[RowWarning] | UnsetType, Meta(description="Left out where there is nothing to say.")
    ] = UNSET


class Line(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A row's line of NDJSON: the row's prediction, or its `error`."""

    prediction: Label | UnsetType = UNSET
    probabilities: dict[str, float] | UnsetType = UNSET
    contributions: Annotated[
        dict[str, dict[str, float]] | UnsetType,
        Meta(description="With `explain`, what each feature adds, by class."),
    ] = UNSET
    warnings: Annotated[
        list[LineWarning] | UnsetType,
        Meta(description="The first five; left out where there is nothing to say."),
    ] = UNSET
    warning_count: Annotated[
        int | UnsetType, Meta(description="How many there are, where it is more than five.")
    ] = UNSET
    error: Annotated[
        str | UnsetType, Meta(description="Why the row cannot be predicted; then it stands alone.")
    ] = UNSET
