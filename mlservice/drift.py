"""How far the rows that a model is asked are from those it was trained on.

Each feature's values are counted in bins: numbers between the deciles of the
training, texts by category, and apart from them what is missing or was not
seen. Deciles that are the same are one; where the largest value is a decile it
has a bin of its own, and where all rows had one value, so has that. The measure
is the population stability index: with e and a the shares of a bin in training
and in what was asked, the sum of (a - e) ln(a / e). Half a row is added to
every bin, so that no share is zero.

Where nothing has changed the index is about (bins - 1) (1/n + 1/m) for n rows
asked and m trained on: this noise is told beside it, and taken off before it is
judged.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from operator import add
from random import Random
from threading import Lock
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET

from mlservice.figures import DriftFigures
from mlservice.preparation import Column, Columns, Texts, labels, places_of
from mlservice.profile import FeatureProfile, Profile
from mlservice.schemas import Feature

# Cells of a row that are looked at on the average, which bounds what looking costs.
_CELLS = 4
# Rows that are kept until they are counted.
_AT_ONCE = 64
# So many take at least as long: of more, every other one is looked at, or fewer, since a row
# that is kept costs a request of 26 µs two more.
_PACE_S = 0.05
_MOST_SKIPPED = 64
# Rows of a table that are looked at.
_ROWS = 1_000
# So many times as long as looking at a table took none is looked at: 3 % of the time at most.
_REST = 32
_MOST_REST_S = 0.1
MOST_FEATURES = 200
# Beyond, counts are halved: what was asked lately weighs more.
_MOST_ROWS = 100_000
MODERATE, MAJOR = 0.1, 0.25
# About what is not above each decile, of models of a format that does not tell it.
_TENTHS = tuple(tenth / 10 for tenth in range(1, 10))
# The index is judged when the noise of what was asked is at most this.
MOST_NOISE = 0.05

Verdict = Literal["too-few-rows", "stable", "moderate", "major"]


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far a feature is from its training: population stability index, its noise, in a word."""

    feature: str
    rows: int
    psi: float
    noise: float
    verdict: Verdict


class _Bins:
    """Where a feature's values are counted."""

    def __init__(self, feature: Feature, profile: FeatureProfile, rows: int) -> None:
        self.feature = feature
        missing = rows - profile.count
        if profile.counts is not UNSET:
            # The last is for texts that training had not seen.
            self.expected = [*map(float, profile.counts), 0.0]
        else:
            ends = _ends(profile)
            self._edges = np.array(list(ends)[:-1])
            shares = np.diff([0.0, *ends.values()]) * profile.count
            self.expected = [*shares.tolist(), float(missing)]
        self._places = {label: place for place, label in enumerate(labels(feature))}

    def tally(self, values: Sequence[Any]) -> list[int]:
        """Return how many of some rows' values are in each bin."""
        if self.feature.kind == "number":
            return self.count(np.array(values, dtype=np.float64), 1)
        last = len(self.expected) - 1
        found = Counter(self._places.get(value or "", last) for value in values)
        return [found[place] for place in range(last + 1)]

    def count(self, column: Column, every: int) -> list[int]:
        """Return how many of a column's cells are in each bin."""
        last = len(self.expected) - 1
        if isinstance(column, Texts):
            found = places_of(self.feature, column)[::every]
            places = np.where(found < 0, last, found)
        else:
            values = column[::every]
            places = np.where(np.isnan(values), last, np.searchsorted(self._edges, values))
        counts: list[int] = np.bincount(places, minlength=last + 1).tolist()
        return counts


def _ends(profile: FeatureProfile) -> dict[float, float]:
    """Return the upper ends of the bins, and the share of rows that are not above each."""
    if profile.deciles is UNSET or profile.max is UNSET:
        return {math.inf: 1.0}
    below = math.nextafter(profile.max, -math.inf)
    if profile.min == profile.max:
        return {below: 0.0, profile.max: 1.0, math.inf: 1.0}
    shares = _TENTHS if profile.shares is UNSET else profile.shares
    pairs = zip(profile.deciles, shares, strict=True)
    found = {edge if edge < profile.max else below: share for edge, share in pairs}
    if profile.shares is UNSET:
        found.pop(below, None)
    return _filled(found) | {math.inf: 1.0}


def _filled(ends: Mapping[float, float]) -> dict[float, float]:
    """Leave out the ends of bins that no row of the training is in."""
    found: dict[float, float] = {}
    last = 0.0
    for end, share in ends.items():
        if last < share < 1.0:
            found[end] = last = share
    return found


