"""What was counted, in a form that crosses processes and can be summed."""

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import accumulate
from operator import add
from typing import Any

import msgspec

# A time of n microseconds is counted in the bucket of n's binary digits.
BUCKETS = 48


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Durations, as another process reads them."""

    buckets: list[int]
    total_s: float

    def __add__(self, other: "Timing") -> "Timing":
        """Return both together."""
        buckets = [sum(pair) for pair in zip(self.buckets, other.buckets, strict=True)]
        return Timing(buckets=buckets, total_s=self.total_s + other.total_s)

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    def bound(self, share: float) -> float:
        """Return seconds that at least this share took less than; 0 if there were none."""
        below = accumulate(self.buckets)
        needed = share * self.count
        if not self.count:
            return 0.0
        return next(2.0**n / 1e6 for n, found in enumerate(below) if found >= needed)


class DriftFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the training and rows asked, by feature and bin; see `drift`."""

    features: list[str] = []
    expected: list[list[float]] = []
    seen: list[list[int]] = []

    def __add__(self, other: "DriftFigures") -> "DriftFigures":
        """Return both together."""
        if self.features != other.features:
            return self if self.features else other
        seen = [
            [sum(pair) for pair in zip(*counts, strict=True)]
            for counts in zip(self.seen, other.seen, strict=True)
        ]
        return msgspec.structs.replace(self, seen=seen)


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one model was asked, as another process reads it."""

    by_class: dict[str, int]
    errors: int
    durations: Timing
    drift: DriftFigures = DriftFigures()

    def __add__(self, other: "ModelFigures") -> "ModelFigures":
        """Return both together."""
        return ModelFigures(
            by_class=_sum(self.by_class, other.by_class),
            errors=self.errors + other.errors,
            durations=self.durations + other.durations,
            drift=self.drift + other.drift,
        )

    def without_classes(self) -> "ModelFigures":
        """Return the same, its rows under no class's name, and without its features."""
        return msgspec.structs.replace(self, by_class={"": self.rows}, drift=DriftFigures())

    @property
    def rows(self) -> int:
        """How many rows were predicted."""
        return sum(self.by_class.values())


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All that a process has counted, or several together.

    Attributes
    ----------
    requests : dict of str to Timing
        By method, route and status, with a space between.
    models : dict of str to ModelFigures
        By tenant and id, with a slash between.
    rest : ModelFigures
        Models that are not among the last ones, summed, without their classes.
    events : dict of str to int
        How often other things happened.
    levels : dict of str to int
        What rises and falls; of a process that has ended it is nothing.
    """

    requests: dict[str, Timing] = {}
    models: dict[str, ModelFigures] = {}
    rest: ModelFigures
    events: dict[str, int] = {}
    levels: dict[str, int] = {}

    def __add__(self, other: "Figures") -> "Figures":
        """Return both together."""
        return Figures(
            requests=_sum(self.requests, other.requests),
            models=_sum(self.models, other.models),
            rest=self.rest + other.rest,
            events=_sum(self.events, other.events),
            levels=_sum(self.levels, other.levels),
        )


def total(figures: Iterable[Figures]) -> Figures:
    """Return the figures of several processes together."""
    return reduce(add, figures, NOTHING)


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: one[name] + other[name] if name in one and name in other else value
        for name, value in {**one, **other}.items()
    }


UNSEEN = ModelFigures(by_class={}, errors=0, durations=Timing(buckets=[0] * BUCKETS, total_s=0.0))
NOTHING = Figures(rest=UNSEEN)
