"""One row by query, through HTTP."""

import asyncio
import math
from collections import Counter
from typing import Any

import pytest

from mlservice.errors import MalformedQuery
from mlservice.model import Model
from mlservice.query import read_query
from mlservice.schemas import Feature
from mlservice.settings import Settings
from tests.support import Client, create, get, make_model, make_request, store_model, until


async def test_a_row_is_matched_by_name_in_any_order(client: Client, settings: Settings) -> None:
    """The order of the query's members changes nothing."""
    model_id = await store_model(settings, make_model(coef=[[1.0, -3.0]], intercept=[0.5]))

    one = await get(client, f"/models/{model_id}?a=2&b=1")
    other = await get(client, f"/models/{model_id}?b=1&a=2")

    assert one == other
    assert one["prediction"] == "no"
    assert one["probabilities"]["yes"] == pytest.approx(1 / (1 + 2.718281828459045**0.5))
    assert one["model"] == model_id


@pytest.mark.parametrize("text", ["1", "-1.5", "+2", ".5", "5.", "1e3", "1E-3", "-0", "00.1"])
async def test_a_number_is_decimal_or_exponent_notation(
    client: Client, settings: Settings, text: str
) -> None:
    """What is written like a JSON or a CSV number is one, a plus sign escaped."""
    model_id = await store_model(settings, make_model())

    response = await client.get(f"/models/{model_id}", params={"a": text, "b": "1"})

    assert response.status == 200


@pytest.mark.parametrize(
    "text",
    ["", "x", "nan", "inf", "-Infinity", "1_000", " 1", "1 ", "１２", "0x10", "1e400", "1,5"],
)
async def test_anything_else_is_refused_with_its_name(
    client: Client, settings: Settings, text: str
) -> None:
    """What Python's float would take beyond that is refused, as are infinities."""
    model_id = await store_model(settings, make_model())

    response = await client.get(f"/models/{model_id}", params={"a": text, "b": "1"})

    document = await response.json()
    assert response.status == 422
    assert [fault["parameter"] for fault in document["errors"]] == ["a"]


async def test_all_problems_of_a_row_are_told_at_once(client: Client, settings: Settings) -> None:
    """Left out, unknown, repeated and wrong: each member has its own fault."""
    model_id = await store_model(settings, make_model(features=("a", "b", "c")))

    response = await client.get(f"/models/{model_id}?a=x&b=1&b=2&d=1")

    document = await response.json()
    assert response.status == 422
    assert document["type"] == "/problems/invalid-row"
    assert {fault["parameter"] for fault in document["errors"]} == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    "name", ["id", "__proto__", "{0}", "%s", "=cmd", "a b", "a&b", "a+b", "ä", "a/b", "𝒳", "limit"]
)
async def test_a_feature_may_have_any_printable_name(
    client: Client, settings: Settings, name: str
) -> None:
    """No name is reserved and none is special, once it is percent-encoded."""
    data = {name: [1, 2, 3, 4], "target": [0, 0, 1, 1]}
    model_id = await store_model(settings, make_model(features=(name, "b")))

    response = await client.get(f"/models/{model_id}", params={name: "1", "b": "2"})
    posted = await client.post("/models", json={"data": data, "target": "target"})

    assert response.status == 200
    assert posted.status == 202


@pytest.mark.parametrize("query", ["a=%zz", "a=%", "a=%FF", "%C3=1", "a=%ED%A0%80"])
async def test_a_query_that_cannot_be_decoded_is_malformed(
    client: Client, settings: Settings, query: str
) -> None:
    """Bytes that are not UTF-8 are refused, not replaced."""
    model_id = await store_model(settings, make_model())

    with pytest.raises(MalformedQuery):
        read_query(query)

    assert (await _raw(client, f"/models/{model_id}?{query}")).startswith(b"HTTP/1.1 4")


