"""Predictions of tables over HTTP, in every form and media type."""

import gzip
import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import msgpack
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from mlservice import cutting
from mlservice.model import Model
from mlservice.profile import FeatureProfile, Profile
from mlservice.schemas import Feature
from mlservice.scoring import pipeline
from mlservice.settings import Settings
from tests.support import Client, make_model, store_model

NAMES = ("a", "b")
X = np.array([[1.5, -2.0], [0.25, 3.0], [-1.0, 0.5]])
COLUMNS = {"a": X[:, 0].tolist(), "b": X[:, 1].tolist()}
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in X.tolist()]
SPLIT = {"columns": ["b", "a"], "data": X[:, ::-1].tolist()}
FORMS = [COLUMNS, RECORDS, SPLIT, SPLIT | {"index": [7, 8, 9]}]


def three_classes() -> Model:
    """Return a model of two numbers and three classes."""
    coef = [[1.0, -0.5], [0.25, 0.5], [-1.0, 0.125]]
    return make_model(classes=("no", "yes", "zz"), features=NAMES, coef=coef, intercept=[0, 0.5, 1])


def mixed() -> Model:
    """Return a model of a scaled number that may be missing, and a text."""
    features = (
        Feature(name="n", missing=True, fill=2.0, mean=1.0, scale=4.0),
        Feature(name="t", kind="text", categories=("x", "y, z")),
    )
    return make_model(described=features, coef=[[3.0, 1.0, -1.0]], intercept=[0.5])


def expected(model: Model, rows: Any = X) -> NDArray[np.float64]:
    """Return scikit-learn's probabilities."""
    found: NDArray[np.float64] = pipeline(model).predict_proba(rows)
    return found


async def ask(client: Client, model_id: str, body: Any, query: str = "", **headers: str) -> Any:
    """Post a table as JSON; return the answer, checked to be one."""
    url = f"/models/{model_id}/predictions{query}"
    async with client.post(url, json=body, headers=headers) as response:
        document = await response.json()
        assert response.status == 200, document
    return document


async def refused(client: Client, model_id: str, body: Any, query: str = "") -> Any:
    """Post a table as JSON; return the problem."""
    async with client.post(f"/models/{model_id}/predictions{query}", json=body) as response:
        document = await response.json()
        assert response.status == 422, document
    return document


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("is_wrapped", [False, True])
async def test_every_form_of_a_table_is_predicted(
    client: Client, settings: Settings, form: int, is_wrapped: bool
) -> None:
    """Columns, records and split mean the same, bare or as the member data."""
    model = three_classes()
    model_id = await store_model(settings, model)
    body: Any = {"data": FORMS[form]} if is_wrapped else FORMS[form]

    answer = await ask(client, model_id, body)

    probabilities = expected(model)
    assert np.abs(np.array(answer["probabilities"]) - probabilities).max() < 1e-12
    assert answer["predictions"] == [model.classes[i] for i in probabilities.argmax(axis=1)]
    assert answer["classes"] == ["no", "yes", "zz"]
    assert (answer["model"], answer["warnings"]) == (model_id, [])


def _arrow() -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table(COLUMNS)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _parquet() -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table(COLUMNS), out)
    return out.getvalue()


def _msgpack() -> bytes:
    columns = {n: {"dtype": "<f8", "data": X[:, i].tobytes()} for i, n in enumerate(NAMES)}
    return msgpack.packb({"columns": columns})


CSV = b"a,b\n1.5,-2\n0.25,3\n-1,0.5\n"
NDJSON = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)
BODIES: dict[str, Callable[[], bytes]] = {
    "text/csv": lambda: CSV,
    "application/x-ndjson": lambda: NDJSON,
    "application/json": lambda: json.dumps(COLUMNS).encode(),
    "application/msgpack": _msgpack,
    "application/vnd.apache.parquet": _parquet,
    "application/vnd.apache.arrow.stream": _arrow,
}


def _of_json(body: bytes) -> list[list[float]]:
    return list(json.loads(body)["probabilities"])


def _of_csv(body: bytes) -> list[list[float]]:
    header, *lines = body.decode().splitlines()
    assert header == "prediction,probability_no,probability_yes,probability_zz,error,warnings"
    return [[float(cell) for cell in line.split(",")[1:-2]] for line in lines]


