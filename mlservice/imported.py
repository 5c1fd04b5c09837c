"""A model that was trained elsewhere: its file, checked, and what is told of it.

A file is read in the steps of `model`, and has to keep the limits that a
training's table keeps: whatever its bytes are, it serves or is refused.
"""

from typing import Any

import msgspec

from mlservice import coefficients
from mlservice.errors import (
    BrokenModel,
    InvalidModel,
    InvalidTable,
    NumericalFailure,
    Problem,
    TableTooLarge,
)
from mlservice.kinds import MAX_CATEGORY, MAX_NAME
from mlservice.labels import MAX_LABEL
from mlservice.limits import check_columns, check_model, check_size
from mlservice.model import Model, decode
from mlservice.preparation import Preparation, labels
from mlservice.schemas import Description, Preprocessing
from mlservice.settings import Settings


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """What provenance says of the training, where it says so."""

    rows: int | None = None
    preprocessing: Preprocessing | None = None


def describe(file: bytes, limits: Settings) -> Description:
    """Check a model's file, and return what is told of the model.

    Parameters
    ----------
    file : bytes
        The stored form of a model, as `GET /models/{id}/artifact` gave it.
    limits : Settings
        How large a model may be.

    Raises
    ------
    InvalidModel
        If the file is not a model, or its model is larger than the limits.
    """
    try:
        model = decode(file)
        _check_limits(model, limits)
        _check_words(model)
        told = coefficients.describe(model)
    except (BrokenModel, TableTooLarge, InvalidTable, NumericalFailure) as problem:
        raise InvalidModel(problem.detail) from problem
    made = _made(model.provenance)
    told["provenance"] = model.provenance | {"imported": True}
    return Description(
        rows=made.rows,
        target=model.target,
        classes=list(model.classes),
        params=model.params,
        preprocessing=made.preprocessing,
        **told,
    )


def _made(provenance: dict[str, Any]) -> _Made:
    try:
        return msgspec.convert(provenance, _Made)
    except msgspec.ValidationError:
        return _Made()


def _check_limits(model: Model, limits: Settings) -> None:
    check_size("features", len(model.features), "max_features", limits)
    preparation = Preparation(model.features)
    check_columns(preparation, limits)
    check_model(len(model.classes), len(preparation.names), limits)


def _check_words(model: Model) -> None:
    """Refuse names and labels that no training gives."""
    names = [each.name for each in model.features]
    for name in (*names, model.target):
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise _wrong(f"A name must be 1 to {MAX_NAME} printable characters")
    if model.target in names:
        raise _wrong("The target must be no feature")
    if any(len(str(label)) > MAX_LABEL or "\0" in str(label) for label in model.classes):
        raise _wrong(f"A class must have at most {MAX_LABEL} characters, and not NUL")
    texts = Preparation(model.features).text_features
    if any(len(label) > MAX_CATEGORY for each in texts for label in labels(each)):
        raise _wrong(f"A category must have at most {MAX_CATEGORY} characters")


def _wrong(rule: str) -> Problem:
    return BrokenModel(f"{rule}, one of the model is not so.")
