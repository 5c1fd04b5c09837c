"""How sure coefficients are: statsmodels' numbers."""

import json
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.special import expit

from mlservice.schemas import Description
from mlservice.settings import Settings
from tests.support import Client, create, get, iris_columns, work
from workers.inference import Design, estimate
from workers.training import train

EXACT = {"C": None, "solver": "newton-cholesky", "tol": 1e-10, "max_iter": 200}


def describe(data: Any, *, target: str = "y", **params: Any) -> Description:
    """Train without a penalty, to the optimum unless told otherwise."""
    body = {"data": data, "target": target, "params": EXACT | params}
    return train(json.dumps(body).encode(), Settings()).description


def codes(described: Description) -> list[str]:
    """Return the codes of the warnings."""
    return [warning.code for warning in described.warnings if warning.code != "no-test-part"]


def spector() -> tuple[Any, Any]:
    """Return grades and a teaching method, two classes."""
    data = sm.datasets.spector.load_pandas()
    return data.exog, data.endog.astype(int)


def fair() -> tuple[Any, Any]:
    """Return 6,366 answers to a survey, two classes."""
    data = sm.datasets.fair.load_pandas()
    return data.exog, (data.endog > 0).astype(int)


def anes96() -> tuple[Any, Any]:
    """Return an election study, seven classes."""
    data = sm.datasets.anes96.load_pandas()
    return data.exog, data.endog.astype(int)


@pytest.mark.parametrize("load", [spector, fair, anes96])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_inference_is_statsmodels(load: Any, fit_intercept: bool) -> None:
    """Estimates, errors, tests, intervals and likelihoods are those of `Logit` and `MNLogit`."""
    X, y = load()
    exog = sm.add_constant(X) if fit_intercept else X
    oracle = sm.MNLogit(y, exog).fit(disp=False, method="newton", maxiter=100)

    described = describe({**X.to_dict("list"), "y": y.tolist()}, fit_intercept=fit_intercept)

    assert codes(described) == []
    assert described.inference
    assert list(described.inference) == [str(label) for label in sorted(set(y))[1:]]
    found = list(described.inference.values())
    names = [("intercept" if name == "const" else name) for name in exog.columns]
    intervals = np.asarray(oracle.conf_int()).reshape(len(found), len(names), 2)
    for member, expected in {
        "estimate": oracle.params.to_numpy().T,
        "std_error": oracle.bse.to_numpy().T,
        "z": oracle.tvalues.to_numpy().T,
        "p_value": oracle.pvalues.to_numpy().T,
        "ci_low": intervals[:, :, 0],
        "ci_high": intervals[:, :, 1],
        "odds_ratio": np.exp(oracle.params.to_numpy().T),
    }.items():
        numbers = [[getattr(by[name], member) for name in names] for by in found]
        assert np.array(numbers) == pytest.approx(expected, rel=1e-4, abs=1e-9), member


@pytest.mark.parametrize("load", [spector, fair, anes96])
def test_likelihood_is_statsmodels(load: Any) -> None:
    """Log-likelihood, AIC, BIC and pseudo R2 are statsmodels'."""
    X, y = load()
    oracle = sm.MNLogit(y, sm.add_constant(X)).fit(disp=False, method="newton", maxiter=100)

    found = describe({**X.to_dict("list"), "y": y.tolist()}).likelihood

    assert found
    assert found.log_likelihood == pytest.approx(oracle.llf)
    assert found.deviance == pytest.approx(-2 * oracle.llf)
    assert found.null_deviance == pytest.approx(-2 * oracle.llnull)
    assert found.aic == pytest.approx(oracle.aic)
    assert found.bic == pytest.approx(oracle.bic)
    assert found.pseudo_r2 == pytest.approx(oracle.prsquared)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("scale", ["none", "standard"])
