"""Fits that start from another model's coefficients."""

import io
import json
import uuid
from typing import Any

import numpy as np
import pytest
from redis import Redis
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from mlservice.errors import InvalidWarmStart
from mlservice.model import Model, decode, encode
from mlservice.parent import Parent, start
from mlservice.preparation import Preparation
from mlservice.schemas import Feature
from mlservice.sent import CSV, Sent, unwrap
from mlservice.settings import Settings
from tests.support import JSON, Client, create, get, iris_columns, make_model, make_request, work
from workers.training import Trained, train

ID = "00000000-0000-4000-8000-000000000001"
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")


def train_from(parent: Model | None, **members: Any) -> Trained:
    """Train on iris, perhaps from another model."""
    body = json.dumps({"evaluation": {"test_size": 0}} | make_request(**members)).encode()
    file = Parent(id=ID, file=encode(parent)) if parent else None
    sent = Sent(body=body, parent=file)
    with threadpool_limits(1):
        return train(sent.header() + sent.body, Settings())


@pytest.mark.parametrize(
    ("solver", "preprocessing"),
    [(solver, {}) for solver in SOLVERS]
    # sag and saga, which also learn the size of each row's step, may need as many again.
    + [(solver, {"scale": "standard"}) for solver in SOLVERS[:3]],
)
def test_fit_from_its_own_optimum_takes_fewer_iterations(
    solver: str, preprocessing: dict[str, str]
) -> None:
    """A converged start is nearly the end, for each solver and in the scaled units too."""
    params = {"solver": solver, "max_iter": 20_000}
    options: dict[str, Any] = {"params": params, "preprocessing": preprocessing}
    first = train_from(None, **options)

    second = train_from(first.model, **options)

    assert second.description.converged
    assert max(second.model.n_iter) < 0.6 * max(first.model.n_iter)
    assert second.model.coef == pytest.approx(first.model.coef, abs=0.1)
    assert first.model.provenance["parent"] is None
    assert second.model.provenance["parent"] == ID


def test_fit_from_anywhere_finds_the_same_optimum() -> None:
    """A parent of other data changes the way, and not where it leads."""
    columns = iris_columns()
    some = {name: cells[::2] for name, cells in columns.items()}
    exact: dict[str, Any] = {"params": {"tol": 1e-8, "max_iter": 10_000}}
    parent = train_from(None, data=some, **exact).model

    cold, warm = train_from(None, **exact), train_from(parent, **exact)

    assert warm.model.coef == pytest.approx(cold.model.coef, abs=1e-4)
    assert warm.model.coef.tobytes() != cold.model.coef.tobytes()


def test_fit_is_that_of_scikit_learns_warm_start() -> None:
    """The same coefficients, bit for bit, as an estimator that is fitted twice."""
    columns = iris_columns()
    y = np.array(columns.pop("species"))
    X = np.array(list(columns.values())).T.copy()
    half = {name: cells[::2] for name, cells in iris_columns().items()}

    warm = train_from(train_from(None, data=half).model)

    with threadpool_limits(1):
        oracle = LogisticRegression(max_iter=1000, warm_start=True, random_state=0)
        oracle.fit(X[::2].copy(), y[::2]).fit(X, y)
    assert warm.model.coef.tobytes() == oracle.coef_.tobytes()
    assert warm.model.intercept.tobytes() == oracle.intercept_.tobytes()
    assert list(warm.model.n_iter) == oracle.n_iter_.tolist()


def test_start_is_the_same_function_in_other_units() -> None:
    """Columns in another order and of another scale get the coefficients that predict the same."""
    parent = make_model(
        described=(Feature(name="a", mean=2.0, scale=4.0), Feature(name="b", mean=0.0, scale=1.0)),
        coef=[[3.0, 5.0]],
        intercept=[0.5],
    )
    ours = Preparation((Feature(name="b", mean=1.0, scale=10.0), Feature(name="a")))

    coef, intercept = start(parent, ours)

    a, b = 7.0, -3.0
    theirs = (a - 2) / 4 * 3 + b * 5 + 0.5
    assert coef @ [(b - 1) / 10, a] + intercept == pytest.approx(theirs)