def _of_ndjson(body: bytes) -> list[list[float]]:
    return [list(json.loads(line)["probabilities"].values()) for line in body.splitlines()]


def _of_msgpack(body: bytes) -> list[list[float]]:
    found = msgpack.unpackb(body)["probabilities"]
    return list(np.frombuffer(found["data"], found["dtype"]).reshape(found["shape"]).tolist())


def _of_arrow(body: bytes) -> Any:
    table = pa.ipc.open_stream(body).read_all()
    return np.column_stack([table[f"probability_{n}"] for n in ("no", "yes", "zz")]).tolist()


ANSWERS: dict[str, Callable[[bytes], Any]] = {
    "application/json": _of_json,
    "text/csv": _of_csv,
    "application/x-ndjson": _of_ndjson,
    "application/msgpack": _of_msgpack,
    "application/vnd.apache.arrow.stream": _of_arrow,
}


@pytest.mark.parametrize("sent_as", BODIES)
@pytest.mark.parametrize("answered_as", [*ANSWERS, None])
async def test_every_media_type_goes_in_and_out(
    client: Client, settings: Settings, sent_as: str, answered_as: str | None
) -> None:
    """Probabilities are the same by whatever way; what is not asked for is the body's type."""
    model = three_classes()
    model_id = await store_model(settings, model)
    headers = {"Content-Type": sent_as} | ({"Accept": answered_as} if answered_as else {})

    async with client.post(
        f"/models/{model_id}/predictions", data=BODIES[sent_as](), headers=headers
    ) as response:
        body = await response.read()

    assert response.status == 200, body
    wanted = answered_as or (sent_as if sent_as in ANSWERS else "application/json")
    assert response.content_type == wanted
    assert np.abs(np.array(ANSWERS[wanted](body)) - expected(model)).max() < 1e-12


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_coded_bodies_are_decoded(client: Client, settings: Settings, coding: str) -> None:
    """A body may be compressed, whole or streamed."""
    model_id = await store_model(settings, three_classes())
    pack = gzip.compress if coding == "gzip" else zlib.compress

    for media_type in ("application/json", "text/csv"):
        async with client.post(
            f"/models/{model_id}/predictions",
            data=pack(BODIES[media_type]()),
            headers={"Content-Encoding": coding, "Content-Type": media_type},
        ) as response:
            assert response.status == 200
            assert len(ANSWERS[media_type](await response.read())) == 3


async def test_file_of_a_form_is_predicted(client: Client, settings: Settings) -> None:
    """What curl -F sends is read as its file is."""
    model_id = await store_model(settings, three_classes())
    form = aiohttp.FormData()
    form.add_field("file", CSV, filename="rows.csv", content_type="text/csv")
    form.add_field("top", "1")

    async with client.post(f"/models/{model_id}/predictions", data=form) as response:
        answer = await response.json()

    assert [len(row) for row in answer["probabilities"]] == [1, 1, 1]


async def test_several_lines_of_accept_are_one_list(client: Client, settings: Settings) -> None:
    """What a later line names is accepted too."""
    model_id = await store_model(settings, three_classes())
    headers = [("Accept", "text/html"), ("Accept", "application/msgpack")]

    async with client.post(
        f"/models/{model_id}/predictions", json=COLUMNS, headers=headers
    ) as response:
        assert (response.status, response.content_type) == (200, "application/msgpack")