def test_inference_with_a_reference_category_is_statsmodels(n_classes: int, scale: str) -> None:
    """Texts are compared with their first category, as formulas of statsmodels compare them."""
    random = np.random.default_rng(n_classes)
    colour = random.choice(["red", "green", "blue", ""], 400)
    shape = random.choice(["cube", "ball"], 400)
    size = random.normal(5, 3, 400)
    slopes = random.normal(size=n_classes)
    scores = np.outer(size + 2 * (colour == "red") - (shape == "cube"), slopes)
    y = (scores + 5 * random.gumbel(size=scores.shape)).argmax(axis=1)
    # Named so that it comes last, as missing text does.
    named = np.where(colour == "", "~", colour)
    frame = pd.DataFrame({"colour": named, "shape": shape, "size": size, "y": y})
    oracle = smf.mnlogit("y ~ size + C(colour) + C(shape)", frame).fit(disp=False, maxiter=100)
    data = {"colour": colour.tolist(), "shape": shape.tolist(), "size": size.tolist()}
    preprocessing = {"encode": "reference", "scale": scale}
    body = {"data": {**data, "y": y.tolist()}, "target": "y", "params": EXACT}

    described = train(
        json.dumps(body | {"preprocessing": preprocessing}).encode(), Settings()
    ).description

    assert codes(described) == []
    assert described.inference
    terms = {
        "intercept": "Intercept",
        "size": "size",
        "colour=green": "C(colour)[T.green]",
        "colour=red": "C(colour)[T.red]",
        "colour=": "C(colour)[T.~]",
        "shape=cube": "C(shape)[T.cube]",
    }
    for place, by in enumerate(described.inference.values()):
        assert set(by) == set(terms)
        for column, term in terms.items():
            found = [by[column].estimate, by[column].std_error, by[column].p_value]
            tables = (oracle.params, oracle.bse, oracle.pvalues)
            expected = [table.loc[term].iloc[place] for table in tables]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_one_column_for_every_category_is_rank_deficient() -> None:
    """Without a penalty one-hot columns add up to the intercept; the warning says what helps."""
    data = {"t": ["a", "b", "c"] * 10, "y": [0, 1, 1, 0, 0, 1] * 5}

    described = describe(data, solver="lbfgs", tol=1e-6)

    assert described.inference is None
    [warning] = [each for each in described.warnings if each.code == "rank-deficient"]
    assert "encode reference" in warning.detail


def random_table(*, rows: int = 200) -> dict[str, list[Any]]:
    """Return two columns and a target that overlaps along both."""
    random = np.random.default_rng(0)
    X = random.normal(size=(rows, 2))
    y = (random.random(rows) < expit(X @ [1.0, -0.5])).astype(int)
    return {"a": X[:, 0].tolist(), "b": X[:, 1].tolist(), "y": y.tolist()}


def test_rows_that_overlap_are_not_called_separated() -> None:
    """The checks below fail for tables that are well."""
    described = describe(random_table())

    assert codes(described) == []
    assert described.inference


@pytest.mark.parametrize("target", ["all", "some", "one class of three"])
def test_separation_is_said_in_words(target: str) -> None:
    """Where columns tell the class, in all rows or some, no huge numbers are returned."""
    data = random_table()
    if target == "all":
        data["y"] = [int(a > 0) for a in data["a"]]
    elif target == "some":
        data["b"] = [float(y and i % 3 == 0) for i, y in enumerate(data["y"])]
    else:
        data["y"] = [2 if a > 1 else y for a, y in zip(data["a"], data["y"], strict=True)]

    described = describe(data, solver="lbfgs", tol=1e-3, max_iter=10_000)

    assert (described.inference, described.likelihood) == (None, None)
    assert codes(described) == ["separation"]


def test_iris_is_separated() -> None:
    """Setosa is told from the others by any petal."""
    described = describe(iris_columns(), target="species", tol=1e-3, max_iter=10_000)

    assert "separation" in codes(described)


@pytest.mark.parametrize(
    ("name", "dependent"), [("constant", [3.0] * 200), ("double", None), ("zero", [0.0] * 200)]
)
def test_columns_that_follow_from_others_are_named(name: str, dependent: Any) -> None:
    """Rank deficiency is a warning that names columns."""
    data = random_table()
    data = {name: dependent or [2 * a for a in data["a"]], **data}

    described = describe(data, solver="lbfgs", tol=1e-6)

    assert described.inference is None
    [warning] = [each for each in described.warnings if each.code == "rank-deficient"]
    assert (
        f"'{name}'" in warning.detail or "'a'" in warning.detail or "'intercept'" in warning.detail
    )


def test_fewer_rows_than_columns_are_rank_deficient() -> None:
    """A table that is wider than long has no unique coefficients."""
    random = np.random.default_rng(0)
    data: dict[str, list[Any]] = {f"x{i}": random.normal(size=4).tolist() for i in range(5)}

    assert "rank-deficient" in codes(describe({**data, "y": [0, 1, 1, 0]}, solver="lbfgs"))


def test_standardised_columns_are_told_in_the_units_of_the_input() -> None:
    """Without a penalty, the scale of the columns changes nothing."""
    data = random_table()
    body = {"data": data, "target": "y", "params": EXACT, "preprocessing": {"scale": "standard"}}

    scaled = train(json.dumps(body).encode(), Settings()).description

    plain = describe(data)
    assert scaled.inference
    assert plain.inference
    for column, expected in plain.inference["1"].items():
        found = msgspec.structs.astuple(scaled.inference["1"][column])
        assert found == pytest.approx(msgspec.structs.astuple(expected), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-3, 1e100])
