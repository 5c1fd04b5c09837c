"""The stored form of a model."""

import dataclasses
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from msgspec import UNSET

from mlservice.errors import BrokenModel
from mlservice.model import FORMAT, VERSION, Model, decode, encode
from mlservice.preparation import Preparation
from mlservice.profile import FeatureProfile, Profile
from mlservice.schemas import Feature, Label
from mlservice.scoring import Scorer
from tests.support import DEFAULT_PARAMS, make_model

STORED = encode(make_model(classes=("a", "b", "c")))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
GOLDEN = Model(
    features=(Feature(name="length", kind="number"), Feature(name="width/~\u00fc", kind="number")),
    target="target",
    classes=("setosa", "versicolor", "virginica"),
    coef=np.array([[0.1, -0.2], [5e-324, -0.0], [1.7976931348623157e308, 1 / 3]]),
    intercept=np.array([-1.0, 0.0, 1e-16]),
    n_iter=(7,),
    params={
        "C": None,
        "l1_ratio": 0.0,
        "solver": "lbfgs",
        "dual": False,
        "tol": 0.0001,
        "fit_intercept": True,
        "intercept_scaling": 1.0,
        "class_weight": {"setosa": 2.0},
        "random_state": 0,
        "max_iter": 100,
    },
    provenance={"rows": 3},
)


GOLDEN_2 = dataclasses.replace(
    GOLDEN,
    features=(
        Feature(name="length"),
        Feature(name="sex", kind="text", missing=True, categories=("female", "m\u00e4nnlich")),
        Feature(name="width/~\u00fc", missing=True, fill=5e-324, mean=-0.1, scale=1 / 3),
        Feature(name="year", mean=2008.0, scale=1e300),
        Feature(name="island", kind="text", categories=("Biscoe",)),
    ),
    coef=np.arange(21).reshape(3, 7) / 7,
)


GOLDEN_3 = dataclasses.replace(
    GOLDEN_2,
    profile=Profile(
        rows=12,
        classes=(3, 4, 5),
        features=(
            FeatureProfile(
                count=12,
                min=-1.5,
                max=5e-324,
                mean=-0.1,
                std=1 / 3,
                deciles=(-1.5, -1.5, -1.0, -0.5, -0.25, -0.125, -0.0, 0.0, 5e-324),
            ),
            FeatureProfile(count=11, counts=(7, 4, 1)),
            FeatureProfile(count=0),
            FeatureProfile(
                count=12, min=2007.0, max=2009.0, mean=2008.0, std=0.0, deciles=(2008.0,) * 9
            ),
            FeatureProfile(count=12, counts=(12,)),
        ),
    ),
)


GOLDEN_4 = dataclasses.replace(
    GOLDEN_3,
    features=tuple(
        each if each.kind == "number" else msgspec.structs.replace(each, reference=first)
        for each, first in zip(
            GOLDEN_2.features, [None, "female", None, None, "Biscoe"], strict=True
        )
    ),
    coef=np.arange(15).reshape(3, 5) / 7,
)


GOLDEN_5 = dataclasses.replace(
    GOLDEN_4,
    profile=Profile(
        rows=12,
        classes=(3, 4, 5),
        features=tuple(
            each if each.deciles is UNSET else msgspec.structs.replace(each, shares=shares)
            for each, shares in zip(
                GOLDEN_3.profile.features if GOLDEN_3.profile else (),
                [(0.25, 0.25, 1 / 3, 0.5, 0.5, 0.5, 0.75, 0.75, 11 / 12), (), (), (1.0,) * 9, ()],
                strict=True,
            )
        ),
    ),
)


def parts(model: Model) -> dict[str, Any]:
    """Return a model's members, arrays as shape, type and bytes, to be compared."""
    members = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    for name in ("coef", "intercept"):
        array = members[name]
        members[name] = (array.shape, array.dtype, array.tobytes())
    return members | {"types": [type(label) for label in model.classes]}


