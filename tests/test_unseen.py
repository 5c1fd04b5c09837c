"""What training had not seen, told in every protocol."""

import csv
import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlservice.model import Model
from mlservice.predicting.answer import form_of
from mlservice.predicting.lines import CSV_LINES, NDJSON_LINES, Writer
from mlservice.predicting.matching import Wanted, warnings_of
from mlservice.predicting.options import Options
from mlservice.predicting.rows import CsvReader
from mlservice.predicting.stream import Transformer
from mlservice.preparation import Column, Preparation, Texts
from mlservice.profile import profile_of
from mlservice.schemas import Feature
from mlservice.scoring import Scorer
from mlservice.settings import Settings
from tests.support import Client, make_model, store_model

NUMBERS = [Feature(name="a"), Feature(name="b")]
MIXED = [Feature(name="a"), Feature(name="b", kind="text", categories=("x", "y"))]
INSIDE, OUTSIDE = [0.5, 0.5], [0.5, 7.0]
RANGE, CATEGORY = ("outside-range", "b"), ("unseen-category", "b")


def trained(features: list[Feature]) -> Model:
    """Return a model of two features: numbers of 0 to 1, or texts."""
    columns: list[Column] = [
        np.array([0.0, 1.0]) if feature.kind == "number" else Texts(("x", "y"), np.array([0, 1]))
        for feature in features
    ]
    width = 2 if features[1].kind == "number" else 3
    model = make_model(described=tuple(features), coef=[[1.0] * width])
    profile = profile_of(columns, Preparation(model.features), np.array([0, 1]), n_classes=2)
    return dataclasses.replace(model, profile=profile)


def matrix(*rows: list[float], **members: Any) -> dict[str, Any]:
    """Return an inference of rows of numbers."""
    tensor = {"name": "x", "shape": [len(rows), 2], "datatype": "FP64", "data": list(rows)}
    return {"inputs": [tensor | members]}


def tensors(number: float, text: str) -> dict[str, Any]:
    """Return an inference of one row, a tensor a feature."""
    one = {"name": "a", "shape": [1], "datatype": "FP64", "data": [number]}
    other = {"name": "b", "shape": [1], "datatype": "BYTES", "data": [text]}
    return {"inputs": [one, other]}


def remarks(answer: Any) -> list[tuple[str, str]]:
    """Return code and column of each warning, which stands beside the outputs of V2 as a text."""
    text = answer.get("parameters", {}).get("warnings")
    told = answer.get("warnings", []) if text is None else json.loads(text)
    return [(each["code"], each["column"]) for each in told]


@pytest.fixture
def service(client: Client, settings: Settings) -> tuple[Client, Settings]:
    """Return the service, and where its store is."""
    return client, settings


@pytest.mark.parametrize(
    ("is_text", "path", "body", "wanted"),
    [
        (False, "/v2/models/{}/infer", matrix(OUTSIDE), [RANGE]),
        (False, "/v2/models/{}/infer", matrix(INSIDE, OUTSIDE), [RANGE]),
        (False, "/v2/models/{}/infer", matrix(INSIDE), []),
        (False, "/v2/models/{}/infer", matrix(INSIDE, INSIDE), []),
        (True, "/v2/models/{}/infer", tensors(0.5, "z"), [CATEGORY]),
        (True, "/v2/models/{}/infer", tensors(0.5, "x"), []),
        (False, "/v1/models/{}:predict", {"instances": [OUTSIDE]}, [RANGE]),
        (False, "/v1/models/{}:predict", {"instances": [INSIDE]}, []),
        (False, "/v1/models/{}:predict", {"inputs": {"a": [0.5], "b": [7]}}, [RANGE]),
        (True, "/v1/models/{}:predict", {"instances": [[0.5, "z"]]}, [CATEGORY]),
        (False, "/v1/models/{}:classify", {"examples": [{"a": 0.5, "b": 7}]}, [RANGE]),
        (False, "/v1/models/{}:classify", {"examples": [{"a": 0.5, "b": 1}]}, []),
        (False, "/v1/models/{}:explain", {"instances": [OUTSIDE]}, [RANGE]),
        (False, "/v1/models/{}:explain", {"instances": [INSIDE]}, []),
        (False, "/models/{}/invocations", {"inputs": [OUTSIDE]}, [RANGE]),
        (False, "/models/{}/invocations", {"inputs": [INSIDE]}, []),
        (True, "/models/{}/invocations", {"dataframe_records": [{"a": 0, "b": "z"}]}, [CATEGORY]),
        (False, "/models/{}/predictions", [{"a": 0.5, "b": 7}], [RANGE]),
    ],
)
async def test_what_training_had_not_seen_is_told_where_the_protocol_has_room(
    service: tuple[Client, Settings], is_text: bool, path: str, body: Any, wanted: list[Any]
) -> None:
    """As a parameter of V2, as the member `warnings` of others; nothing where all is known."""
    client, settings = service
    model_id = await store_model(settings, trained(MIXED if is_text else NUMBERS))

    async with client.post(path.format(model_id), json=body) as response:
        answer = await response.json()

    assert response.status == 200
    assert remarks(answer) == wanted
    if not wanted:
        assert answer.keys().isdisjoint({"warnings", "parameters"})