async def test_answer_that_is_not_accepted_is_406(client: Client, settings: Settings) -> None:
    """A media type that is not written is refused with those that are."""
    model_id = await store_model(settings, three_classes())

    async with client.post(
        f"/models/{model_id}/predictions", json=COLUMNS, headers={"Accept": "text/html"}
    ) as response:
        document = await response.json()

    assert response.status == 406
    assert document["type"] == "/problems/not-acceptable"
    assert "application/json" in document["detail"]


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"a": [1, 2]}, {""}),
        ({"a": [1], "b": [2], "c": [3], "d": [4]}, {"/c", "/d"}),
        ({"data": {"a": [1, "x"], "b": [None, 2]}}, {"/data/a/1", "/data/b/0"}),
        ([{"a": 1, "b": "x"}, {"a": [1], "b": 2}], {"/0/b", "/1/a"}),
        ({"columns": ["a", "b"], "data": [[1, "x"], [True, 2]]}, {"/data/0/1"}),
        ({"data": {"a": [1, 2], "b": [1]}}, {"/data/b"}),
        ({"a": [10**400], "b": [1]}, {"/a/0"}),
        ([{"a": 1, "b": 2}, 5], {"/1"}),
        ([{"a": 1, "b": 2}, {"a": 1}], {"/1"}),
        ([], {""}),
        ({"a": [], "b": []}, {""}),
        (5, {""}),
        ({"a": [1e308], "b": [1e308]}, set()),
    ],
)
async def test_all_that_is_wrong_is_told_with_its_place(
    client: Client, settings: Settings, body: Any, places: set[str]
) -> None:
    """Pointers lead to the place in what was sent; values that are right are not named."""
    coef = [[1.0, 2.0], [3.0, 1e100], [1.0, 1.0]]
    model = make_model(classes=(1, 2, 3), features=NAMES, coef=coef)
    model_id = await store_model(settings, model)

    problem = await refused(client, model_id, body)

    if places:
        assert {error["pointer"] for error in problem["errors"]} == places
    else:
        assert "overflow" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (b'{"a": [1, 1e999], "b": ["x", 2]}', {"/a/1", "/b/0"}),
        (b'{"data": [{"a": -1e999, "b": 2}, {"a": 1, "b": 1e400}]}', {"/data/0/a", "/data/1/b"}),
        (b'[{"a": -1e999, "b": 2}]', {"/0/a"}),
        (b'{"columns": ["a", "b"], "data": [[1, 1e999]]}', {"/data/0/1"}),
        (b'{"data": {"a": [1], "b": [1]}, "digits": 1e999}', {"/digits"}),
    ],
)
async def test_numbers_beyond_float64_are_told_with_their_place(
    client: Client, settings: Settings, body: bytes, places: set[str]
) -> None:
    """They are neither infinity nor a fault of all that was sent."""
    model_id = await store_model(settings, three_classes())

    async with client.post(
        f"/models/{model_id}/predictions", data=body, headers={"Content-Type": "application/json"}
    ) as response:
        problem = await response.json()

    assert response.status == 422
    assert {error["pointer"] for error in problem["errors"]} == places


async def test_target_may_stand_in_the_table_and_others_only_when_ignored(
    client: Client, settings: Settings
) -> None:
    """A training's own table can be sent again; other columns are refused by name."""
    model_id = await store_model(settings, three_classes())

    again = await ask(client, model_id, COLUMNS | {"target": ["no", "yes", None]})
    problem = await refused(client, model_id, COLUMNS | {"id": [1, 2, 3]})
    ignoring = await ask(client, model_id, COLUMNS | {"id": [1, 2, 3]}, "?extra=ignore")

    assert again == ignoring
    assert "'id' is not a feature" in problem["detail"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?explian=true", {"explian"}),
        ("?top=0&explain=maybe&digits=18", {"top", "explain", "digits"}),
        ("?top=1&top=2", {"top"}),
        ("?threshold=2", {"threshold"}),
        ("?threshold.no=x", {"threshold"}),
        ("?threshold.nobody=0.5", {"threshold"}),
        ("?threshold=0.5", {"threshold"}),
    ],
)
async def test_wrong_options_are_refused_by_name(
    client: Client, settings: Settings, query: str, names: set[str]
) -> None:
    """A misspelt option is not silent; all are told at once."""
    model_id = await store_model(settings, three_classes())

    problem = await refused(client, model_id, COLUMNS, query)

    assert {error["parameter"] for error in problem["errors"]} == names


async def test_of_thousands_of_wrong_members_twenty_are_told(
    client: Client, settings: Settings
) -> None:
    """An answer is short, however much is wrong; it says how much that is."""
    model_id = await store_model(settings, three_classes())
    wrong = {f"n{number}": 0 for number in range(5000)}

    problem = await refused(client, model_id, {"data": COLUMNS} | wrong)

    assert (len(problem["errors"]), problem["error_count"]) == (20, 5000)


async def test_wrong_members_beside_data_are_refused_by_place(
    client: Client, settings: Settings
) -> None:
    """Options in the body are held to their types, and may not stand in the query too."""
    model_id = await store_model(settings, three_classes())

    wrong = await refused(client, model_id, {"data": COLUMNS, "top": "2", "more": 1})
    twice = await refused(client, model_id, {"data": COLUMNS, "top": 2}, "?top=2")

    assert {error["pointer"] for error in wrong["errors"]} == {"/top", "/more"}
    assert "must stand once" in twice["detail"]