async def _raw(client: Client, target: str) -> bytes:
    """Send a request line as it is, without a client that corrects it."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_score_that_overflows_is_refused(client: Client, settings: Settings) -> None:
    """Finite numbers that overflow in the score are told, never answered with NaN."""
    model_id = await store_model(settings, make_model(coef=[[1e10, -1e10]]))

    response = await client.get(f"/models/{model_id}?a=1e308&b=1e308")

    assert response.status == 422
    assert "overflow" in (await response.json())["detail"]


@pytest.mark.parametrize("score", [-800.0, -40.0, 0.0, 40.0, 800.0])
async def test_probabilities_are_finite_and_sum_to_one(
    client: Client, settings: Settings, score: float
) -> None:
    """No score is too far for the exponential."""
    model_id = await store_model(settings, make_model(coef=[[1.0, 0.0]], intercept=[0.0]))

    answer = await get(client, f"/models/{model_id}?a={score}&b=0")

    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-15)
    assert answer["prediction"] == ("yes" if score > 0 else "no")


def mixed_model() -> Model:
    """Return a model of a number, a number and a text that may be missing, and a text."""
    return make_model(
        described=(
            Feature(name="n"),
            Feature(name="m", missing=True, fill=3.0),
            Feature(name="sex", kind="text", missing=True, categories=("f", "m\u00e4nnlich")),
            Feature(name="island", kind="text", categories=("A & B",)),
        ),
        coef=[[1.0, 2.0, 10.0, 20.0, 40.0, 80.0]],
        intercept=[-100.0],
    )


@pytest.mark.parametrize(
    ("query", "score"),
    [
        ("n=1&m=2&sex=f&island=A+%26+B", -5.0),
        ("island=A%20%26%20B&sex=f&m=2&n=1", -5.0),
        ("n=1&m=&sex=m%C3%A4nnlich&island=A+%26+B", 7.0),
        ("n=1&m=2&sex=&island=A+%26+B", 25.0),
        ("n=1&m&sex&island=A+%26+B", 27.0),
    ],
)
async def test_a_mixed_row_is_filled_and_encoded(
    client: Client, settings: Settings, query: str, score: float
) -> None:
    """Text stands as it is, an empty value is what training made of the missing."""
    model_id = await store_model(settings, mixed_model())

    answer = await get(client, f"/models/{model_id}?{query}")

    assert answer["probabilities"]["yes"] == pytest.approx(1 / (1 + math.exp(-score)))
    assert "warnings" not in answer


async def test_a_category_that_was_not_seen_contributes_nothing_and_is_told(
    client: Client, settings: Settings
) -> None:
    """The answer is that of no category at all, and says so."""
    model_id = await store_model(settings, mixed_model())

    answer = await get(client, f"/models/{model_id}?n=99&m=0&sex=x&island=a")

    assert answer["probabilities"]["yes"] == pytest.approx(1 / (1 + math.exp(1)))
    assert [(each["code"], each["parameter"]) for each in answer["warnings"]] == [
        ("unseen-category", "sex"),
        ("unseen-category", "island"),
    ]
    assert "'x' was not seen in training" in answer["warnings"][0]["detail"]


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("n=&m=&sex=&island=", {"n", "island"}),
        ("n=1&m=2&sex=f", {"island"}),
        ("n=1", {"m", "sex", "island"}),
        ("n=x&m=nan&sex=f&island=A", {"n", "m"}),
        ("n=1&m=2&sex=f&sex=f&island=A&z=1", {"sex", "z"}),
        ("n=1e999&m=2&sex=f&island=A", {"n"}),
    ],
)
async def test_a_mixed_row_that_does_not_fit_is_refused_with_its_names(
    client: Client, settings: Settings, query: str, wrong: set[str]
) -> None:
    """Empty is allowed only where training had missing values; left out never is."""
    model_id = await store_model(settings, mixed_model())

    response = await client.get(f"/models/{model_id}?{query}")

    document = await response.json()
    assert response.status == 422
    assert {fault["parameter"] for fault in document["errors"]} == wrong


async def test_a_queued_model_answers_that_it_is_not_ready(client: Client) -> None:
    """Asked too early, the answer is 409 with the state, and when to ask again."""
    model_id = await create(client, make_request())

    response = await client.get(f"/models/{model_id}?sepal_length=1")

    document = await response.json()
    assert response.status == 409
    assert document["state"] == "queued"
    assert int(response.headers["Retry-After"]) >= 1


async def test_many_features_take_the_matrix_path_with_the_same_answer(
    client: Client, settings: Settings
) -> None:
    """A model of more than 300 coefficients predicts as its estimator does."""
    names = tuple(f"f{i}" for i in range(200))
    coef: Any = [
        [(i % 7) / 10 for i in range(200)],
        [0.0] * 200,
        [-(i % 5) / 10 for i in range(200)],
    ]
    model = make_model(features=names, classes=(1, 2, 3), coef=coef, intercept=[0.0, 1.0, 2.0])
    model_id = await store_model(settings, model)

    answer = await get(client, f"/models/{model_id}?" + "&".join(f"{n}=0.1" for n in names))

    scores = [sum(row) * 0.1 + start for row, start in zip(coef, [0.0, 1.0, 2.0], strict=True)]
    assert answer["prediction"] == 1 + scores.index(max(scores))


async def test_a_prediction_by_id_may_be_kept_and_one_by_alias_may_not(
    client: Client, settings: Settings
) -> None:
    """A stored model never changes; an alias may point at another one soon."""
    model_id = await store_model(settings, make_model())
    await client.put("/aliases/best", json={"model": model_id})

    first, again, by_alias, by_alias_again = [
        await client.get(f"/models/{name}?a=1&b=2") for name in (model_id, model_id, "best", "best")
    ]

    assert first.headers["Cache-Control"] == "private, max-age=3600"
    assert again.headers["Cache-Control"] == "private, max-age=3600"
    assert "Cache-Control" not in by_alias.headers
    assert "Cache-Control" not in by_alias_again.headers
    assert await first.read() == await again.read() == await by_alias_again.read()


async def test_a_model_deleted_in_a_storm_of_predictions_is_right_or_gone(
    client: Client, settings: Settings
) -> None:
    """Each answer is the model's or 404, and none is the model's once its deletion was told."""
    model_id = await store_model(settings, make_model())
    url = f"/models/{model_id}?a=1&b=2"
    right, is_told, answers = await get(client, url), asyncio.Event(), Counter[int]()

    async def ask() -> None:
        while not is_told.is_set() or answers[404] < 100:
            was_told = is_told.is_set()
            async with client.get(url) as response:
                document = await response.json()
            answers[response.status] += 1
            assert response.status == (404 if was_told else response.status)
            assert response.status == 404 or document == right

    asking = [asyncio.create_task(ask()) for _ in range(20)]

    async def is_under_way() -> bool:
        return answers[200] > 100

    await until(is_under_way, within_s=10)
    async with client.delete(f"/models/{model_id}") as response:
        assert response.status == 204
    is_told.set()

    await asyncio.gather(*asking)
    assert set(answers) == {200, 404}
