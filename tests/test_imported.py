"""Models that were trained elsewhere: their files, checked."""

import dataclasses
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlservice.errors import InvalidModel
from mlservice.imported import describe
from mlservice.model import Model, decode, encode
from mlservice.schemas import Feature
from mlservice.scoring import Scorer
from mlservice.settings import Settings
from tests.support import make_model
from tests.test_model import GOLDEN_2, models

LIMITS = Settings()


def _serves(file: bytes) -> bool:
    """Tell whether a file is taken; then it can be told as JSON, and its model predicts."""
    try:
        told = describe(file, LIMITS)
    except InvalidModel:
        return False
    msgspec.json.decode(msgspec.json.encode(told))
    model = decode(file)
    row = [None if each.missing else 0.0 for each in model.features]
    _, probabilities = Scorer(model).score_row(row)
    assert len(probabilities) == len(told.classes or [])
    return True


def _changed(**members: object) -> bytes:
    stored: Any = msgpack.unpackb(encode(make_model()))
    return msgpack.packb(stored | members)


def test_what_a_file_holds_is_told() -> None:
    """All that an artifact carries stands in the description, and that it was imported."""
    model = make_model(classes=(1, 2, 3))
    provenance = {"rows": 7, "preprocessing": {"scale": "standard"}, "random_state": 5}
    model = dataclasses.replace(model, provenance=provenance)

    told = describe(encode(model), LIMITS)

    assert told.features == list(model.features)
    assert (told.target, told.classes, told.params) == ("target", [1, 2, 3], model.params)
    assert told.coefficients == {
        "1": {"a": 1.0, "b": 2.0},
        "2": {"a": 3.0, "b": 4.0},
        "3": {"a": 5.0, "b": 6.0},
    }
    assert told.intercept == {"1": -1.0, "2": 0.0, "3": 1.0}
    assert (told.n_iter, told.rows) == ([7], 7)
    assert told.preprocessing is not None
    assert told.preprocessing.scale == "standard"
    assert told.provenance == {**provenance, "imported": True}


@pytest.mark.parametrize("provenance", [{}, {"rows": "many"}, {"preprocessing": {"new": 1}}])
def test_provenance_of_another_making_is_told_as_it_is(provenance: dict[str, Any]) -> None:
    """What is not said, or in other words, is left out of the description."""
    told = describe(_changed(provenance=provenance), LIMITS)

    assert (told.rows, told.preprocessing) == (None, None)
    assert told.provenance == {**provenance, "imported": True}


@given(models())
def test_any_model_serves_or_is_refused(model: Model) -> None:
    """No model that can be stored makes the service fail."""
    try:
        told = describe(encode(model), LIMITS)
    except InvalidModel:
        return
    assert told.classes == list(model.classes)
    assert msgspec.json.decode(msgspec.json.encode(told))["n_iter"] == list(model.n_iter)


@given(st.data())
def test_a_damaged_file_serves_or_is_refused(data: st.DataObject) -> None:
    """Bytes that are cut, changed or added give `invalid-model` or a model that predicts."""
    file = bytearray(encode(dataclasses.replace(GOLDEN_2, coef=np.ones((3, 7)))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(file) - 1))
        file[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))

    _serves(bytes(file))


def test_every_changed_byte_serves_or_is_refused() -> None:
    """One byte changed anywhere, and every beginning of a file."""
    file = encode(make_model())
    outcomes = set()
    for place in range(len(file)):
        assert not _serves(file[:place])
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(file)
            damaged[place] ^= flip
            outcomes.add(_serves(bytes(damaged)))

    assert outcomes == {True, False}


@pytest.mark.parametrize(
    ("limit", "setting", "what"),
    [
        (1, "max_features", "features"),
        (6, "max_columns", "columns"),
        (2, "max_classes", "classes"),
        (20, "max_coefficients", "coefficients"),
        (1, "max_categories", "categories"),
    ],
)
def test_a_model_larger_than_a_limit_is_refused(limit: int, setting: str, what: str) -> None:
    """A file keeps the limits that a training keeps, and the error names the setting."""
    limits = msgspec.structs.replace(LIMITS, **{setting: limit})

    with pytest.raises(InvalidModel, match=f"{what}.*MLSERVICE_{setting.upper()}"):
        describe(encode(dataclasses.replace(GOLDEN_2, coef=np.ones((3, 7)))), limits)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (make_model(features=("a", "")), "A name"),
        (make_model(features=("a", "b\n")), "A name"),
        (make_model(features=("a", "b" * 129)), "A name"),
        (make_model(features=("a", "target")), "The target"),
        (make_model(classes=("a", "b" * 1025)), "A class"),
        (make_model(classes=("a", "b\0")), "A class"),
        (
            make_model(described=(Feature(name="t", kind="text", categories=("x", "y" * 1025)),)),
            "A category",
        ),
        (
            make_model(
                described=(Feature(name="a=b"), Feature(name="a", kind="text", categories=("b",)))
            ),
            "names of their own",
        ),
        (
            make_model(
                described=(Feature(name="a", mean=1e300, scale=1e-300), Feature(name="b")),
                coef=[[1e300, 1.0]],
            ),
            "finite",
        ),
    ],
)
def test_a_model_that_no_training_gives_is_refused(model: Model, reason: str) -> None:
    """Names, labels, categories and coefficients are such as a training's are."""
    with pytest.raises(InvalidModel, match=reason):
        describe(encode(model), LIMITS)


@pytest.mark.parametrize(
    "members",
    [
        {"n_iter": [2**31]},
        {"n_iter": [-1]},
        {"params": make_model().params | {"tol": float("nan")}},
        {"params": make_model().params | {"class_weight": {"no": float("inf")}}},
        {"provenance": {"rows": float("nan")}},
        {"provenance": {"rows": b"1"}},
        {"provenance": {b"rows": 1}},
        {"provenance": {"rows": msgpack.Timestamp(1)}},
        {"provenance": {"rows": [[[[[[[[[1]]]]]]]]]}},
        {"provenance": {"rows": "x" * 70_000}},
        {"provenance": [1]},
        {"version": 0},
        {"version": -1},
    ],
)
def test_a_file_of_odd_members_is_refused(members: dict[str, Any]) -> None:
    """What JSON or scikit-learn cannot hold is refused before anything is built."""
    with pytest.raises(InvalidModel):
        describe(_changed(**members), LIMITS)


def test_a_file_of_many_empty_lists_takes_no_memory() -> None:
    """A byte that claims a list is not built as one where none belongs."""
    bomb = b"\xdd\x00\x01\xff\xff" + b"\x90" * 0x1FFFF
    file = _changed(provenance="here").replace(b"\xa4here", b"\x81\xa1x" + bomb)

    with pytest.raises(InvalidModel, match="provenance is too large"):
        describe(file, LIMITS)