async def test_threshold_of_two_classes_moves_the_cut(client: Client, settings: Settings) -> None:
    """One number is the least probability of the second class; named, of either."""
    model = make_model(features=("a",), coef=[[1.0]], intercept=[0.0])
    model_id = await store_model(settings, model)
    body = {"a": [-2.0, -0.5, 0.0, 0.5, 2.0]}

    low = await ask(client, model_id, {"data": body, "threshold": 0.3})
    high = await ask(client, model_id, body, "?threshold=0.7")
    named = await ask(client, model_id, body, "?threshold.no=0.3")

    assert low["predictions"] == ["no", "yes", "yes", "yes", "yes"]
    assert high["predictions"] == ["no", "no", "no", "no", "yes"]
    assert named["predictions"] == ["no", "no", "no", "no", "yes"]


async def test_threshold_by_class_prefers_what_reaches_its_own(
    client: Client, settings: Settings
) -> None:
    """Of those that do, the one by the widest margin; else the likeliest of the others."""
    model = make_model(classes=("a", "b", "c"), features=("x",), coef=np.zeros((3, 1)),
                       intercept=np.log([0.5, 0.3, 0.2]))  # fmt: skip
    model_id = await store_model(settings, model)

    async def predicted(threshold: dict[str, float]) -> str:
        answer = await ask(client, model_id, {"data": {"x": [0]}, "threshold": threshold})
        return str(answer["predictions"][0])

    assert await predicted({"c": 0.1}) == "c"
    assert await predicted({"c": 0.1, "b": 0.1}) == "b"
    assert await predicted({"a": 0.9}) == "b"
    assert await predicted({"a": 0.9, "b": 0.9, "c": 0.9}) == "a"


async def test_top_tells_the_likeliest_classes(client: Client, settings: Settings) -> None:
    """Their labels stand in top, in the order of their probabilities."""
    model = three_classes()
    model_id = await store_model(settings, model)

    answer = await ask(client, model_id, {"data": COLUMNS, "top": 2})

    order = np.argsort(-expected(model), axis=1)[:, :2]
    assert answer["top"] == [[model.classes[i] for i in row] for row in order]
    told = np.take_along_axis(expected(model), order, axis=1)
    assert np.abs(np.array(answer["probabilities"]) - told).max() < 1e-12


