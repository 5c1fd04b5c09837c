"""What a process counts, and how figures of several are summed."""

from time import perf_counter

import msgspec
import pytest
from aiohttp import web

from mlservice.counts import COUNTS, Counts, Durations, ModelCounts
from mlservice.figures import NOTHING, Figures, total
from mlservice.settings import Settings
from tests.support import Client, make_model, store_model


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (1e-6, 1), (3e-6, 2), (0.001, 10), (1.0, 20), (86400.0, 37)]
)
def test_a_duration_is_counted_below_the_next_power_of_two(seconds: float, bucket: int) -> None:
    """Bucket n is for less than two to the n microseconds, and a day fits."""
    durations = Durations()

    durations.add(seconds)

    assert durations.buckets[bucket] == 1
    assert seconds * 1e6 < 2**bucket
    assert durations.figures().count == 1


def test_rows_are_counted_by_class() -> None:
    """One by one and many at once come to the same."""
    singly, at_once = ModelCounts(["no", "yes"]), ModelCounts(["no", "yes"])
    for best in (0, 1, 1):
        singly.add_row(best, perf_counter())

    at_once.add_rows([1, 2], perf_counter())

    assert singly.figures().by_class == at_once.figures().by_class == {"no": 1, "yes": 2}


def test_a_model_that_comes_back_goes_on_and_one_too_many_joins_the_rest() -> None:
    """No row is lost from the sum, whichever models are counted apart."""
    counts = Counts(most_models=2)
    for model_id in ("one", "two", "one", "three"):
        counts.of("anonymous", model_id, ["no", "yes"]).add_row(1, perf_counter())

    figures = counts.figures({}, {})

    assert {name: model.rows for name, model in figures.models.items()} == {
        "anonymous/one": 2,
        "anonymous/three": 1,
    }
    assert (figures.rest.rows, figures.rest.durations.count) == (1, 1)


def test_figures_of_processes_are_summed_and_cross_as_json() -> None:
    """Requests, models, events and levels add up; what one has not, the other has."""
    one, other = Counts(), Counts()
    one.of("t", "shared", ["a", "b"]).add_row(0, perf_counter())
    other.of("t", "shared", ["a", "b"]).add_row(1, perf_counter())
    other.of("t", "own", ["a", "b"]).add_row(1, perf_counter())
    one.add_request(None, 404, 0.5)
    other.add_request(None, 404, 0.5)
    sent = msgspec.json.encode(other.figures({"loads": 2}, {"models": 1}))

    together = total(
        [one.figures({"loads": 1}, {"models": 1}), msgspec.json.decode(sent, type=Figures)]
    )

    assert together.models["t/shared"].by_class == {"a": 1, "b": 1}
    assert together.models["t/own"].rows == 1
    assert together.requests["* * 404"].count == 2
    assert together.requests["* * 404"].total_s == 1.0
    assert (together.events, together.levels) == ({"loads": 3}, {"models": 2})
    assert total([]) == NOTHING


async def test_requests_are_counted_by_route_and_status(
    app: web.Application, client: Client, settings: Settings
) -> None:
    """The route's path, never the client's; what has no route is one entry for each status."""
    model_id = await store_model(settings, make_model())
    paths = ("?a=1&b=2", "?a=1")
    for path in (*(f"/models/{model_id}{each}" for each in paths), "/params", "/x", "/y", "/z"):
        await client.get(path)
    await client.put("/models")
    await client.get("/health/live", headers={"Host": "rebound.example"})

    counted = app[COUNTS].figures({}, {})

    assert {name: timing.count for name, timing in counted.requests.items()} == {
        "GET /models/{id} 200": 1,
        "GET /models/{id} 422": 1,
        "GET /params 200": 1,
        "* * 404": 3,
        "* * 405": 1,
        "* * 403": 1,
    }
    model = counted.models[f"anonymous/{model_id}"]
    assert (model.rows, model.errors, model.durations.count) == (1, 1, 1)