def serves(stored: bytes) -> bool:
    """Tell whether stored bytes are refused as broken; else they must serve."""
    try:
        model = decode(stored)
    except BrokenModel:
        return False
    scorer = Scorer(model)
    _, probabilities = scorer.score_row([None if each.missing else 0.0 for each in model.features])
    return len(probabilities) == len(scorer.labels) and decode(encode(model)) is not None


def changed(change: Callable[[dict[str, Any]], Any], **members: object) -> bytes:
    """Return a stored model whose map was changed."""
    document = msgpack.unpackb(STORED) | members
    change(document)
    return msgpack.packb(document)


@st.composite
def features(draw: st.DrawFn, name: str, *, has_references: bool) -> Feature:
    """Draw a feature, with what may have been learnt of it."""
    missing = draw(st.booleans())
    if draw(st.booleans()):
        texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
        categories = tuple(sorted(draw(st.sets(texts, min_size=1, max_size=3))))
        feature = Feature(name=name, kind="text", missing=missing, categories=categories)
        first = categories[0] if has_references else UNSET
        return msgspec.structs.replace(feature, reference=first)
    learnt: dict[str, Any] = {"fill": draw(FINITE)} if missing else {}
    if draw(st.booleans()):
        learnt |= {"mean": draw(FINITE), "scale": draw(st.floats(5e-324, 1e300))}
    return Feature(name=name, missing=missing, **learnt)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Draw a model of any classes, features and finite coefficients."""
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    kinds: list[st.SearchStrategy[Any]] = [
        texts,
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
    ]
    labels: list[Label] = draw(
        st.sampled_from(kinds).flatmap(
            lambda kind: st.lists(kind, min_size=2, max_size=5, unique=True)
        )
    )
    names = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    has_references = draw(st.booleans())
    described = tuple(draw(features(name, has_references=has_references)) for name in names)
    # A model has a column.
    described += (Feature(name="".join(names) + "+"),)
    width = len(Preparation(described).names)
    rows = 1 if len(labels) == 2 else len(labels)
    return Model(
        features=described,
        target=draw(texts),
        classes=tuple(sorted(labels)),
        coef=draw(arrays.arrays(np.float64, (rows, width), elements=FINITE)),
        intercept=draw(arrays.arrays(np.float64, rows, elements=FINITE)),
        n_iter=tuple(draw(st.lists(st.integers(0, 10**6), max_size=3))),
        params=DEFAULT_PARAMS | {"C": draw(st.none() | st.floats(1e-9, 1e9))},
        provenance={"rows": draw(st.integers(0, 10**9)), "versions": {"x": draw(texts)}},
    )


def test_golden_file_of_format_1_is_the_model_that_was_stored(data: Path) -> None:
    """What an earlier version stored is read as exactly the same model."""
    stored = (data / "model_format_1.msgpack").read_bytes()

    assert parts(decode(stored)) == parts(GOLDEN)


def test_current_format_writes_the_golden_bytes(data: Path) -> None:
    """The stored form does not change without its number."""
    stored = (data / f"model_format_{VERSION}.msgpack").read_bytes()

    assert encode(GOLDEN_5) == stored


def test_golden_file_of_format_5_is_the_model_that_was_stored(data: Path) -> None:
    """How much of a training is not above each decile is read as it was measured."""
    stored = (data / "model_format_5.msgpack").read_bytes()

    assert parts(decode(stored)) == parts(GOLDEN_5)


def test_format_4_has_no_shares() -> None:
    """What format 4 cannot say is refused in it."""
    stored = msgpack.unpackb(encode(GOLDEN_5)) | {"version": 4}

    with pytest.raises(BrokenModel, match="shares are not of its format"):
        decode(msgpack.packb(stored))


def test_golden_file_of_format_4_is_the_model_that_was_stored(data: Path) -> None:
    """The first category of a text may have no column."""
    stored = (data / "model_format_4.msgpack").read_bytes()

    assert parts(decode(stored)) == parts(GOLDEN_4)


def test_format_3_has_no_reference() -> None:
    """What format 3 cannot say is refused in it."""
    stored = msgpack.unpackb(encode(GOLDEN_4)) | {"version": 3}

    with pytest.raises(BrokenModel, match="a reference is not of its format"):
        decode(msgpack.packb(stored))


@pytest.mark.parametrize(
    ("references", "reason"),
    [
        (["male", "Biscoe"], "not the first"),
        (["", "Biscoe"], "not the first"),
        (["female", None], "some have none"),
        ([None, "Biscoe"], "some have none"),
    ],
)
def test_a_reference_is_the_first_category_of_each_text(
    references: list[str | None], reason: str
) -> None:
    """Any other, or one for some texts only, is refused."""
    document = msgpack.unpackb(encode(GOLDEN_4))
    for place, reference in zip((1, 4), references, strict=True):
        document["features"][place] |= {"reference": reference}
        if reference is None:
            del document["features"][place]["reference"]

    with pytest.raises(BrokenModel, match=reason):
        decode(msgpack.packb(document))


def test_golden_file_of_format_3_is_the_model_that_was_stored(data: Path) -> None:
    """What the rows of the training were like is read as it was measured."""
    stored = (data / "model_format_3.msgpack").read_bytes()

    assert parts(decode(stored)) == parts(GOLDEN_3)


def test_format_2_has_no_profile() -> None:
    """What format 2 cannot say is refused in it."""
    stored = msgpack.unpackb(encode(GOLDEN_3)) | {"version": 2}

    with pytest.raises(BrokenModel, match="a profile is not of its format"):
        decode(msgpack.packb(stored))


def _profile(place: int | None = None, **members: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        profile = document["profile"]
        (profile if place is None else profile["features"][place]).update(members)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _profile(rows=11),
        _profile(rows="12"),
        _profile(more=1),
        _profile(classes=[3, 9]),
        _profile(classes=[-1, 8, 5]),
        _profile(features=[]),
        _profile(0, count=13),
        _profile(0, count=-1),
        _profile(0, count=0),
        _profile(0, min=0.0),
        _profile(0, max=float("inf")),
        _profile(0, mean=float("nan")),
        _profile(0, std=-1.0),
        _profile(0, deciles=[0.0] * 8),
        _profile(0, deciles=[0.0] * 8 + [-1.0]),
        _profile(0, shares=[0.5] * 8),
        _profile(0, shares=[0.5] * 8 + [0.4]),
        _profile(0, shares=[0.5] * 8 + [1.1]),
        _profile(0, shares=[-0.1] + [0.5] * 8),
        _profile(0, shares=[0.5] * 8 + [float("nan")]),
        _profile(1, shares=[0.5] * 9),
        _profile(2, shares=[0.5] * 9),
        _profile(0, counts=[12]),
        _profile(1, counts=[7, 5]),
        _profile(1, counts=[-1, 12, 1]),
        _profile(1, min=0.0),
        _profile(2, count=1),
        lambda document: document.update(profile=[]),
        lambda document: document.update(profile=None),
        lambda document: document["profile"]["features"].__setitem__(1, {"count": 11}),
        lambda document: document["profile"]["features"].__setitem__(0, {"count": 11}),
    ],
)
def test_profile_that_does_not_agree_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    """What is told of the training's rows is of the model's features and classes."""
    document = msgpack.unpackb(encode(GOLDEN_3))
    change(document)

    with pytest.raises(BrokenModel, match="does not agree with itself"):
        decode(msgpack.packb(document))


def test_golden_file_of_format_2_is_the_model_that_was_stored(data: Path) -> None:
    """Fill values, scales and categories are read as they were learnt."""
    stored = (data / "model_format_2.msgpack").read_bytes()

    assert parts(decode(stored)) == parts(GOLDEN_2)


def test_feature_of_format_1_has_no_preparation() -> None:
    """What format 1 cannot say is refused in it."""
    with pytest.raises(BrokenModel, match="a feature is not of format 1"):
        decode(changed(_feature(0, missing=True, fill=1.0), version=1))


@given(models())
def test_what_is_encoded_is_decoded(model: Model) -> None:
    """A model survives storage bit for bit, its labels with their types."""
    assert parts(decode(encode(model))) == parts(model)


def test_encoding_is_the_same_for_arrays_in_another_order() -> None:
    """Bytes depend on the numbers, not on how memory holds them."""
    model = make_model(classes=("a", "b", "c"))

    turned = dataclasses.replace(model, coef=np.asfortranarray(model.coef))

    assert encode(turned) == encode(model)


def test_every_truncation_is_refused() -> None:
    """No beginning of a stored model is a model."""
    served = [end for end in range(len(STORED)) if serves(STORED[:end])]

    assert served == []


def test_flipped_bits_are_refused_or_serve() -> None:
    """A changed byte gives `broken-model` or a valid model, never anything else."""
    random = np.random.default_rng(0)
    outcomes = set()
    for position in range(len(STORED)):
        for flip in {0xFF, 0x01, 0x80, int(random.integers(1, 256))}:
            damaged = bytearray(STORED)
            damaged[position] ^= flip
            outcomes.add(serves(bytes(damaged)))

    assert outcomes == {True, False}


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(noise: bytes) -> None:
    """What is no stored model is broken."""
    with pytest.raises(BrokenModel):
        decode(noise)


def test_pickle_is_refused() -> None:
    """A pickle is no model, and is not run."""
    with pytest.raises(BrokenModel):
        decode(pickle.dumps(make_model()))


@pytest.mark.parametrize("version", [0, 6, 99, "1", 1.0, None, True])
def test_other_version_is_refused_by_its_number(version: object) -> None:
    """A model of a newer service is told from damaged bytes."""
    stored = changed(lambda document: document.update(version=version))

    with pytest.raises(BrokenModel, match=r"version|of format"):
        decode(stored)


def test_newer_version_is_named() -> None:
    """The operator reads which format was found and which is read."""
    stored = changed(lambda document: document.update(version=6, more=[]))

    with pytest.raises(BrokenModel, match="formats 1 to 5 are read, it is of format 6"):
        decode(stored)


def _huge_shape(document: dict[str, Any]) -> None:
    document["coef"]["shape"] = [2**62, 2**62]


def _labels(kind: str, labels: list[object]) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(classes={"type": kind, "labels": labels})


def _array(member: str, shape: list[int], values: list[float]) -> Callable[[dict[str, Any]], None]:
    stored = {"shape": shape, "data": struct.pack(f"<{len(values)}d", *values)}
    return lambda document: document.update({member: stored})


def _params(**params: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["params"].update(params)


def _feature(place: int, **members: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["features"][place].update(members)


def _text(**members: object) -> Callable[[dict[str, Any]], None]:
    return _feature(0, kind="text", **members)


@pytest.mark.parametrize(
    "change",
    [
        _feature(0, more=1),
        _feature(0, missing=True),
        _feature(0, fill=1.0),
        _feature(0, missing=True, fill=float("nan")),
        _feature(0, mean=1.0),
        _feature(0, scale=1.0),
        _feature(0, mean=float("inf"), scale=1.0),
        _feature(0, mean=1.0, scale=0.0),
        _feature(0, mean=1.0, scale=-1.0),
        _feature(0, categories=["x"]),
        _feature(0, reference="x"),
        _text(),
        _text(categories=[]),
        _text(categories=["x", "y"]),
        _text(categories=["x"], missing=True),
        _text(categories=[""]),
        _text(categories=["x"], fill=0.0),
        _text(categories=["x"], mean=0.0, scale=1.0),
        _text(categories=[1]),
        lambda document: document.update(format="other"),
        lambda document: document.pop("format"),
        lambda document: document.pop("coef"),
        lambda document: document.update(more=1),
        lambda document: document.update(target=5),
        lambda document: document.update(provenance=[]),
        lambda document: document.update(n_iter=["7"]),
        lambda document: document.update(features=[]),
        lambda document: document.update(features=[{"name": "a"}, {"name": "a"}]),
        lambda document: document.update(features=[{"name": "a"}]),
        lambda document: document.update(features=[{"name": "a", "kind": "text"}, {"name": "b"}]),
        _labels("text", ["a", "c", "b"]),
        _labels("text", ["a", "b", "b"]),
        _labels("text", ["a", "b"]),
        _labels("text", ["a"]),
        _labels("text", []),
        _labels("text", ["a", "b", 3]),
        _labels("integer", [1, 2, True]),
        _labels("integer", [1, 2, 2**63]),
        _labels("integer", [1.0, 2.0, 3.0]),
        _labels("boolean", [0, 1, 2]),
        _labels("float", [1.5, 2.5, 3.5]),
        _huge_shape,
        _array("coef", [2, 3], [1.0] * 6),
        _array("coef", [6], [1.0] * 6),
        _array("coef", [], [1.0]),
        _array("coef", [3, 2], [1.0] * 5),
        _array("coef", [-3, -2], [1.0] * 6),
        _array("coef", [0, 2], []),
        _array("coef", [3, 2], [1.0] * 5 + [float("nan")]),
        _array("coef", [3, 2], [1.0] * 5 + [float("inf")]),
        _array("intercept", [1], [1.0]),
        _array("intercept", [3, 1], [1.0] * 3),
        _array("intercept", [3], [1.0, float("nan"), 1.0]),
        _params(solver="adam"),
        _params(solver="liblinear"),
        _params(penalty="l2"),
        _params(C="1"),
        _params(class_weight={"d": 1.0}),
        _params(max_iter=None),
        lambda document: document["params"].pop("tol"),
    ],
)
def test_parts_that_do_not_agree_are_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    """A map that is no model is refused before anything is built from it."""
    with pytest.raises(BrokenModel, match="does not agree with itself"):
        decode(changed(change))


@pytest.mark.parametrize(
    "stored",
    [
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdd\x00\x03\x0d\x41" + b"\x00" * 200_001,
        b"\x91" * 100_000,
        b"\x81\xa1a" * 100_000,
        b"\x82\xa1a\x01\x01\x02",
        b"\xd9\x01\xff",
        b"\xd4\x01\x00",
        b"\xd7\xff" + b"\xff" * 8,
        b"\xc0",
        b"\x80",
        b"",
        STORED + b"\x00",
    ],
)
def test_msgpack_that_is_no_model_is_refused(stored: bytes) -> None:
    """Claims of great size, depth, other types and what follows a model are refused."""
    with pytest.raises(BrokenModel):
        decode(stored)


def test_large_model_is_stored_within_the_limits() -> None:
    """As many features, and names as long, as the service takes can be read again."""
    names = tuple(f"{i:05d}" + "\U0001f600" * 123 for i in range(10_000))
    model = make_model(features=names, classes=("\U0001f600" * 1023, "\U0001f600" * 1024))

    assert parts(decode(encode(model))) == parts(model)


def test_most_classes_with_weights_are_stored_within_the_limits() -> None:
    """A weight for each of 1,000 classes can be read again."""
    classes = tuple(range(1000))
    weights = {str(label): 1.0 for label in classes}

    model = make_model(classes=classes, params=DEFAULT_PARAMS | {"class_weight": weights})

    assert decode(encode(model)).params["class_weight"] == weights


def test_format_is_named_in_the_bytes() -> None:
    """Whoever finds a stored model can tell what it is."""
    assert FORMAT.encode() in STORED[:40]
