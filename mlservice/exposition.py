"""Figures in the text format of Prometheus."""

from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mlservice import __version__
from mlservice.drift import FeatureDrift, drift_of
from mlservice.figures import Figures, ModelFigures, Timing
from mlservice.store.queue import QueueState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Models that have series of their own: those that predicted most. The others are summed.
MOST_MODELS = 50
# Features that are told of all models together.
MOST_FEATURES = 1_000
# Bounds from 64 µs to 67 s.
_FIRST, _LAST = 6, 26


def exposition(
    figures: Figures,
    queue: QueueState | None,
    tenant: str,
    most_models: int = MOST_MODELS,
    most_features: int = MOST_FEATURES,
) -> bytes:
    """Write figures as Prometheus reads them.

    Parameters
    ----------
    figures : Figures
        What was counted.
    queue : QueueState, optional
        What the store tells; left out where it does not answer.
    tenant : str
        Whose models are told apart. Those of others are summed, without their classes.
    most_models : int
        How many, those that predicted most.
    most_features : int
        How many features the drift is told of; the models that predicted most come first,
        each whole or not at all.
    """
    registry = CollectorRegistry()
    shown = _shown(figures, tenant, most_models)
    registry.register(_Families(figures, queue, shown, most_features))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(
        self,
        figures: Figures,
        queue: QueueState | None,
        shown: Mapping[str, ModelFigures],
        most_features: int,
    ) -> None:
        self._figures = figures
        self._queue = queue
        self._shown = shown
        self._most_features = most_features

    def collect(self) -> Iterator[Metric]:
        yield from _requests(self._figures.requests)
        yield from _models(self._figures, self._shown)
        yield from _drifts(self._shown, self._most_features)
        yield from _cache(self._figures)
        yield from _trainings(self._queue)
        build = GaugeMetricFamily("mlservice_build_info", "The version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build


def _requests(requests: dict[str, Timing]) -> Iterator[Metric]:
    answered = CounterMetricFamily(
        "mlservice_requests", "Requests answered.", labels=["method", "route", "status"]
    )
    spent: dict[tuple[str, str], Timing] = {}
    for name, timing in requests.items():
        method, route, status = name.split(" ")
        answered.add_metric([method, route, status], timing.count)
        key = method, route
        spent[key] = spent[key] + timing if key in spent else timing
    seconds = HistogramMetricFamily(
        "mlservice_request_seconds", "From a request's head to its answer.",
        labels=["method", "route"],
    )  # fmt: skip
    for labels, timing in spent.items():
        seconds.add_metric(labels, _bounds(timing), timing.total_s)
    yield answered
    yield seconds


def _bounds(timing: Timing) -> list[tuple[str, float]]:
    below = list(accumulate(timing.buckets))
    bounds = [(str(2**n / 1e6), float(below[n])) for n in range(_FIRST, _LAST + 1)]
    return [*bounds, ("+Inf", float(below[-1]))]


def _shown(figures: Figures, tenant: str, most_models: int) -> dict[str, ModelFigures]:
    """Return the tenant's models that predicted most, from the first."""
    own = [name for name in figures.models if name.startswith(f"{tenant}/")]
    ranked = sorted(own, key=lambda name: figures.models[name].rows, reverse=True)
    return {name: figures.models[name] for name in ranked[:most_models]}


def _models(figures: Figures, shown: Mapping[str, ModelFigures]) -> Iterator[Metric]:
    labels = ["tenant", "model"]
    rows = CounterMetricFamily("mlservice_predictions", "Rows.", labels=[*labels, "class"])
    errors = CounterMetricFamily("mlservice_prediction_errors", "Refused.", labels=labels)
    seconds = CounterMetricFamily("mlservice_prediction_seconds", "Without HTTP.", labels=labels)
    for name, each in [*shown.items(), ("/other", _others(figures, shown.keys()))]:
        owner, _, model = name.partition("/")
        for label, count in each.by_class.items():
            rows.add_metric([owner, model, label], count)
        errors.add_metric([owner, model], each.errors)
        seconds.add_metric([owner, model], each.durations.total_s)
    yield from (rows, errors, seconds)


def _drifts(shown: Mapping[str, ModelFigures], most_features: int) -> Iterator[Metric]:
    labels = ["tenant", "model", "feature"]
    index = GaugeMetricFamily(
        "mlservice_feature_psi", "Population stability index, against training.", labels=labels
    )
    noise = GaugeMetricFamily(
        "mlservice_feature_psi_noise", "What the index is where nothing has changed.", labels=labels
    )
    for name, told in _told(shown, most_features):
        owner, _, model = name.partition("/")
        index.add_metric([owner, model, told.feature], told.psi)
        noise.add_metric([owner, model, told.feature], told.noise)
    yield from (index, noise)


def _told(
    shown: Mapping[str, ModelFigures], most_features: int
) -> Iterator[tuple[str, FeatureDrift]]:
    """Yield the features of models that were asked, while there is room for all of a model's."""
    for name, each in shown.items():
        if len(each.drift.features) > most_features:
            return
        most_features -= len(each.drift.features)
        yield from ((name, told) for told in drift_of(each.drift) if told.rows)


def _others(figures: Figures, shown: Collection[str]) -> ModelFigures:
    found = figures.rest
    for name, each in figures.models.items():
        if name not in shown:
            found += each.without_classes()
    return found


def _cache(figures: Figures) -> Iterator[Metric]:
    texts = {
        "cache_hits": "Models that were in memory when they were asked for.",
        "cache_loads": "Models that were loaded.",
    }
    for name, text in texts.items():
        yield CounterMetricFamily(f"mlservice_{name}", text, value=figures.events.get(name, 0))
    texts = {
        "cache_models": "Models in memory, by process.",
        "cache_bytes": "Memory that they take.",
        "processes": "API processes.",
    }
    for name, text in texts.items():
        yield GaugeMetricFamily(f"mlservice_{name}", text, value=figures.levels.get(name, 0))


def _trainings(queue: QueueState | None) -> Iterator[Metric]:
    yield GaugeMetricFamily("mlservice_store_up", "Whether the store answers.", value=bool(queue))
    if queue is None:
        return
    states = GaugeMetricFamily("mlservice_trainings", "Open trainings.", labels=["state"])
    states.add_metric(["queued"], queue.queued)
    states.add_metric(["training"], queue.training)
    yield states
    yield GaugeMetricFamily(
        "mlservice_queue_oldest_seconds", "Longest wait in the queue.", value=queue.oldest_s
    )
    yield GaugeMetricFamily("mlservice_workers", "Workers seen of late.", value=queue.workers)