class Watch:
    """Counts of what one model is asked, by feature and bin.

    Parameters
    ----------
    features : sequence of Feature
        The model's; the first 200 are watched.
    profile : Profile
        What they were like in training.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        profile: Profile,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        pairs = list(zip(features, profile.features, strict=True))[:MOST_FEATURES]
        self._bins = [_Bins(feature, found, profile.rows) for feature, found in pairs]
        self._seen = [[0] * len(each.expected) for each in self._bins]
        self._least = self._every = math.ceil(len(pairs) / _CELLS)
        self._clock, self._begun = clock, clock()
        self._turn = self._every
        self._chance = Random().randrange  # noqa: S311  # a sample, not a secret
        self._rows: list[Sequence[Any]] = []
        self._of_tables = [list(counts) for counts in self._seen]
        self._arrived: deque[list[list[int]]] = deque()
        self._rested = -math.inf
        self._lock = Lock()

    def see(self, row: Sequence[Any]) -> None:
        """Note a row, in the order of the model's features; of wide or many every n-th counts.

        On the event loop only.
        """
        self._turn -= 1
        if self._turn > 0:
            return
        self._turn = self._every
        if self._every > self._least:
            # A chance, not a beat: rows may come in a pattern.
            self._turn = self._chance(1, 2 * self._every)
        self._rows.append(row[:MOST_FEATURES])
        if len(self._rows) >= _AT_ONCE:
            self._count()
            self._keep_pace()

    def _keep_pace(self) -> None:
        """Look at fewer rows when they come quickly, and at more when they come slowly."""
        now = self._clock()
        taken_s, self._begun = now - self._begun, now
        if taken_s < _PACE_S:
            self._every = min(2 * self._every, _MOST_SKIPPED * self._least)
        elif taken_s > 4 * _PACE_S:
            self._every = max(self._every // 2, self._least)

    def _count(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            columns = zip(self._bins, zip(*rows, strict=True), strict=False)
            found = [bins.tally(values) for bins, values in columns]
            self._seen = _lately(_sums(self._seen, found))

    def look(self, columns: Columns, rows: int) -> None:
        """Note the rows of a table, evenly chosen; of tables that come quickly some count.

        Any thread may.
        """
        if (begun := self._clock()) < self._rested:
            return
        every = max(1, math.ceil(rows / _ROWS))
        found = [bins.count(columns[bins.feature.name], every) for bins in self._bins]
        self._arrived.append(found)
        ended = self._clock()
        self._rested = ended + min(_REST * (ended - begun), _MOST_REST_S)
        # Nobody waits: who finds the lock taken leaves its counts to whoever has it next.
        if self._lock.acquire(blocking=False):
            try:
                self._take_in()
            finally:
                self._lock.release()

    def _take_in(self) -> None:
        while self._arrived:
            self._of_tables = _lately(_sums(self._of_tables, self._arrived.popleft()))

    def figures(self) -> DriftFigures:
        """Return what was counted."""
        self._count()
        return DriftFigures(
            features=[bins.feature.name for bins in self._bins],
            expected=[bins.expected for bins in self._bins],
            seen=_sums(self._seen, self._of_tables),
        )


def _sums(one: list[list[int]], other: list[list[int]]) -> list[list[int]]:
    return [list(map(add, *pair)) for pair in zip(one, other, strict=True)]


def _lately(seen: list[list[int]]) -> list[list[int]]:
    """Halve counts that have become many."""
    if sum(seen[0]) <= _MOST_ROWS:
        return seen
    return [[count // 2 for count in counts] for counts in seen]


def drift_of(figures: DriftFigures) -> list[FeatureDrift]:
    """Judge each feature, those that have changed most first."""
    told = map(_judge, figures.features, figures.expected, figures.seen)
    return sorted(told, key=lambda each: each.psi, reverse=True)


def _judge(feature: str, expected: list[float], seen: list[int]) -> FeatureDrift:
    asked, trained = sum(seen), sum(expected)
    of_asked, of_trained = ((len(seen) - 1) / max(rows, 1) for rows in (asked, trained))
    found, noise = psi(expected, seen), of_asked + of_trained
    verdict: Verdict = "stable"
    if of_asked > MOST_NOISE:
        verdict = "too-few-rows"
    elif found - noise >= MAJOR:
        verdict = "major"
    elif found - noise >= MODERATE:
        verdict = "moderate"
    return FeatureDrift(feature=feature, rows=asked, psi=found, noise=noise, verdict=verdict)


def psi(expected: Sequence[float], seen: Sequence[float]) -> float:
    """Return the population stability index of counts in the same bins.

    Parameters
    ----------
    expected, seen : sequence of length n_bins
        Rows of the training and rows asked.
    """
    wholes = [sum(counts) + len(counts) / 2 for counts in (expected, seen)]
    shares = zip(expected, seen, strict=True)
    pairs = [((e + 0.5) / wholes[0], (a + 0.5) / wholes[1]) for e, a in shares]
    return sum((a - e) * math.log(a / e) for e, a in pairs)