def test_parts_that_are_measured_start_from_nothing() -> None:
    """A parent may know the rows that are held out, so that no measured fit starts from it."""
    parent = train_from(None).model
    parts = {"evaluation": {"folds": 3}, "search": {"C": [0.1, 1]}}

    warm, cold = train_from(parent, **parts), train_from(None, **parts)

    assert warm.description.metrics == cold.description.metrics
    assert warm.description.search == cold.description.search


def test_kept_model_of_the_training_part_starts_from_its_parent() -> None:
    """With `refit` false the one fit there is starts warm."""
    options: dict[str, Any] = {"evaluation": {"refit": False}}
    first = train_from(None, **options)

    second = train_from(first.model, **options)

    assert max(second.model.n_iter) < max(first.model.n_iter) / 5


def test_header_holds_the_parent() -> None:
    """What the store has gives back the parent, the options and the body."""
    parent = Parent(id=ID, file=encode(make_model()))
    sent = Sent(media_type=CSV, options=[("target", "y")], body=b"x,y\n1,2\n", parent=parent)

    found = unwrap(sent.header() + sent.body)

    assert found.parent
    assert (found.parent.id, bytes(found.parent.file)) == (ID, parent.file)
    assert (found.media_type, [tuple(each) for each in found.options]) == (CSV, sent.options)
    assert bytes(found.body) == sent.body


def _refusal(parent: Model, **members: Any) -> str:
    with pytest.raises(InvalidWarmStart) as refused:
        train_from(parent, **members)
    assert refused.value.errors[0].pointer == "/warm_start_from"
    return refused.value.detail


def test_parent_that_does_not_agree_is_refused_by_name() -> None:
    """Features, kinds, categories and classes are those of the table, or named."""
    parent = train_from(None).model
    columns = iris_columns()
    renamed = {("width" if name == "petal_width" else name): columns[name] for name in columns}
    text = columns | {"petal_width": [str(cell) + "!" for cell in columns["petal_width"]]}
    fewer = {name: cells[:100] for name, cells in columns.items()}

    assert "lacks 'petal_width' (number) and has 'width' (number)" in _refusal(parent, data=renamed)
    assert "'petal_width' (text)" in _refusal(parent, data=text)
    assert "classes; the table lacks 'virginica'" in _refusal(parent, data=fewer)


def test_categories_that_do_not_agree_are_refused() -> None:
    """A category more or less is another column of the fit."""
    data = {"x": ["a", "b", "c", "a"] * 5, "y": [0, 1] * 10}
    parent = train_from(None, data=data, target="y").model

    other = data | {"x": ["a", "b", "d", "a"] * 5}

    assert "lacks x=c and has x=d" in _refusal(parent, data=other, target="y")


def test_classes_of_another_type_are_refused() -> None:
    """0 and 1 are equal to false and true in Python, and are other classes."""
    data: dict[str, Any] = {"x": [1, 2, 3, 4], "y": [0, 1, 0, 1]}
    parent = train_from(None, data=data, target="y").model

    other = data | {"y": [False, True, False, True]}

    assert "lacks 0, 1 and has False, True" in _refusal(parent, data=other, target="y")


@pytest.mark.parametrize(
    "members",
    [{"params": {"solver": "liblinear"}}, {"search": {"solver": ["lbfgs", "liblinear"]}}],
)
def test_liblinear_is_refused(members: dict[str, Any]) -> None:
    """A start that has no effect is not taken in silence."""
    data = {"x": [1, 2, 3, 4] * 5, "y": [0, 1, 0, 1] * 5}
    parent = train_from(None, data=data, target="y").model

    assert "must not be liblinear" in _refusal(parent, data=data, target="y", **members)


async def _trained(client: Client, settings: Settings, **members: Any) -> str:
    model_id = await create(client, make_request(**members))
    await work(settings)
    return model_id


async def _post(client: Client, path: str, body: Any) -> tuple[int, Any]:
    async with client.post(path, data=io.BytesIO(body), headers=JSON) as response:
        return response.status, await response.json()


