"""Small bodies, predicted by plain arithmetic."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlservice.errors import ClientProblem
from mlservice.extent import Extent
from mlservice.model import Model
from mlservice.predicting.answer import answer, form_of
from mlservice.predicting.atonce import predict_at_once
from mlservice.predicting.documents import in_json
from mlservice.predicting.matching import Wanted, warnings_of
from mlservice.predicting.question import read_question
from mlservice.profile import FeatureProfile, Profile
from mlservice.schemas import Feature
from mlservice.scoring import Scorer
from mlservice.sent import Sent
from mlservice.settings import Settings
from tests.support import Client, get, make_model, store_model

SEEN = FeatureProfile(count=2, min=-3.0, max=3.0, mean=0.0, std=1.0, deciles=(0.0,) * 9)
PROFILE = Profile(rows=2, classes=(1, 1), features=(SEEN, SEEN))
MOST = 100
MODEL = Model(**{**vars(make_model(coef=[[1.0, 2.0]])), "profile": PROFILE})


def at_length(scorer: Scorer, body: bytes) -> Any:
    """Answer a body in the way of all tables."""
    features = scorer.table.preparation.features
    question = read_question(
        Sent(body=body), Wanted(features=features, target=scorer.target), Settings()
    )
    told = answer(
        form_of(scorer, question.options), scorer.table.score(question.columns), question.columns
    )
    return json.loads(in_json("id", told, warnings_of(question.columns, features, scorer.profile)))


CELLS = st.one_of(
    st.floats(-4, 4), st.integers(-4, 4), st.just(1e308), st.none(), st.text(max_size=1)
)


def records(columns: dict[str, Any]) -> Any:
    """Return rows as objects; columns may be of different lengths."""
    rows = itertools.zip_longest(*columns.values())
    return [dict(zip(columns, row, strict=True)) for row in rows]


def split(columns: dict[str, Any]) -> Any:
    """Return rows as lists, their names apart."""
    return {"columns": list(columns), "data": list(itertools.zip_longest(*columns.values()))}


def wrapped(columns: dict[str, Any]) -> Any:
    """Return columns as a member."""
    return {"data": columns}


FORMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "columns": dict,
    "records": records,
    "split": split,
    "wrapped columns": wrapped,
    "wrapped records": lambda columns: {"data": records(columns)},
}


@given(
    st.sampled_from(sorted(FORMS)),
    st.dictionaries(
        st.sampled_from(["a", "b", "target", "z"]), st.lists(CELLS, min_size=1, max_size=2)
    ),
)
def test_small_body_has_the_answer_of_any_table(form: str, columns: dict[str, Any]) -> None:
    """What is answered at once is what the long way answers, and it tells nothing else."""
    scorer, body = Scorer(MODEL), json.dumps(FORMS[form](columns)).encode()

    found = predict_at_once("id", scorer, body, MOST)

    if found is not None:
        short, long = json.loads(found), at_length(scorer, body)
        difference = np.subtract(short.pop("probabilities"), long.pop("probabilities"))
        assert np.abs(difference).max() <= 1e-12
        assert short == long


@pytest.mark.parametrize("form", FORMS)
def test_plain_rows_are_answered_at_once(form: str) -> None:
    """Numbers within the range of training need no more, in whatever form and order."""
    body = json.dumps(FORMS[form]({"b": [1, 1], "a": [3, -3.0]})).encode()

    found = predict_at_once("id", Scorer(MODEL), body, MOST)

    assert found is not None
    assert json.loads(found)["predictions"] == ["yes", "no"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"5",
        b"[" * 5000,
        b'{"a": [1], "b": [3.5]}',
        b'{"a": [1], "b": [1, 2]}',
        b'{"a": [1]}',
        b'{"a": [1], "b": [1], "target": [1]}',
        b'{"a": [], "b": []}',
        b'{"data": {"a": [1], "b": [1]}, "explain": true}',
        b'{"columns": ["a", "b", "a"], "data": [[1, 1, 1]]}',
        b'{"columns": ["a", "b"], "data": [[1, 1], [1]]}',
        b'{"columns": ["a", "b"], "data": [[1, 1], [1, 1, 1]]}',
        b'[{"a": 1, "b": 1}, {"a": 1, "b": 1, "z": 1}]',
        b"[]",
        b'{"a": [1,1,1,1,1,1,1,1,1], "b": [1,1,1,1,1,1,1,1,1]}',
    ],
)
def test_anything_else_takes_the_way_of_all_tables(body: bytes) -> None:
    """Faults, warnings, options and many rows are told there."""
    assert predict_at_once("id", Scorer(MODEL), body, MOST) is None


def test_answer_that_is_too_large_takes_the_way_of_all_tables() -> None:
    """The setting is named there."""
    body = b'{"a": [1, 1], "b": [1, 1]}'

    assert predict_at_once("id", Scorer(MODEL), body, 4) is not None
    assert predict_at_once("id", Scorer(MODEL), body, 3) is None


def test_row_that_overflows_takes_the_way_of_all_tables() -> None:
    """It is named there."""
    scorer = Scorer(make_model(coef=[[1e200, 1e200]]))

    assert predict_at_once("id", scorer, b'{"a": [1e200], "b": [1]}', MOST) is None
    with pytest.raises(ClientProblem, match="Row 0: its numbers must be small"):
        at_length(scorer, b'{"a": [1e200], "b": [1]}')


def test_model_with_a_preparation_takes_the_way_of_all_tables() -> None:
    """Its rows are matched by kind first."""
    features = (Feature(name="a", missing=True, fill=0.0),)
    model = make_model(described=features, coef=[[1.0]], intercept=[0.0])

    assert predict_at_once("id", Scorer(model), b'{"a": [1]}', MOST) is None
    with pytest.raises(ClientProblem):
        at_length(Scorer(model), b'{"a": ["x"]}')


async def test_numbers_outside_the_range_are_told(client: Client, settings: Settings) -> None:
    """A query and a table say so, each in its own words, and predict all the same."""
    model_id = await store_model(settings, MODEL)

    within = await get(client, f"/models/{model_id}?a=1&b=3")
    queried = await get(client, f"/models/{model_id}?a=1&b=3.5")
    posted = await client.post(f"/models/{model_id}/predictions", json={"a": [1], "b": [3.5]})

    told = await posted.json()
    assert "warnings" not in within
    assert [(each["code"], each["parameter"]) for each in queried["warnings"]] == [
        ("outside-range", "b")
    ]
    assert "'b' was -3 to 3 in training, it is 3.5" in queried["warnings"][0]["detail"]
    assert [each["code"] for each in told["warnings"]] == ["outside-range"]
    assert told["predictions"] == [queried["prediction"]]


def test_texts_and_what_is_missing_are_in_no_range() -> None:
    """Beside them a number is told, and one whose range is not known is not."""
    text = FeatureProfile(count=2, counts=(1, 1))
    profile = Profile(rows=2, classes=(1, 1), features=(text, SEEN, SEEN, FeatureProfile(count=0)))
    extent = Extent([Feature(name=name) for name in "abcd"], profile)

    found = extent.outside(["x", None, -4.0, 1e9])

    assert [each.parameter for each in found] == ["c"]
    assert extent.outside(["x", None, -3.0, 1e9]) == []


def test_where_no_range_is_known_every_number_is_in_it() -> None:
    """Models of older versions have no profile."""
    extent = Extent([Feature(name="a")], None)

    assert extent.holds([1e300])
    assert extent.outside([1e300]) == []