@pytest.mark.parametrize("options", [{"top": 2}, {"explain": True}, {"extra": "ignore"}])
async def test_an_answer_that_is_written_in_blocks_is_the_same(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """A long one is, so that single rows do not wait for all of it."""
    model_id = await store_model(settings, three_classes())
    body = {"data": COLUMNS} | options
    whole = await ask(client, model_id, body)

    monkeypatch.setattr(cutting, "CELLS_AT_ONCE", 2)
    encode, blocks = cutting._encode, set()

    def counted(rows: list[Any]) -> bytes:
        blocks.add(len(rows))
        return encode(rows)

    monkeypatch.setattr(cutting, "_encode", counted)

    assert await ask(client, model_id, body) == whole
    # Of the labels two at once, of all else one row.
    assert blocks == {1, 2}


async def test_contributions_sum_to_the_log_odds(client: Client, settings: Settings) -> None:
    """With the intercept they are the score: scaled, filled, encoded and unseen values too."""
    model_id = await store_model(settings, mixed())
    body = {"n": [5.0, None, 1.0], "t": ["x", "y, z", "never"]}

    answer = await ask(client, model_id, {"data": body, "explain": True})

    sums = [
        answer["intercept"]["yes"] + sum(row["yes"].values()) for row in answer["contributions"]
    ]
    probabilities = np.array(answer["probabilities"])
    log_odds = np.log(probabilities[:, 1] / probabilities[:, 0])
    assert np.abs(np.array(sums) - log_odds).max() < 1e-12
    assert answer["contributions"][0]["yes"] == {"n": 3.75, "t": 1.0}
    assert answer["contributions"][1]["yes"] == {"n": 1.5, "t": -1.0}
    assert answer["contributions"][2]["yes"]["t"] == 0.0


async def test_a_reference_contributes_nothing(client: Client, settings: Settings) -> None:
    """The others of its feature contribute what sets them apart from it, and all is the score."""
    features = tuple(
        Feature(name=name, kind="text", missing=True, categories=("x", "y"), reference="x")
        for name in "tu"
    )
    model = make_model(described=features, coef=[[1.0, 2.0, 4.0, 8.0]], intercept=[0.5])
    model_id = await store_model(settings, model)
    body = {"t": ["x", "y", None, "never"], "u": ["y", "x", "y", None]}

    answer = await ask(client, model_id, {"data": body, "explain": True})

    assert [row["yes"] for row in answer["contributions"]] == [
        {"t": 0.0, "u": 4.0},
        {"t": 1.0, "u": 0.0},
        {"t": 2.0, "u": 4.0},
        {"t": 0.0, "u": 8.0},
    ]
    sums = [0.5 + sum(row["yes"].values()) for row in answer["contributions"]]
    probabilities = np.array(answer["probabilities"])
    log_odds = np.log(probabilities[:, 1] / probabilities[:, 0])
    assert np.abs(np.array(sums) - log_odds).max() < 1e-12
    assert [(each["code"], each["first"]) for each in answer["warnings"]] == [
        ("unseen-category", 3)
    ]


async def test_what_training_had_not_seen_is_told(client: Client, settings: Settings) -> None:
    """Unknown categories and numbers outside the range are warnings with their rows."""
    profile = Profile(
        rows=2,
        classes=(1, 1),
        features=(
            FeatureProfile(count=2, min=0.0, max=5.0, mean=2.5, std=2.5, deciles=(0.0,) * 9),
            FeatureProfile(count=2, counts=(1, 1)),
        ),
    )
    model = mixed()
    model_id = await store_model(settings, Model(**{**vars(model), "profile": profile}))
    body = {"n": [5.0, 6.0, None, -1.0], "t": ["x", "never", "x", "no"]}

    answer = await ask(client, model_id, body)

    told = [(w["code"], w["column"], w["rows"], w["first"]) for w in answer["warnings"]]
    assert told == [("outside-range", "n", 2, 1), ("unseen-category", "t", 2, 1)]
    assert "0 to 5 in training" in answer["warnings"][0]["detail"]


async def test_numbers_in_csv_are_text_where_the_feature_is(
    client: Client, settings: Settings
) -> None:
    """A category that looks like a number is taken as it is written."""
    features = (Feature(name="t", kind="text", categories=("007", "7")), Feature(name="n"))
    model = make_model(described=features, coef=[[0.0, 1.0, -1.0]], intercept=[0.0])
    model_id = await store_model(settings, model)

    for accept in ("text/csv", "application/json"):
        async with client.post(
            f"/models/{model_id}/predictions",
            data=b"t,n\n007,0\n7,0\n",
            headers={"Content-Type": "text/csv", "Accept": accept},
        ) as response:
            body = await response.text()
        assert body.index("yes") < body.rindex("no")
        assert "unseen" not in body


async def test_too_large_a_body_or_answer_names_its_setting(
    client: Client, settings: Settings, app: Any
) -> None:
    """413 and 422 say what can be raised."""
    from mlservice.wire import SETTINGS

    model_id = await store_model(settings, three_classes())
    url = f"/models/{model_id}/predictions"
    app._state[SETTINGS] = Settings(
        redis_url=settings.redis_url, prediction_body_bytes=100, prediction_cells=8
    )

    async with client.post(url, json={"data": COLUMNS}) as response:
        cells = await response.json()
        assert response.status == 422
    async with client.post(url, json={"a": [1.0] * 100, "b": [1.0] * 100}) as response:
        size = await response.json()
        assert response.status == 413

    assert "MLSERVICE_PREDICTION_CELLS" in cells["detail"]
    assert "MLSERVICE_PREDICTION_BODY_BYTES" in size["detail"]


async def test_bombs_are_refused_before_they_are_decoded(
    client: Client, settings: Settings
) -> None:
    """A short Parquet file or Arrow stream that decodes to more than may be is told so."""
    model_id = await store_model(settings, three_classes())
    zeros = pa.table({"a": np.zeros(9_000_000)})
    packed = io.BytesIO()
    parquet.write_table(zeros, packed, compression="zstd", use_dictionary=False)
    sink = io.BytesIO()
    nothing = pa.table({"a": pa.nulls(7_000)})
    with pa.ipc.new_stream(sink, nothing.schema) as writer:
        writer.write_table(nothing)
    endless = sink.getvalue().replace((7_000).to_bytes(8, "little"), (10**15).to_bytes(8, "little"))
    bodies = {"parquet": packed.getvalue(), "arrow.stream": endless}

    for ending, status in {"parquet": 413, "arrow.stream": 422}.items():
        async with client.post(
            f"/models/{model_id}/predictions",
            data=bodies[ending],
            headers={"Content-Type": f"application/vnd.apache.{ending}"},
        ) as response:
            detail = (await response.json())["detail"]
            assert response.status == status
            assert "MLSERVICE_PREDICTION_" in detail


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b"\xff", b'{"data": {"a": [1}'])
async def test_what_is_no_json_is_malformed(
    client: Client, settings: Settings, body: bytes
) -> None:
    """It answers 400 and says where reading stopped."""
    model_id = await store_model(settings, three_classes())

    async with client.post(
        f"/models/{model_id}/predictions", data=body, headers={"Content-Type": "application/json"}
    ) as response:
        document = await response.json()

    assert (response.status, document["type"]) == (400, "/problems/malformed-json")