def test_standard_errors_are_in_the_units_of_the_column(scale: float) -> None:
    """A column in other units has the same z, also where its squares leave float64."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=80)
    y = (x + generator.normal(size=80) > 0).astype(int)
    fitted = sm.Logit(y, sm.add_constant(x)).fit(disp=False)
    beta = np.array([[0, 0], [fitted.params[0], fitted.params[1] / scale]])
    X = np.column_stack([np.ones(80), x * scale])

    found, _ = estimate(Design(X=X, y=y, columns=["intercept", "x"], names=["0", "1"], beta=beta))

    assert found is not None
    x_is = found.estimates["1"]["x"]
    assert x_is.z == pytest.approx(fitted.tvalues[1], rel=1e-6)
    assert x_is.std_error * scale == pytest.approx(fitted.bse[1], rel=1e-6)


@pytest.mark.parametrize("solver", ["lbfgs", "saga"])
def test_fit_that_stopped_away_from_the_optimum_is_told_and_has_no_inference(solver: str) -> None:
    """Of columns of unlike scales solvers say that they converged where they have not."""
    random = np.random.default_rng(0)
    X = random.normal(size=(2000, 3)) * [1.0, 100.0, 0.01] + [0.0, 1000.0, 5.0]
    y = random.random(2000) < expit(X @ [1.0, 0.003, 10.0] - 53)
    data = {**{name: X[:, i].tolist() for i, name in enumerate("abc")}, "y": y.tolist()}
    oracle = sm.Logit(y, sm.add_constant(X)).fit(disp=False)

    wrong = describe(data, solver=solver, tol=1e-4, max_iter=100_000)
    right = describe(data)

    far = np.abs(list((wrong.coefficients or {})["true"].values()) - oracle.params[1:])
    assert (far / oracle.bse[1:]).max() > 0.1
    assert wrong.converged
    assert (wrong.inference, codes(wrong)) == (None, ["not-at-optimum"])
    assert right.inference
    assert codes(right) == []


@pytest.mark.parametrize("params", [{"C": 1.0}, {"C": 1e6, "solver": "lbfgs"}])
def test_penalised_fit_has_no_inference(params: dict[str, Any]) -> None:
    """A penalty moves the coefficients, and nothing is said of them."""
    described = describe(random_table(), **params)

    assert (described.inference, described.likelihood) == (None, None)
    assert codes(described) == []


def test_weighted_fit_and_one_that_did_not_converge_have_no_inference() -> None:
    """What is no maximum of the rows' likelihood has no standard errors."""
    weighted = describe(random_table(), class_weight="balanced")
    unfinished = describe(random_table(), solver="lbfgs", max_iter=1)

    assert weighted.inference is unfinished.inference is None
    assert (codes(weighted), codes(unfinished)) == (["no-inference"], ["not-converged"])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"class_weight": "balanced", "tol": 1e-3}, ["separation"]),
        ({"tol": 1e-12, "max_iter": 20}, ["not-converged", "separation"]),
    ],
)
def test_separation_is_said_of_weighted_and_of_unfinished_fits(
    params: dict[str, Any], said: list[str]
) -> None:
    """More iterations would not help, which the advice of the other warning leaves open."""
    data = random_table()
    data["b"] = [float(y and i % 3 == 0) for i, y in enumerate(data["y"])]

    assert codes(describe(data, solver="lbfgs", **({"max_iter": 10_000} | params))) == said


def test_columns_that_follow_from_others_are_told_of_unfinished_fits() -> None:
    """Their coefficients are arbitrary, however long a fit goes on."""
    data = random_table()

    described = describe({"c": data["a"], **data}, solver="lbfgs", max_iter=2)

    assert {"not-converged", "rank-deficient"} <= {*codes(described)}


def test_rows_that_count_nothing_separate_nothing_and_join_nothing() -> None:
    """A class is told from the other in all rows that have a weight."""
    data = random_table()
    data["w"] = [float((a > 0) == y) for a, y in zip(data["a"], data["y"], strict=True)]
    params = {"C": None, "tol": 1e-3, "max_iter": 10_000}
    body = {"data": data, "target": "y", "sample_weight": "w", "params": params}

    described = train(json.dumps(body).encode(), Settings()).description

    assert codes(described) == ["separation"]


def test_constant_has_a_name_of_its_own_beside_a_feature_called_intercept() -> None:
    """A feature `intercept` keeps its name, and takes nothing from the constant."""
    data = random_table()
    expected = describe(data).inference
    assert expected

    found = describe({{"a": "intercept"}.get(name, name): data[name] for name in data}).inference

    assert found
    assert found["1"].keys() == {"(intercept)", "intercept", "b"}
    assert found["1"]["(intercept)"] == expected["1"]["intercept"]
    assert found["1"]["intercept"] == expected["1"]["a"]


async def test_document_has_the_inference(client: Client, settings: Settings) -> None:
    """Class, column and the names that the API document gives."""
    model_id = await create(client, {"data": random_table(), "target": "y", "params": EXACT})
    await work(settings)

    document = await get(client, f"/models/{model_id}")

    a = document["inference"]["1"]["a"]
    assert a.keys() == {
        "estimate", "std_error", "z", "p_value", "ci_low", "ci_high", "odds_ratio"
    }  # fmt: skip
    assert a["estimate"] == document["coefficients"]["1"]["a"]
    assert document["inference"]["1"].keys() == {"intercept", "a", "b"}
    assert document["likelihood"]["parameters"] == 3
