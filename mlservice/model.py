"""What a trained model is, and its stored form.

The stored form (format 5) is one msgpack map with exactly these members, `profile` optional:

============  =========================================================
``format``    the text ``mlservice.model``
``version``   the integer 5
``features``  list of maps, in the order of the table, see below
``target``    str, the column that is predicted
``classes``   map ``{"type": "text"|"integer"|"boolean", "labels": [...]}``,
              the labels strictly ascending, at least two;
              an integer has 64 bits, its sign included
``coef``      map ``{"shape": [k, p], "data": bytes}``: little-endian
              float64 in C order; k is 1 for two classes, else their
              number; p is the number of columns, see below
``intercept`` map ``{"shape": [k], "data": bytes}``
``n_iter``    list of int, iterations that the solver took
``params``    map, the estimator's parameters as `params.resolve` gives them
``provenance`` map of what it was made of: versions, digest, rows, seed
``profile``   map of what the rows of the fit were like, see below
============  =========================================================

A numeric feature is ``{"name": str, "kind": "number", "missing": bool}``. With
``"fill": float`` where ``missing`` is true: what a missing number counts as. With
``"mean": float, "scale": float`` where numbers are standardised: the mean is
subtracted, then the scale, above 0, divides. All are finite.

A text feature is ``{"name": str, "kind": "text", "missing": bool,
"categories": [str, ...]}``; the categories are strictly ascending and not empty.
With ``"reference": str`` in each text feature or in none: the first category, or ``""``
where there is none, which has no column.

The columns of ``coef`` are the numeric features in their order; then, for each
text feature in its order, one for each category, and the last for a missing
text where ``missing`` is true; there is none for a reference. A row has 1 in the
column of its text.

The profile is ``{"rows": int, "classes": [int, ...], "features": [...]}``: the rows
of each class, and a map for each feature in its order. ``count`` is the number of
rows that have it. A numeric feature that some row has: ``min``, ``max``, ``mean``,
``std`` (n in the denominator), ``deciles``, nine ascending values, and ``shares``, which may
be left out: for each decile the share of the rows that are not above it, or, where it is
``max``, are below it. Of tables of more than 1,000,000 cells both are those of every n-th
row. A text feature: ``counts``, the rows of each category, then of a missing text where
``missing`` is true. Numbers are finite and in the units of the input.

Format 4 is the same without shares, ``version`` is 4. Format 3 is format 4 without a
reference, ``version`` is 3. Format 2 is format 3 without
a profile, ``version`` is 2.

Format 1 is format 2 without preparation: ``version`` is 1, and each feature is
``{"name": str, "kind": "number"}``.

It is read in three steps: parsed with limits, checked as a whole, and only
then built. To change it: raise `VERSION`, keep reading every older version,
write a golden file of the new one with `python tests/data/make_golden.py` and
keep the old ones, and describe the new form above.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import msgpack
import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from mlservice.preparation import Preparation, labels
from mlservice.profile import Profile, read_profile
from mlservice.schemas import Feature, Label
from mlservice.stored import (
    Stored,
    kind_of,
    must,
    parse,
    read_array,
    read_labels,
    read_params,
    read_provenance,
)

FORMAT = "mlservice.model"
MEDIA_TYPE = "application/vnd.mlservice.model+msgpack"
VERSION = 5


@dataclass(frozen=True, kw_only=True)
class Model:
    """A fitted logistic regression, as numbers.

    Attributes
    ----------
    features : tuple of Feature
        In the order of the table, with what their preparation has learnt.
    target : str
        Name of the column that is predicted.
    classes : tuple of str, int or bool
        Strictly ascending, of one type.
    coef : ndarray of shape (1, n_columns) or (n_classes, n_columns)
        Log-odds per unit of each column that `preparation` makes of the features;
        one row for two classes.
    intercept : ndarray of shape (1,) or (n_classes,)
        Log-odds at zero.
    n_iter : tuple of int
        Iterations that the solver took.
    params : dict
        The estimator's parameters.
    provenance : dict
        What the model was made of.
    profile : Profile, optional
        What the rows of its fit were like: ranges, deciles, counts.
    """

    features: tuple[Feature, ...]
    target: str
    classes: tuple[Label, ...]
    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    n_iter: tuple[int, ...]
    params: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    profile: Profile | None = None


def encode(model: Model) -> bytes:
    """Write a model in its stored form."""
    stored = {
        "format": FORMAT,
        "version": VERSION,
        "features": msgspec.to_builtins(model.features),
        "target": model.target,
        "classes": {"type": kind_of(model.classes), "labels": list(model.classes)},
        "coef": _array(model.coef),
        "intercept": _array(model.intercept),
        "n_iter": list(model.n_iter),
        "params": model.params,
        "provenance": model.provenance,
    }
    if model.profile:
        stored["profile"] = msgspec.to_builtins(model.profile)
    return msgpack.packb(stored)


def _array(values: NDArray[np.float64]) -> dict[str, object]:
    return {"shape": list(values.shape), "data": values.astype("<f8").tobytes()}


def decode(data: bytes) -> Model:
    """Read a model from its stored form.

    Parameters
    ----------
    data : bytes
        What `encode` wrote, in this version or an older one.

    Raises
    ------
    BrokenModel
        If the bytes are not msgpack, are of an unknown format or version, or
        their parts do not agree.
    """
    stored = parse(data, newest=VERSION)
    classes = read_labels(stored.classes)
    coef, intercept = read_array(stored.coef, 2), read_array(stored.intercept, 1)
    n_rows = 1 if len(classes) == 2 else len(classes)
    _check_features(stored)
    columns = Preparation(tuple(stored.features)).names
    must(coef.shape == (n_rows, len(columns)), "coef has the wrong shape")
    must(intercept.shape == (n_rows,), "intercept has the wrong shape")
    return Model(
        features=tuple(stored.features),
        target=stored.target,
        classes=classes,
        coef=coef,
        intercept=intercept,
        n_iter=tuple(stored.n_iter),
        params=read_params(stored.params, classes),
        provenance=read_provenance(stored.provenance),
        profile=_read_profile(stored, len(classes)),
    )


def _read_profile(stored: Stored, n_classes: int) -> Profile | None:
    if stored.profile is UNSET:
        return None
    must(stored.version >= 3, "a profile is not of its format")
    profile = read_profile(stored.profile, stored.features, n_classes)
    has_shares = any(each.shares is not UNSET for each in profile.features)
    must(not has_shares or stored.version >= 5, "shares are not of its format")
    return profile


def _check_features(stored: Stored) -> None:
    names = {feature.name for feature in stored.features}
    must(len(names) == len(stored.features), "a feature stands twice")
    for feature in stored.features:
        plain = feature == Feature(name=feature.name)
        must(plain or stored.version != 1, "a feature is not of format 1")
        (_check_text if feature.kind == "text" else _check_number)(feature)
    referring = {each.reference is not UNSET for each in stored.features if each.kind == "text"}
    must(len(referring) < 2, "some texts have a reference, and some have none")
    must(True not in referring or stored.version >= 4, "a reference is not of its format")


def _check_number(feature: Feature) -> None:
    learnt = [value for value in (feature.fill, feature.mean, feature.scale) if value is not UNSET]
    must(all(map(math.isfinite, learnt)), "what was learnt of a feature is not finite")
    must((feature.fill is not UNSET) == feature.missing, "a fill value is there for no reason")
    must((feature.mean is UNSET) == (feature.scale is UNSET), "a mean or a scale is alone")
    must(feature.scale is UNSET or feature.scale > 0, "a scale is not above 0")
    must(feature.categories is UNSET, "a number has categories")
    must(feature.reference is UNSET, "a number has a reference")


def _check_text(feature: Feature) -> None:
    learnt = {feature.fill, feature.mean, feature.scale}
    must(learnt == {UNSET}, "a text has a fill value or a scale")
    must(bool(labels(feature)), "a text has no category")
    seen = [] if feature.categories is UNSET else list(feature.categories)
    must(seen == sorted(set(seen)) and "" not in seen, "categories are not in ascending order")
    first = feature.reference is UNSET or feature.reference == labels(feature)[0]
    must(first, "a reference is not the first category")