async def test_an_answer_in_bytes_has_its_warnings_in_the_json(
    client: Client, settings: Settings
) -> None:
    """Outputs as bytes follow the JSON, whose parameters tell what was not seen, and where."""
    model_id = await store_model(settings, trained(NUMBERS))
    asked = matrix(INSIDE, OUTSIDE, OUTSIDE) | {"parameters": {"binary_data_output": True}}

    async with client.post(f"/v2/models/{model_id}/infer", json=asked) as response:
        body = await response.read()

    length = int(response.headers["Inference-Header-Content-Length"])
    [told] = json.loads(json.loads(body[:length])["parameters"]["warnings"])
    assert (told["code"], told["rows"], told["first"]) == ("outside-range", 2, 1)


def transformed(model: Model, rows: bytes, *, writes: Writer, **options: Any) -> bytes:
    """Return the answer to lines of CSV, all in one piece."""
    scorer = Scorer(model)
    form = form_of(scorer, Options(**options))
    wanted = Wanted(features=model.features, target=model.target)
    machine = Transformer(CsvReader(wanted, ",", ignores_extra=False), writes, form, wanted)
    return b"".join(machine.feed(rows, is_last=True))


def test_line_of_ndjson_has_the_warnings_of_its_row() -> None:
    """Each row's line tells what is new in it; lines of others have no such member."""
    answer = transformed(trained(MIXED), b"a,b\n0,x\n-3,z\n1,y\n", writes=NDJSON_LINES)

    first, told, last = map(json.loads, answer.splitlines())
    assert first.keys() == last.keys() == {"prediction", "probabilities"}
    assert told.keys() == {"prediction", "probabilities", "warnings"}
    assert told["warnings"] == [
        {
            "code": "unseen-category",
            "detail": "'z' was not seen in training, 'b' contributes nothing.",
            "column": "b",
        },
        {
            "code": "outside-range",
            "detail": "'a' was 0 to 1 in training, it is -3: the model extrapolates.",
            "column": "a",
        },
    ]


def test_line_of_csv_has_the_warnings_of_its_row_in_the_last_column() -> None:
    """In words, empty where there is nothing to say; a row that is wrong has its error only."""
    body = b"a,b\n0,x\n-3,z\n?,z\n1,y\n"
    unseen = "'z' was not seen in training, 'b' contributes nothing."

    answer = transformed(trained(MIXED), body, writes=CSV_LINES).decode()

    rows = list(csv.DictReader(io.StringIO(answer)))
    assert list(rows[0])[-2:] == ["error", "warnings"]
    assert [row["warnings"] for row in rows] == [
        "",
        unseen + " 'a' was 0 to 1 in training, it is -3: the model extrapolates.",
        "",
        "",
    ]
    assert [bool(row["error"]) for row in rows] == [False, False, True, False]


