"""What was counted, for Prometheus and for each model."""

import asyncio
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from mlservice.app import create_app
from mlservice.counts import Counts, Durations
from mlservice.drift import Watch, drift_of
from mlservice.exposition import exposition
from mlservice.figures import NOTHING
from mlservice.ledger import Ledger
from mlservice.profile import FeatureProfile, Profile
from mlservice.schemas import Feature
from mlservice.settings import Settings
from mlservice.store import QueueState
from tests.support import (
    Client,
    Server,
    create,
    get,
    make_model,
    make_request,
    store_model,
    until,
    work,
)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Return each sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return the key of a sample; a label that is a word of Python ends with an underline."""
    return name, frozenset((label.rstrip("_"), value) for label, value in labels.items())


async def test_metrics_tell_of_requests_models_cache_and_queue(
    client: Client, settings: Settings
) -> None:
    """What was asked before stands in the text that Prometheus reads, by its own parser."""
    model_id = await store_model(settings, make_model(coef=[[1.0, 0.0]], intercept=[0.0]))
    for query in ("a=1&b=0", "a=2&b=0", "a=-1&b=0", "a=x&b=0"):
        await client.get(f"/models/{model_id}?{query}")
    await create(client, make_request())

    response = await client.get("/metrics")

    found = samples(await response.text())
    row = {"method": "GET", "route": "/models/{id}"}
    of = {"tenant": "anonymous", "model": model_id}
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert found[key("mlservice_requests_total", **row, status="200")] == 3
    assert found[key("mlservice_requests_total", **row, status="422")] == 1
    assert found[key("mlservice_request_seconds_count", **row)] == 4
    assert found[key("mlservice_request_seconds_bucket", **row, le="+Inf")] == 4
    assert found[key("mlservice_predictions_total", **of, class_="yes")] == 2
    assert found[key("mlservice_predictions_total", **of, class_="no")] == 1
    assert found[key("mlservice_prediction_errors_total", **of)] == 1
    assert found[key("mlservice_cache_loads_total")] == 1
    assert found[key("mlservice_cache_hits_total")] == 3
    assert found[key("mlservice_cache_models")] == 1
    assert found[key("mlservice_trainings", state="queued")] == 1
    assert 0 <= found[key("mlservice_queue_oldest_seconds")] < 5
    assert found[key("mlservice_store_up")] == 1


async def test_metrics_are_told_while_the_store_is_away(
    aiohttp_client: Any, settings: Settings, tmp_path: Path
) -> None:
    """What the process knows itself is told; of the queue nothing is made up."""
    away = msgspec.structs.replace(settings, redis_url=f"unix://{tmp_path}/none.sock")
    client = await aiohttp_client(Server(create_app(away)))

    found = samples(await (await client.get("/metrics")).text())

    assert found[key("mlservice_store_up")] == 0
    assert key("mlservice_workers") not in found


async def test_the_queue_empties_when_a_worker_has_worked(
    client: Client, settings: Settings
) -> None:
    """Nothing is queued or old after the last training."""
    await create(client, make_request())
    await work(settings)

    found = samples(await (await client.get("/metrics")).text())

    assert found[key("mlservice_trainings", state="queued")] == 0
    assert found[key("mlservice_trainings", state="training")] == 0
    assert found[key("mlservice_queue_oldest_seconds")] == 0


def test_series_are_bounded_and_lose_no_row() -> None:
    """The models that predicted most have series of their own, the others one together."""
    counts = Counts()
    for number, rows in enumerate((5, 1, 3)):
        counts.of("t", str(number), ["no", "yes"]).add_rows([rows, 0], perf_counter())

    text = exposition(counts.figures({}, {}), None, "t", most_models=2).decode()

    found = {k: v for k, v in samples(text).items() if k[0] == "mlservice_predictions_total"}
    assert found[key("mlservice_predictions_total", tenant="t", model="0", class_="no")] == 5
    assert found[key("mlservice_predictions_total", tenant="", model="other", class_="")] == 1
    assert sum(found.values()) == 9
    assert not [k for k in found if ("model", "1") in k[1]]


def test_models_of_another_tenant_are_not_told_apart() -> None:
    """Of what belongs to others neither an id nor a class is told, only the sum."""
    counts = Counts()
    for tenant in ("own", "other", "own-too"):
        counts.of(tenant, f"model-of-{tenant}", ["no", f"class-of-{tenant}"]).add_row(
            1, perf_counter()
        )

    text = exposition(counts.figures({}, {}), None, "own").decode()

    found = {k: v for k, v in samples(text).items() if k[0] == "mlservice_predictions_total"}
    assert found[key("mlservice_predictions_total", tenant="", model="other", class_="")] == 2
    assert sum(found.values()) == 3
    assert "class-of-own" in text
    for name in ("model-of-other", "class-of-other", "model-of-own-too", "class-of-own-too"):
        assert name not in text


def test_a_label_may_have_any_characters() -> None:
    """Quotes, line ends and backslashes of a class are escaped."""
    counts = Counts()
    counts.of("t", "m", ['a"b\n\\', "ü"]).add_row(0, perf_counter())
    queue = QueueState(queued=0, training=0, oldest_s=0.0, workers=0)

    found = samples(exposition(counts.figures({}, {}), queue, "t").decode())

    assert found[key("mlservice_predictions_total", tenant="t", model="m", class_='a"b\n\\')] == 1


@pytest.mark.parametrize(
    ("share", "bound"), [(0.5, 0.000128), (0.9, 0.000128), (0.99, 0.131072), (1.0, 0.131072)]
)
def test_a_share_of_durations_is_below_its_bound(share: float, bound: float) -> None:
    """The bound is the first power of two that so many were below."""
    durations = Durations()
    for _ in range(95):
        durations.add(0.0001)
    for _ in range(5):
        durations.add(0.1)

    assert durations.figures().bound(share) == pytest.approx(bound)
    assert Durations().figures().bound(share) == 0.0


def watched(counts: Counts, name: str, features: int, rows: int = 1) -> None:
    """Count rows of a model whose features are watched."""
    known = counts.of("t", name, ["no", "yes"])
    column = FeatureProfile(
        count=10, min=0.0, max=9.0, mean=4.5, std=3.0, deciles=tuple(map(float, range(1, 10)))
    )
    profile = Profile(rows=10, classes=(5, 5), features=(column,) * features)
    known.watch = Watch([Feature(name=f"f{place}") for place in range(features)], profile)
    for _ in range(rows):
        known.watch.see([1.0] * features)
        known.add_row(0, perf_counter())


def test_drift_is_told_of_each_feature_of_the_models_that_predict_most() -> None:
    """The index and its noise are those of `/drift`; what nobody asked has none."""
    counts = Counts()
    watched(counts, "asked", 2)
    watched(counts, "silent", 1, rows=0)
    known = counts.of("t", "asked", []).watch
    assert known

    found = samples(exposition(counts.figures({}, {}), None, "t").decode())

    first, second = drift_of(known.figures())
    psi = {k: v for k, v in found.items() if k[0] == "mlservice_feature_psi"}
    of = {"tenant": "t", "model": "asked"}
    assert psi == {
        key("mlservice_feature_psi", **of, feature=each.feature): each.psi
        for each in (first, second)
    }
    assert found[key("mlservice_feature_psi_noise", **of, feature="f0")] == first.noise


def test_features_that_are_told_of_are_bounded() -> None:
    """A model stands there with all of its features or with none."""
    counts = Counts()
    for name in ("one", "two", "three"):
        watched(counts, name, 3)

    found = samples(exposition(counts.figures({}, {}), None, "t", most_features=7).decode())

    told = [dict(labels)["model"] for name, labels in found if name == "mlservice_feature_psi"]
    assert len(told) == 6
    assert len(set(told)) == 2


async def test_a_table_of_few_rows_counts_as_a_request(client: Client, settings: Settings) -> None:
    """Its rows by class, and one latency, though it takes a shorter way than large ones."""
    model_id = await store_model(settings, make_model(coef=[[1.0, 0.0]], intercept=[0.0]))

    await client.post(f"/models/{model_id}/predictions", json={"a": [1, 2, -1], "b": [0, 0, 0]})

    told = await get(client, f"/models/{model_id}/statistics")
    assert (told["requests"], told["rows"]) == (1, 3)
    assert told["predictions"] == {"no": 1, "yes": 2}


@pytest.mark.parametrize(
    ("media_type", "body"),
    [("application/json", b'{"a": [1, 2], "b": [0, 0]}'), ("text/csv", b"a,b\n1,0\n2,0\n")],
)
async def test_rows_are_counted_by_the_class_that_is_told(
    client: Client, settings: Settings, media_type: str, body: bytes
) -> None:
    """Where a threshold decides, it decides what is counted as well."""
    model_id = await store_model(settings, make_model(coef=[[1.0, 0.0]], intercept=[0.0]))

    await client.post(
        f"/models/{model_id}/predictions?threshold.no=0",
        data=body,
        headers={"Content-Type": media_type},
    )

    told = await get(client, f"/models/{model_id}/statistics")
    assert told["predictions"] == {"no": 2, "yes": 0}


async def test_streamed_rows_are_counted(client: Client, settings: Settings) -> None:
    """By class as they come; the stream is one request, and a wrong row counts nothing."""
    model_id = await store_model(settings, make_model(coef=[[1.0, 0.0]], intercept=[0.0]))
    url, csv = f"/models/{model_id}/predictions", {"Content-Type": "text/csv"}

    answer = await client.post(url, data=b"a,b\n1,0\n2,0\n-1,0\nx,0\n", headers=csv)
    refused = await client.post(url, data=b"a\n1\n", headers=csv)

    assert len((await answer.text()).splitlines()) == 5
    assert refused.status == 422
    told = await get(client, f"/models/{model_id}/statistics")
    assert (told["requests"], told["rows"], told["errors"]) == (1, 3, 1)
    assert told["predictions"] == {"no": 1, "yes": 2}


async def test_statistics_tell_what_a_model_was_asked(client: Client, settings: Settings) -> None:
    """Rows by class, refusals and latency; by an alias too, and for a model that nobody asked."""
    asked, idle = [
        await store_model(settings, make_model(coef=[[1.0, 0.0]], intercept=[0.0]))
        for _ in range(2)
    ]
    await client.put("/aliases/best", json={"model": asked})
    for query in ("a=1&b=0", "a=-1&b=0", "a=-2&b=0", "a=x"):
        await client.get(f"/models/{asked}?{query}")

    told = await get(client, "/models/best/statistics")
    silent = await get(client, f"/models/{idle}/statistics")
    unknown = await client.get("/models/00000000-0000-4000-8000-000000000000/statistics")

    latency = told.pop("latency")
    assert told == {
        "model": asked,
        "requests": 3,
        "rows": 3,
        "errors": 1,
        "predictions": {"no": 2, "yes": 1},
    }
    assert latency["count"] == 3
    assert 0 < latency["p50_s"] <= latency["p90_s"] <= latency["p99_s"]
    assert (silent["rows"], silent["predictions"]) == (0, {})
    assert unknown.status == 404


async def test_figures_of_a_process_are_those_of_all_beside_it(tmp_path: Path) -> None:
    """Who is asked does not matter, and one that starts again goes on from where it was."""
    ones, others = Counts(), Counts()
    one = Ledger(lambda: ones.figures({"loads": 1}, {"models": 1}), tmp_path / "1.json")
    other = Ledger(lambda: others.figures({"loads": 2}, {"models": 2}), tmp_path / "2.json")
    keeper = asyncio.create_task(other.keep())
    others.add_request(None, 404, 0.1)
    ones.add_request(None, 404, 0.1)

    async def has_written() -> bool:
        return (await one.together()).levels["models"] == 3

    await until(has_written, within_s=5)
    together = await one.together()
    keeper.cancel()
    await asyncio.wait([keeper])
    again = Ledger(lambda: others.figures({"loads": 2}, {"models": 2}), tmp_path / "2.json")
    reader = asyncio.create_task(again.keep())
    await until(_has_past(again), within_s=5)
    reader.cancel()
    await asyncio.wait([reader])

    assert together.requests["* * 404"].count == 2
    assert (together.events, together.levels) == ({"loads": 3}, {"models": 3})
    assert again.own().events == {"loads": 4}
    assert again.own().levels == {"models": 2}


def _has_past(ledger: Ledger) -> Any:
    async def has_past() -> bool:
        return ledger.own().events["loads"] > 2

    return has_past


async def test_figures_that_cannot_be_written_are_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is gone, or a full disk, costs what is told meanwhile, and one line."""
    monkeypatch.setattr("mlservice.ledger.WRITE_S", 0.01)
    folder = tmp_path / "figures"
    ledger = Ledger(lambda: NOTHING, folder / "1.json")
    keeper = asyncio.create_task(ledger.keep())

    async def is_told() -> bool:
        return "figures cannot be written" in caplog.text

    async def is_written() -> bool:
        return (folder / "1.json").exists()

    await until(is_told, within_s=5)
    folder.mkdir()
    await until(is_written, within_s=5)
    keeper.cancel()
    await asyncio.wait([keeper])

    assert caplog.text.count("figures cannot be written") == 1


async def test_a_process_alone_writes_nothing() -> None:
    """Without a file there is nobody to tell."""
    ledger = Ledger(lambda: NOTHING)

    await ledger.keep()

    assert await ledger.together() == NOTHING
