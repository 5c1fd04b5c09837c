"""What the rows of a training were like, by feature and class: later rows are held against it.

It is part of the stored form of a model, see `model`. Everything in it is in the
units of the input, counts rows without regard to their weights, and leaves out
what is missing.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from mlservice.preparation import (
    Column,
    Preparation,
    Rows,
    Texts,
    labels,
    of_rows,
    places_of,
)
from mlservice.schemas import Feature
from mlservice.stored import must, read_member

DECILES = 9
# Sorting as many takes some 50 ms; of larger tables the deciles are those of every n-th row.
_MOST_SORTED = 1_000_000
_LEAST_SORTED = 1_000


class FeatureProfile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a feature was like.

    A number that some row has: `min`, `max`, `mean`, `std` (with n in the
    denominator), `deciles`, nine values that occur, ascending, and of each decile in
    `shares` how much of the rows is not above it; of one that is `max`, is below it.
    A text: `counts`, in the order of `preparation.labels`.
    """

    count: int
    min: float | UnsetType = UNSET
    max: float | UnsetType = UNSET
    mean: float | UnsetType = UNSET
    std: float | UnsetType = UNSET
    deciles: tuple[float, ...] | UnsetType = UNSET
    shares: tuple[float, ...] | UnsetType = UNSET
    counts: tuple[int, ...] | UnsetType = UNSET


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rows that a model was fitted on were like.

    `classes` has the rows of each class, in the order of the model's classes;
    `features` is in the order of the model's features.
    """

    rows: int
    classes: tuple[int, ...]
    features: tuple[FeatureProfile, ...]


_decoder = msgspec.msgpack.Decoder(Profile)


def profile_of(
    columns: Iterable[Column],
    preparation: Preparation,
    y: NDArray[np.intp],
    rows: Rows = None,
    *,
    n_classes: int,
) -> Profile:
    """Count and measure the rows of a training.

    Parameters
    ----------
    columns : iterable of ndarray or Texts
        The features in their order, of all rows.
    preparation : Preparation
        What was learnt from the rows that count.
    y : ndarray of shape (n_samples,), intp
        Position of each row's class, of the rows that count.
    rows : ndarray of intp, optional
        The rows that count, all if left out.
    n_classes : int
        How many classes the model has.
    """
    sorted_rows = max(_LEAST_SORTED, _MOST_SORTED // len(preparation.features))
    every = math.ceil(len(y) / sorted_rows)
    return Profile(
        rows=len(y),
        classes=tuple(np.bincount(y, minlength=n_classes).tolist()),
        features=tuple(
            _feature(column, feature, rows, every)
            for column, feature in zip(columns, preparation.features, strict=True)
        ),
    )


def _feature(column: Column, feature: Feature, rows: Rows, every: int) -> FeatureProfile:
    if isinstance(column, Texts):
        places = places_of(feature, column)
        counts = np.bincount(
            (places if rows is None else places[rows]) + 1, minlength=len(labels(feature)) + 1
        )[1:].tolist()
        absent = counts[-1] if feature.missing else 0
        return FeatureProfile(count=sum(counts) - absent, counts=tuple(counts))
    values = np.ascontiguousarray(of_rows(column, rows))
    missing = np.isnan(values)
    return _numbers(values[~missing] if missing.any() else values, every)


def _numbers(values: NDArray[np.float64], every: int) -> FeatureProfile:
    if not len(values):
        return FeatureProfile(count=0)
    least, most = float(values.min()), float(values.max())
    peak = max(most, -least)
    # Squares of such numbers do not fit in float64.
    unit = 1.0 if 1e-100 < peak < 1e100 else peak or 1.0
    scaled = values if unit == 1.0 else values / unit
    ordered = np.sort(values[::every])
    mean = float(scaled.mean())
    places = np.rint(np.arange(1, DECILES + 1) / (DECILES + 1) * (len(ordered) - 1))
    deciles = ordered[places.astype(np.intp)]
    return FeatureProfile(
        count=len(values),
        min=least,
        max=most,
        mean=mean * unit,
        std=_deviation(scaled, mean) * unit,
        deciles=tuple(deciles.tolist()),
        shares=tuple(_shares(ordered, deciles, most).tolist()),
    )


def _shares(
    ordered: NDArray[np.float64], deciles: NDArray[np.float64], most: float
) -> NDArray[np.float64]:
    # All are at most the largest value: of that, only who is below it tells something.
    up_to, below = (np.searchsorted(ordered, deciles, side) for side in ("right", "left"))
    found: NDArray[np.float64] = np.where(deciles < most, up_to, below) / len(ordered)
    return found


def _deviation(values: NDArray[np.float64], mean: float) -> float:
    # In half the time of `std`.
    apart = values - mean
    return math.sqrt(float(apart @ apart) / len(apart))


def read_profile(raw: msgspec.Raw, features: Sequence[Feature], n_classes: int) -> Profile:
    """Read a stored profile.

    Raises
    ------
    BrokenModel
        If it does not agree with itself, or with the model's features and classes.
    """
    profile = read_member(_decoder, raw)
    classes = profile.classes
    must(len(classes) == n_classes and min(classes) >= 0, "the profile has other classes")
    must(sum(classes) == profile.rows, "the profile's classes are not its rows")
    must(len(profile.features) == len(features), "the profile has other features")
    for feature, found in zip(features, profile.features, strict=True):
        agrees = _is_of_text if feature.kind == "text" else _is_of_number
        fits = 0 <= found.count <= profile.rows and agrees(found, feature)
        must(fits, f"the profile of {feature.name!r} is not one of a {feature.kind}")
    return profile


def _is_of_text(found: FeatureProfile, feature: Feature) -> bool:
    if found.counts is UNSET or found != FeatureProfile(count=found.count, counts=found.counts):
        return False
    return len(found.counts) == len(labels(feature)) and min(found.counts) >= 0


def _is_of_number(found: FeatureProfile, _: Feature) -> bool:
    if not found.count:
        return found == FeatureProfile(count=0)
    numbers = [
        value for value in (found.min, found.max, found.mean, found.std) if value is not UNSET
    ]
    if found.deciles is UNSET or len(numbers) < 4 or found.counts is not UNSET:
        return False
    ordered = [numbers[0], *found.deciles, numbers[1]]
    is_whole = len(found.deciles) == DECILES and all(map(math.isfinite, [*numbers, *ordered]))
    are_shares = found.shares is UNSET or _are_shares(found.shares)
    return is_whole and ordered == sorted(ordered) and numbers[3] >= 0 and are_shares


def _are_shares(shares: Sequence[float]) -> bool:
    ascending = all(low <= high for low, high in pairwise([0.0, *shares, 1.0]))
    return len(shares) == DECILES and ascending