def test_of_many_warnings_of_a_row_five_are_told_and_all_are_counted() -> None:
    """An answer is not many times as long as its body, however many columns are off."""
    features = [Feature(name=f"f{place}") for place in range(8)]
    model = make_model(described=tuple(features), coef=[[1.0] * 8])
    zeros: list[Column] = [np.zeros(2)] * 8
    profile = profile_of(zeros, Preparation(model.features), np.array([0, 1]), n_classes=2)
    model = dataclasses.replace(model, profile=profile)
    body = b",".join(each.name.encode() for each in features) + b"\n" + b",".join([b"7"] * 8)

    line = json.loads(transformed(model, body, writes=NDJSON_LINES))
    *_, cells = csv.reader(io.StringIO(transformed(model, body, writes=CSV_LINES).decode()))

    assert [each["column"] for each in line["warnings"]] == ["f0", "f1", "f2", "f3", "f4"]
    assert line["warning_count"] == 8
    assert cells[-1].endswith(": the model extrapolates. (and 3 more)")


def test_value_that_is_filled_in_is_no_number_outside_the_range() -> None:
    """What was missing was not sent, whatever it is filled with."""
    features = [Feature(name="a", missing=True, fill=-9.0), Feature(name="b")]
    answer = transformed(trained(features), b"a,b\n,0\n-9,0\n", writes=NDJSON_LINES)

    filled, sent = map(json.loads, answer.splitlines())
    assert "warnings" not in filled
    assert [each["column"] for each in sent["warnings"]] == ["a"]


def test_lines_of_a_model_whose_training_is_not_known_have_no_warnings() -> None:
    """Without a profile no number is known to be outside."""
    model = make_model(described=tuple(NUMBERS), coef=[[1.0, 1.0]])

    answer = transformed(model, b"a,b\n1e9,-1e9\n", writes=NDJSON_LINES)

    assert "warnings" not in json.loads(answer)


@given(st.lists(st.tuples(st.floats(-2, 3), st.sampled_from(["x", "y", "z", "é"])), min_size=1))
def test_lines_warn_of_the_rows_that_a_table_counts(rows: list[tuple[float, str]]) -> None:
    """What is told by row is what a table's answer sums by column, whatever stands beside it."""
    model = trained(MIXED)
    body = "a,b\n" + "".join(f"{number!r},{text}\n" for number, text in rows)
    numbers = np.array([number for number, _ in rows])
    values = sorted({text for _, text in rows})
    codes = np.array([values.index(text) for _, text in rows])
    columns: dict[str, Column] = {"a": numbers, "b": Texts(tuple(values), codes)}

    lines = transformed(model, body.encode(), writes=NDJSON_LINES).splitlines()

    told = [(row, each["column"]) for row, line in enumerate(lines) for each in warned(line)]
    for wanted in warnings_of(columns, model.features, model.profile):
        of_column = [row for row, column in told if column == wanted.column]
        assert (of_column[0], len(of_column)) == (wanted.first, wanted.rows)
        told = [each for each in told if each[1] != wanted.column]
    assert told == []


def warned(line: bytes) -> list[dict[str, str]]:
    """Return the warnings of a line."""
    found: list[dict[str, str]] = json.loads(line).get("warnings", [])
    return found


@pytest.mark.parametrize("sends", ["application/json", "text/csv"])
@pytest.mark.parametrize("takes", ["application/x-ndjson", "text/csv"])
async def test_lines_warn_whether_the_body_is_streamed_or_read_whole(
    client: Client, settings: Settings, sends: str, takes: str
) -> None:
    """JSON that is answered in lines has them as well."""
    model_id = await store_model(settings, trained(MIXED))
    bodies = {"text/csv": b"a,b\n0,x\n7,x\n", "application/json": b'{"a": [0, 7], "b": ["x", "x"]}'}
    headers = {"Content-Type": sends, "Accept": takes}

    async with client.post(
        f"/models/{model_id}/predictions", data=bodies[sends], headers=headers
    ) as response:
        *_, first, second = (await response.text()).splitlines()

    assert "extrapolates" not in first
    assert "'a' was 0 to 1 in training, it is 7: the model extrapolates." in second
