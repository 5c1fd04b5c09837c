"""How far what a model is asked is from what it was trained on."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from mlservice.app import create_app
from mlservice.drift import MOST_FEATURES, Watch, drift_of, psi
from mlservice.figures import DriftFigures
from mlservice.model import Model
from mlservice.preparation import Column, Preparation, Texts
from mlservice.profile import Profile, profile_of
from mlservice.schemas import Feature
from mlservice.settings import Settings
from tests.support import Client, Server, get, make_model, store_model

RANDOM = np.random.default_rng(0)


def watch_of(
    *columns: Column, missing: Sequence[bool] = (), clock: Callable[[], float] | None = None
) -> Watch:
    """Return a watch of a model that was trained on these columns."""
    features = []
    for place, column in enumerate(columns):
        is_missing = bool(missing and missing[place])
        if isinstance(column, Texts):
            categories = tuple(column.values)
            kept = Feature(name=f"f{place}", kind="text", missing=is_missing, categories=categories)
        else:
            fill: Any = 0.0 if is_missing else msgspec.UNSET
            kept = Feature(name=f"f{place}", missing=is_missing, fill=fill)
        features.append(kept)
    rows = len(columns[0].codes if isinstance(columns[0], Texts) else columns[0])
    table = {f"f{place}": column for place, column in enumerate(columns)}
    y = np.zeros(rows, dtype=np.intp)
    profile = profile_of(table.values(), Preparation(tuple(features)), y, n_classes=2)
    # So slow a client that all its rows count.
    return Watch(features, profile, clock or itertools.count().__next__)


def test_the_index_is_what_one_computes_by_hand() -> None:
    """Half a row in every bin: shares 10.5/21 twice, then 5.5/21 and 15.5/21.

    Differences of 0.238095 times the logarithms 0.646627 and 0.389465.
    """
    found = psi([10, 10], [5, 15])

    assert found == pytest.approx(0.238095 * (0.646627 + 0.389465), abs=1e-5)
    assert psi([10, 30], [10, 30]) == 0


@pytest.mark.parametrize("is_table", [True, False])
def test_values_are_counted_between_the_deciles(is_table: bool) -> None:
    """A value on a decile is below it; the least and what is beyond the ends have their bins."""
    watch = watch_of(np.arange(11.0))
    values = [-5.0, 0.0, 1.0, 1.5, 9.0, 9.5, 10.0, 99.0]

    ask(watch, [np.array(values)], is_table=is_table)

    assert watch.figures().seen == [[3, 1, 0, 0, 0, 0, 0, 0, 1, 3, 0]]


def ask(watch: Watch, columns: list[NDArray[np.float64]], *, is_table: bool) -> None:
    """Ask rows one by one, or as a table."""
    if is_table:
        watch.look({f"f{i}": column for i, column in enumerate(columns)}, len(columns[0]))
    for row in [] if is_table else zip(*columns, strict=True):
        watch.see([None if np.isnan(value) else float(value) for value in row])


@pytest.mark.parametrize("is_table", [True, False])
def test_a_missing_number_has_a_bin_of_its_own(is_table: bool) -> None:
    """Half missing in training and none later is a drift, though the numbers are the same."""
    trained = np.where(np.arange(1000) % 2, np.nan, RANDOM.normal(size=1000))
    same, whole = watch_of(trained, missing=[True]), watch_of(trained, missing=[True])

    ask(same, [trained], is_table=is_table)
    ask(whole, [trained[~np.isnan(trained)]], is_table=is_table)

    assert drift_of(same.figures())[0].verdict == "stable"
    assert drift_of(whole.figures())[0].verdict == "major"


def test_texts_are_counted_by_category_and_new_ones_apart() -> None:
    """A table and single rows count alike; what was not seen is a bin that training left empty."""
    trained = Texts(("a", "b"), np.array([0, 1] * 100))
    rows, table = watch_of(trained), watch_of(trained)
    for text in ("a", "b", "b", "new"):
        rows.see([text])

    table.look({"f0": Texts(("a", "b", "new"), np.array([0, 1, 1, 2]))}, 4)

    assert rows.figures().seen == table.figures().seen == [[1, 2, 1]]
    assert rows.figures().expected == [[100.0, 100.0, 0.0]]


@pytest.mark.parametrize(("rows", "verdict"), [(179, "too-few-rows"), (201, "stable")])
def test_it_is_judged_when_there_are_enough_rows(rows: int, verdict: str) -> None:
    """With eleven bins 200 rows are needed; noise is then no drift."""
    trained = RANDOM.normal(size=5000)
    watch = watch_of(trained)

    ask(watch, [RANDOM.normal(size=rows)], is_table=False)

    assert drift_of(watch.figures())[0].verdict == verdict


@pytest.mark.parametrize(("shift", "verdict"), [(0, "stable"), (0.4, "moderate"), (1, "major")])
def test_a_shift_is_told_by_its_size(shift: float, verdict: str) -> None:
    """Two fifths of a standard deviation are moderate, a whole one is major."""
    watch = watch_of(RANDOM.normal(size=5000))

    ask(watch, [RANDOM.normal(size=1000) + shift], is_table=True)

    assert drift_of(watch.figures())[0].verdict == verdict


@pytest.mark.parametrize(
    "counts", [[1000], [500, 500], [199, 801], [950, 50], [50, 950], [199, 200, 200, 200, 201]]
)
def test_the_index_of_few_values_is_that_of_their_counts(counts: list[int]) -> None:
    """Each value has a bin and its own share: the same rows are none apart, others by how many."""
    column = np.repeat(np.arange(len(counts), dtype=np.float64), counts)
    same, other = watch_of(column), watch_of(column)

    ask(same, [column], is_table=True)
    ask(other, [column[::-1][:600]], is_table=True)

    shifted = np.bincount(column[::-1][:600].astype(int), minlength=len(counts)).tolist()
    empty = [0] if len(counts) > 1 else [0, 0, 0]
    assert drift_of(same.figures())[0].psi == pytest.approx(0.0, abs=1e-15)
    assert drift_of(other.figures())[0].psi == pytest.approx(
        psi([*map(float, counts), *empty], [*shifted, *empty])
    )


@pytest.mark.parametrize("value", [2.0, 4.0])
def test_a_column_that_was_always_the_same_drifts_when_it_is_not(value: float) -> None:
    """What is below and what is above the only value has a bin, which training left empty."""
    watch = watch_of(np.full(1000, 3.0))

    ask(watch, [np.repeat([3.0, value], 300)], is_table=True)

    assert drift_of(watch.figures())[0].verdict == "major"


def test_models_of_an_older_format_are_held_against_tenths() -> None:
    """Where the shares are not told each decile ends a tenth."""
    feature = Feature(name="a")
    values = np.arange(11.0)
    [found] = profile_of(
        [values], Preparation((feature,)), np.zeros(11, np.intp), n_classes=2
    ).features
    old = msgspec.structs.replace(found, shares=msgspec.UNSET)

    watch = Watch([feature], Profile(rows=11, classes=(11, 0), features=(old,)))

    assert watch.figures().expected == [pytest.approx([1.1] * 10 + [0.0])]


def test_what_is_looked_at_is_bounded() -> None:
    """Of wide rows some count, of many features the first, and old rows fade."""
    wide = watch_of(*[np.arange(10.0)] * (MOST_FEATURES + 5))
    long = watch_of(np.arange(10.0))
    for _ in range(100):
        wide.see([1.0] * (MOST_FEATURES + 5))
    for _ in range(150):
        ask(long, [RANDOM.uniform(0, 9, size=1000)], is_table=True)

    assert len(wide.figures().features) == MOST_FEATURES
    assert sum(wide.figures().seen[0]) == 100 // (MOST_FEATURES // 4)
    assert sum(long.figures().seen[0]) <= 100_000


@pytest.mark.parametrize(
    ("row_s", "least", "most"), [(0.0, 400, 500), (0.0001, 550, 1400), (0.001, 8192, 8192)]
)
def test_of_rows_that_come_quickly_few_are_looked_at(row_s: float, least: int, most: int) -> None:
    """Some 1,280 a second are looked at, and of all the more the less of them there are."""
    asked: list[None] = []
    watch = watch_of(np.arange(10.0), clock=lambda: len(asked) * row_s)

    for _ in range(8192):
        asked.append(None)
        watch.see([1.0])

    assert least <= sum(watch.figures().seen[0]) <= most


@pytest.mark.parametrize(("apart_s", "looked_at"), [(0.001, 1), (0.034, 10), (0.5, 10)])
def test_looking_at_tables_takes_a_small_part_of_the_time(apart_s: float, looked_at: int) -> None:
    """After a look that took 1 ms none is for 32 ms: of what comes more quickly some count."""
    times = [0.0]
    watch = watch_of(np.arange(10.0), clock=lambda: times.pop(0))

    for place in range(10):
        begun = place * apart_s
        times[:] = [begun, begun + 0.001]
        ask(watch, [np.array([1.0])], is_table=True)

    assert sum(watch.figures().seen[0]) == looked_at


def test_a_look_that_took_long_is_not_the_last() -> None:
    """What stopped the thread meanwhile may have taken a minute."""
    times = [0.0, 0.0, 60.0, 60.2, 60.3]
    watch = watch_of(np.arange(10.0), clock=lambda: times.pop(0))

    for _ in range(2):
        ask(watch, [np.array([1.0])], is_table=True)

    assert sum(watch.figures().seen[0]) == 2


def test_rows_in_a_pattern_are_looked_at_evenly() -> None:
    """Every other value is the same, and half of those that are looked at."""
    watch = watch_of(np.array([0.0, 1.0] * 50), clock=lambda: 0.0)

    for place in range(20_000):
        watch.see([float(place % 2)])

    [[low, high, _]] = watch.figures().seen
    assert 0.7 < low / high < 1.4


def test_figures_of_two_processes_add_up() -> None:
    """A process that has not loaded the model adds nothing."""
    one, other = watch_of(np.arange(10.0)), watch_of(np.arange(10.0))
    ask(one, [np.array([1.0])], is_table=False)
    ask(other, [np.array([1.0, 2.0])], is_table=False)

    together = one.figures() + DriftFigures() + other.figures()

    assert sum(together.seen[0]) == 3


def model_with_profile() -> Model:
    """Return a model of two features whose training was standard normal."""
    model = make_model()
    table: dict[str, Column] = {name: RANDOM.normal(size=5000) for name in ("a", "b")}
    y = np.zeros(5000, dtype=np.intp)
    profile = profile_of(table.values(), Preparation(model.features), y, n_classes=2)
    return dataclasses.replace(model, profile=profile)


async def test_drift_is_told_of_queries_and_tables(client: Client, settings: Settings) -> None:
    """The feature that has changed comes first; both ways of asking count."""
    model_id = await store_model(settings, model_with_profile())
    rows = {
        "a": RANDOM.normal(size=300).tolist(),
        "b": (RANDOM.normal(size=300) + 2).tolist(),
    }
    before = await get(client, f"/models/{model_id}/drift")
    await client.post(f"/models/{model_id}/predictions", json=rows)
    await client.get(f"/models/{model_id}?a=0&b=2")
    await client.post(f"/models/{model_id}/predictions", json={"a": [0.0], "b": [2.0]})

    after = await get(client, f"/models/{model_id}/drift")

    assert {each["verdict"] for each in before["features"]} == {"too-few-rows"}
    assert [(each["feature"], each["verdict"]) for each in after["features"]] == [
        ("b", "major"),
        ("a", "stable"),
    ]
    assert {each["rows"] for each in after["features"]} == {302}
    statistics = await get(client, f"/models/{model_id}/statistics")
    assert statistics["rows"] == 302


@pytest.mark.parametrize("protocol", ["v2", "v1", "mlflow"])
@pytest.mark.parametrize("rows", [1, 3, 9, 2000])
async def test_drift_is_told_of_each_protocol(
    client: Client, settings: Settings, protocol: str, rows: int
) -> None:
    """Few rows or many, in a small body or in one that a thread reads, are looked at once."""
    model_id = await store_model(settings, model_with_profile())
    X = [[0.25, -0.25]] * rows
    tensor = {"name": "i", "datatype": "FP64", "shape": [rows, 2], "data": X}
    path, body = {
        "v2": (f"/v2/models/{model_id}/infer", {"inputs": [tensor]}),
        "v1": (f"/v1/models/{model_id}:predict", {"instances": X}),
        "mlflow": (f"/models/{model_id}/invocations", {"inputs": X}),
    }[protocol]

    await client.post(path, json=body)

    told = (await get(client, f"/models/{model_id}/drift"))["features"]
    # Of a table 1,000 are looked at.
    assert {each["rows"] for each in told} == {min(rows, 1000)}


async def test_drift_can_be_switched_off(aiohttp_client: Any, settings: Settings) -> None:
    """Then nothing is counted, and nothing is told."""
    off = msgspec.structs.replace(settings, drift=False)
    client = await aiohttp_client(Server(create_app(off)))
    model_id = await store_model(settings, model_with_profile())

    await client.get(f"/models/{model_id}?a=0&b=2")

    assert (await get(client, f"/models/{model_id}/drift"))["features"] == []