async def test_model_starts_from_an_alias_and_outlives_its_parent(
    client: Client, settings: Settings
) -> None:
    """The parent is read when the training is asked for, and may be deleted then."""
    parent = await _trained(client, settings)
    await client.put("/aliases/best", json={"model": parent})
    model_id = await create(client, make_request(warm_start_from="best"))
    queued = await get(client, f"/models/{model_id}")
    await client.delete("/aliases/best")
    assert (await client.delete(f"/models/{parent}")).status == 204
    await work(settings)

    document = await get(client, f"/models/{model_id}")

    assert queued["provenance"] == {"parent": parent}
    assert document["state"] == "ready", document["error"]
    assert document["provenance"]["parent"] == parent
    assert document["n_iter"][0] < 10
    async with client.get(f"/models/{model_id}/artifact") as response:
        assert decode(await response.read()).provenance["parent"] == parent


async def test_large_body_names_its_parent_in_the_query(client: Client, settings: Settings) -> None:
    """Nobody has read a large body when the parent is, so that a member there is refused."""
    parent = await _trained(client, settings)
    space = b" " * (1 << 20)
    plain = json.dumps(make_request()).encode() + space
    inside = json.dumps(make_request(warm_start_from=parent)).encode() + space

    _, queued = await _post(client, f"/models?warm_start_from={parent}", plain)
    _, refused = await _post(client, "/models", inside)
    await work(settings)

    document = await get(client, f"/models/{queued['id']}")
    assert document["state"] == "ready", document["error"]
    assert document["provenance"]["parent"] == parent
    failed = await get(client, f"/models/{refused['id']}")
    assert failed["error"]["type"] == "/problems/invalid-warm-start"
    assert "must stand in the query" in failed["error"]["detail"]


async def test_parent_that_cannot_be_is_refused_before_anything_is_queued(
    client: Client, settings: Settings, redis: "Redis"
) -> None:
    """No such model, one that is not ready, of another tenant, or that does not agree."""
    parent = await _trained(client, settings)
    hidden = await _trained(client, settings)
    open_ = await create(client, make_request())
    redis.hset(f"mls:model:{hidden}", "tenant", "another")
    before = set(redis.scan_iter("mls:model:*"))

    async def answer(name: str, **members: Any) -> tuple[int, str]:
        body = make_request(warm_start_from=name, **members)
        status, problem = await _post(client, "/models", json.dumps(body).encode())
        assert problem["errors"][0]["pointer"] == "/warm_start_from"
        return status, problem["type"].removeprefix("/problems/")

    assert await answer(str(uuid.uuid4())) == (404, "model-not-found")
    assert await answer("nobody") == (404, "model-not-found")
    assert await answer(hidden) == (404, "model-not-found")
    assert await answer(open_) == (409, "model-not-ready")
    data: dict[str, Any] = {"x": [1, 2, 3, 4], "y": [0, 1, 0, 1]}
    assert await answer(parent, data=data, target="y") == (422, "invalid-warm-start")
    assert set(redis.scan_iter("mls:model:*")) == before


async def test_two_parents_are_refused(client: Client) -> None:
    """The query and the body must not name two models."""
    body = json.dumps(make_request(warm_start_from="one")).encode()

    status, problem = await _post(client, "/models?warm_start_from=two", body)

    assert (status, problem["errors"][0]["parameter"]) == (422, "warm_start_from")


async def test_csv_names_its_parent_in_the_query(client: Client, settings: Settings) -> None:
    """It is an option as any other."""
    rows = "".join(f"{i % 7},{i % 2}\n" for i in range(40))
    headers = {"Content-Type": "text/csv"}
    async with client.post("/models?target=y", data="x,y\n" + rows, headers=headers) as response:
        parent = (await response.json())["id"]
    await work(settings)
    path = f"/models?target=y&warm_start_from={parent}"
    async with client.post(path, data="x,y\n" + rows, headers=headers) as response:
        model_id = (await response.json())["id"]
    await work(settings)

    document = await get(client, f"/models/{model_id}")

    assert document["state"] == "ready", document["error"]
    assert document["provenance"]["parent"] == parent
