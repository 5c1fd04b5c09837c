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