async def test_large_tables_leave_the_event_loop(client: Client, settings: Settings) -> None:
    """A table of 10,000 rows is predicted as scikit-learn predicts it."""
    model = three_classes()
    model_id = await store_model(settings, model)
    rows = np.random.default_rng(0).normal(size=(10_000, 2))

    answer = await ask(client, model_id, {"columns": NAMES, "data": rows.tolist()})

    difference = np.array(answer["probabilities"]) - expected(model, rows)
    assert np.abs(difference).max() < 1e-12


async def test_top_stands_in_the_columns_of_arrow(client: Client, settings: Settings) -> None:
    """The likeliest classes and their probabilities have a column for each place."""
    model_id = await store_model(settings, three_classes())

    async with client.post(
        f"/models/{model_id}/predictions?top=2",
        json=COLUMNS,
        headers={"Accept": "application/vnd.apache.arrow.stream"},
    ) as response:
        table = pa.ipc.open_stream(await response.read()).read_all()

    places = ["class_1", "probability_1", "class_2", "probability_2"]
    assert table.column_names == ["prediction", *places]
    assert table["class_1"].to_pylist() == table["prediction"].to_pylist()


async def test_explanation_is_refused_where_it_has_no_place(
    client: Client, settings: Settings
) -> None:
    """Contributions are written as JSON and NDJSON only."""
    model_id = await store_model(settings, three_classes())

    async with client.post(
        f"/models/{model_id}/predictions?explain=true",
        json=COLUMNS,
        headers={"Accept": "application/msgpack"},
    ) as response:
        assert response.status == 406


async def test_options_stand_beside_the_columns_of_msgpack(
    client: Client, settings: Settings
) -> None:
    """They are held to the same types as anywhere."""
    model_id = await store_model(settings, three_classes())
    body = msgpack.unpackb(_msgpack())
    headers = {"Content-Type": "application/msgpack", "Accept": "application/json"}
    url = f"/models/{model_id}/predictions"

    async with client.post(url, data=msgpack.packb(body | {"top": 1}), headers=headers) as response:
        answer = await response.json()
    async with client.post(url, data=msgpack.packb(body | {"top": 0}), headers=headers) as response:
        assert response.status == 422

    assert [len(row) for row in answer["top"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("columns", "detail"),
    [
        ({"n": [1, 2], "t": [1, 2]}, "'t' must be text, it is a number"),
        ({"n": [1, 10**400], "t": ["x", "x"]}, "'n' must fit in float64"),
        ({"n": [1, 2], "t": [None, ""]}, "'t' must be text, it is missing"),
        ({"n": [1, {}], "t": ["x", "x"]}, "'n' must be a number, it is an object"),
    ],
)
async def test_cells_of_another_kind_are_told(
    client: Client, settings: Settings, columns: Any, detail: str
) -> None:
    """Each says what it must be and what it is."""
    model_id = await store_model(settings, mixed())

    problem = await refused(client, model_id, {"data": columns})

    assert detail in problem["detail"]
