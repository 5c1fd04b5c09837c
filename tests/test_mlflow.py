"""MLflow's scoring server, through HTTP."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from mlservice import __version__
from mlservice.schemas import Feature
from mlservice.settings import Settings
from tests.support import Client, create, get, make_model, make_request, store_model

ROWS = [[0.5, -1.0], [3.0, 1.5], [-4.0, 0.0]]
RECORDS = [{"b": b, "a": a} for a, b in ROWS]
COLUMNS = {"a": [a for a, _ in ROWS], "b": [b for _, b in ROWS]}
PARQUET = "application/vnd.apache.parquet"


async def model_of(client: Client, settings: Settings) -> tuple[str, list[Any]]:
    """Store a model under the alias `default`; return its id and its answers to `ROWS`."""
    model_id = await store_model(settings, make_model(coef=[[1.0, -3.0]], intercept=[0.5]))
    await client.put("/aliases/default", json={"model": model_id})
    answers = [await get(client, f"/models/{model_id}?a={a}&b={b}") for a, b in ROWS]
    return model_id, [answer["prediction"] for answer in answers]


async def invoke(
    client: Client, body: Any, *, path: str = "/invocations", media_type: str | None = None
) -> tuple[int, Any]:
    """Return status and document of an invocation."""
    given = {"data": body} if isinstance(body, bytes) else {"json": body}
    headers = {"Content-Type": media_type} if media_type else {}
    async with client.post(path, headers=headers, **given) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["b", "a"], "data": [[b, a] for a, b in ROWS]}},
        {"dataframe_split": {"index": [7, 8, 9], "columns": ["a", "b"], "data": ROWS}},
        {"dataframe_split": {"data": ROWS}},
        {"dataframe_split": {"columns": ["a", "b", "x"], "data": [[*row, "y"] for row in ROWS]}},
        {"dataframe_records": RECORDS},
        {"dataframe_records": [record | {"x": None} for record in RECORDS]},
        {"instances": ROWS},
        {"instances": RECORDS},
        {"inputs": ROWS},
        {"inputs": COLUMNS},
        {"inputs": ROWS, "params": {"any": 1}, "other": []},
    ],
)
async def test_each_form_of_the_rows_is_predicted_as_natively(
    client: Client, settings: Settings, body: Any
) -> None:
    """The four members, by name or by position; columns that are no features are not read."""
    model_id, wanted = await model_of(client, settings)

    by_alias = await invoke(client, body)
    by_id = await invoke(client, body, path=f"/models/{model_id}/invocations")

    assert by_alias == by_id == (200, {"predictions": wanted})


async def test_parquet_that_decodes_to_too_much_is_refused_before_it_is_decoded(
    client: Client, settings: Settings
) -> None:
    """A short file of millions of zeros is told the limit of bodies, decoded too."""
    await model_of(client, settings)
    file = io.BytesIO()
    zeros = pa.table({"a": np.zeros(9_000_000)})
    pyarrow.parquet.write_table(zeros, file, compression="zstd", use_dictionary=False)

    status, problem = await invoke(client, file.getvalue(), media_type=PARQUET)

    assert len(file.getvalue()) < 100_000
    assert status == 413
    assert "MLSERVICE_PREDICTION_BODY_BYTES" in problem["detail"]


@pytest.mark.parametrize("media_type", ["text/csv", "text/csv; charset=UTF-8", PARQUET])
async def test_tables_in_other_media_types_are_predicted(
    client: Client, settings: Settings, media_type: str
) -> None:
    """CSV and Parquet, their columns matched by name."""
    _, wanted = await model_of(client, settings)
    if media_type == PARQUET:
        file = io.BytesIO()
        pyarrow.parquet.write_table(pa.table({"x": ["?"] * 3} | COLUMNS), file)
        body = file.getvalue()
    else:
        body = b"x,b,a\n" + b"".join(b"?,%g,%g\n" % (b, a) for a, b in ROWS)

    assert await invoke(client, body, media_type=media_type) == (200, {"predictions": wanted})


async def test_a_body_without_a_media_type_is_json(client: Client, settings: Settings) -> None:
    """MLflow fails on it; here it is read."""
    _, wanted = await model_of(client, settings)

    async with client.post(
        "/invocations", data=b'{"inputs": [[0.5, -1]]}', skip_auto_headers=["Content-Type"]
    ) as response:
        document = await response.json()

    assert document == {"predictions": wanted[:1]}


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1",
     "text/csv; charset=utf-16", "application/json; format=split", "text/csv; header=present"],
)  # fmt: skip
async def test_another_media_type_or_parameter_is_refused(
    client: Client, settings: Settings, media_type: str
) -> None:
    """415, in words for MLflow's clients too."""
    await model_of(client, settings)

    status, document = await invoke(client, b'{"inputs": [[1, 2]]}', media_type=media_type)

    assert status == 415
    assert document["error_code"] == "BAD_REQUEST"
    assert document["message"].startswith("Content-Type") or "charset" in document["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "INVALID_PARAMETER_VALUE"),
        ({"inputs": ROWS, "instances": ROWS}, "INVALID_PARAMETER_VALUE"),
        ([[1, 2]], "INVALID_PARAMETER_VALUE"),
        (5, "INVALID_PARAMETER_VALUE"),
        (b"{", "BAD_REQUEST"),
        (b'{"inputs": [[NaN, 1]]}', "BAD_REQUEST"),
        ({"dataframe_split": {"columns": ["a", "b"]}}, "INVALID_PARAMETER_VALUE"),
        ({"dataframe_split": {"data": ROWS, "dtype": {}}}, "INVALID_PARAMETER_VALUE"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": ROWS}}, "INVALID_PARAMETER_VALUE"),
        ({"dataframe_split": {"columns": ["a"], "data": ROWS}}, "INVALID_PARAMETER_VALUE"),
        ({"dataframe_records": {"a": 1}}, "INVALID_PARAMETER_VALUE"),
        ({"dataframe_records": [{"a": 1}]}, "INVALID_PARAMETER_VALUE"),
        ({"instances": {"a": [1], "b": [2]}}, "INVALID_PARAMETER_VALUE"),
        ({"instances": [{"a": 1, "b": 2}, {"a": 1}]}, "INVALID_PARAMETER_VALUE"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "INVALID_PARAMETER_VALUE"),
        ({"inputs": {"a": [1]}}, "INVALID_PARAMETER_VALUE"),
    ],
)
async def test_what_is_wrong_has_a_code_and_a_message(
    client: Client, settings: Settings, body: Any, code: str
) -> None:
    """Every refusal is 400, without a trace of the server's stack."""
    await model_of(client, settings)
    media_type = "application/json"

    status, document = await invoke(client, body, media_type=media_type)

    assert (status, document["error_code"]) == (400, code)
    assert document["message"]
    assert "stack_trace" not in document


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [1, "x"]]}},
         "/dataframe_split/data/1/1"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [1]]}},
         "/dataframe_split/data/1"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": ROWS}}, "/dataframe_split/columns/1"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1]]}}, "/dataframe_split"),
        ({"dataframe_split": {"data": [[1, 2], [1, "x"]]}}, "/dataframe_split/data/1/1"),
        ({"dataframe_records": [{"a": 1, "b": 2}, {"a": 1, "b": "x"}]}, "/dataframe_records/1/b"),
        ({"dataframe_records": [{"a": 1, "b": 2}, {"a": 1}]}, "/dataframe_records/1"),
        ({"inputs": {"a": [1, 2], "b": [1, "x"]}}, "/inputs/b/1"),
        ({"inputs": [[1, 2], [1, "x"]]}, "/inputs/1/1"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_with_its_place(
    client: Client, settings: Settings, body: Any, pointer: str
) -> None:
    """Pointers lead through the body as it was sent."""
    await model_of(client, settings)

    _, document = await invoke(client, body, media_type="application/json")

    assert document["errors"][0]["pointer"] == pointer


async def test_text_is_predicted(client: Client, settings: Settings) -> None:
    """Categories stand as text, missing values as null."""
    described = (
        Feature(name="n", missing=True, fill=1.0),
        Feature(name="t", kind="text", categories=("u", "v")),
    )
    model = make_model(described=described, coef=[[1.0, 10.0, -10.0]], intercept=[0.0])
    model_id = await store_model(settings, model)
    path = f"/models/{model_id}/invocations"

    split = {"columns": ["t", "n"], "data": [["u", None], ["v", 3]]}

    assert await invoke(client, {"dataframe_split": split}, path=path) == (
        200,
        {"predictions": ["yes", "no"]},
    )
    assert await invoke(client, b"t,n\nu,\nv,3\n", path=path, media_type="text/csv") == (
        200,
        {"predictions": ["yes", "no"]},
    )


async def test_without_the_alias_there_is_nothing_to_invoke(client: Client) -> None:
    """404 until an alias `default` exists; 409 by the id of a model that is not ready."""
    queued_id = await create(client, make_request())

    absent = await invoke(client, {"inputs": ROWS})
    queued = await invoke(client, {"inputs": ROWS}, path=f"/models/{queued_id}/invocations")

    assert (absent[0], absent[1]["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert (queued[0], queued[1]["error_code"]) == (409, "RESOURCE_CONFLICT")


async def test_health_and_version_are_told(client: Client) -> None:
    """`/ping` and `/health` are readiness, `/version` is bare."""
    for path in ("/ping", "/health"):
        response = await client.get(path)
        assert response.status == 200
        assert (await response.json())["ready"] is True

    response = await client.get("/version")
    assert await response.text() == __version__
