"""What a process counts: its requests by route and status, and the rows of each model.

Counting stands on the way of every request, so it is plain integers in lists.
All else, names and sums over processes, is made when somebody asks.
"""

from collections import OrderedDict
from collections.abc import Sequence
from time import perf_counter, time

from aiohttp import web

from mlservice.drift import Watch
from mlservice.figures import BUCKETS, UNSEEN, DriftFigures, Figures, ModelFigures, Timing

MOST_MODELS = 1_000


class Durations:
    """How long something took, each time: a histogram with bounds of powers of two."""

    __slots__ = ("buckets", "total_s")

    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[int(seconds * 1e6).bit_length()] += 1
        self.total_s += seconds

    def figures(self) -> Timing:
        """Return what was counted."""
        return Timing(buckets=list(self.buckets), total_s=self.total_s)


class ModelCounts:
    """What one model was asked.

    Attributes
    ----------
    labels : list of str
        Names of the classes.
    by_class : list of int
        Rows that were predicted to be of each class.
    errors : int
        Requests that were refused for what they asked.
    durations : Durations
        How long the answers took to make, without HTTP.
    last_s : float
        When the last prediction was made, by `perf_counter`; 0: never.
    told : (float, int)
        The last one that was asked for, and in Unix time: the same whenever it is asked.
    watch : Watch or None
        Where the values of features are counted, if they are.
    """

    __slots__ = ("by_class", "durations", "errors", "labels", "last_s", "told", "watch")

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self.by_class = [0] * len(labels)
        self.errors = 0
        self.last_s = 0.0
        self.told = (self.last_s, 0)
        self.durations = Durations()
        self.watch: Watch | None = None

    def add_row(self, best: int, begun_s: float) -> None:
        """Count a request for one row, by the position of its class; it ends now."""
        self.by_class[best] += 1
        # The clock is looked at once for both.
        self.last_s = now = perf_counter()
        self.durations.add(now - begun_s)

    def add_rows(self, by_class: Sequence[int], begun_s: float) -> None:
        """Count a request for many rows, by how many are of each class; it ends now."""
        self.add_some(by_class)
        self.durations.add(perf_counter() - begun_s)

    def add_some(self, by_class: Sequence[int]) -> None:
        """Count some rows of a request, which is counted when it ends."""
        self.by_class = [sum(pair) for pair in zip(self.by_class, by_class, strict=True)]
        if any(by_class):
            self.last_s = perf_counter()

    def last_ms(self) -> int:
        """Return when the last prediction was made, in Unix time; 0: never."""
        if self.told[0] != self.last_s:
            self.told = self.last_s, round((time() - perf_counter() + self.last_s) * 1e3)
        return self.told[1]

    def figures(self) -> ModelFigures:
        """Return what was counted."""
        return ModelFigures(
            by_class=dict(zip(self.labels, self.by_class, strict=True)),
            errors=self.errors,
            durations=self.durations.figures(),
            drift=self.watch.figures() if self.watch else DriftFigures(),
        )


class Counts:
    """All that a process counts.

    Parameters
    ----------
    most_models : int
        Models that are counted apart: those that were loaded last. The others are summed.

    Attributes
    ----------
    answered : int
        Requests that were answered.
    """

    def __init__(self, most_models: int = MOST_MODELS) -> None:
        self.answered = 0
        self._most_models = most_models
        self._requests: dict[tuple[web.AbstractRoute | None, int], Durations] = {}
        self._models: OrderedDict[str, ModelCounts] = OrderedDict()
        self._rest = UNSEEN

    def add_request(self, route: web.AbstractRoute | None, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.answered += 1
        durations = self._requests.get((route, status))
        if durations is None:
            # What finds no route has a new object for it each time.
            key = (route if type(route) is web.ResourceRoute else None), status
            durations = self._requests.setdefault(key, Durations())
        durations.add(seconds)

    def of(self, tenant: str, model_id: str, labels: Sequence[str]) -> ModelCounts:
        """Return the counts of a model that was loaded, going on from where they were."""
        key = f"{tenant}/{model_id}"
        counts = self._models.get(key)
        if counts is None:
            counts = self._models[key] = ModelCounts(labels)
            if len(self._models) > self._most_models:
                self._rest += self._models.popitem(last=False)[1].figures().without_classes()
        self._models.move_to_end(key)
        return counts

    def of_tenant(self, tenant: str) -> dict[str, ModelCounts]:
        """Return the counts of a tenant's models, by id, the one that was loaded last the last."""
        parts = ((key.partition("/"), counts) for key, counts in self._models.items())
        return {model_id: counts for (owner, _, model_id), counts in parts if owner == tenant}

    def figures(self, events: dict[str, int], levels: dict[str, int]) -> Figures:
        """Return all that was counted, beside what others have counted."""
        return Figures(
            requests={_name(*key): found.figures() for key, found in self._requests.items()},
            models={name: counts.figures() for name, counts in self._models.items()},
            rest=self._rest,
            events=events,
            levels=levels,
        )


def _name(route: web.AbstractRoute | None, status: int) -> str:
    if route is None or route.resource is None:
        return f"* * {status}"
    return f"{route.method} {route.resource.canonical} {status}"


COUNTS = web.AppKey("counts", Counts)
