"""Options of a training in a query string."""

from typing import Any

import msgspec
import pytest

from mlservice.errors import InvalidParameter
from mlservice.query import read_options, read_query


def options(query: str) -> Any:
    """Return the members that a query sets, as JSON has them."""
    request = read_options(read_query(query), target="last")
    return {
        name: value
        for name, value in msgspec.to_builtins(request).items()
        if name in ("target", "name")
        or (name == "params" and value != msgspec.to_builtins(type(request.params)()))
    }


def refused(query: str) -> list[str]:
    """Return the parameters that a query is refused for."""
    with pytest.raises(InvalidParameter) as problem:
        read_options(read_query(query), target="last")
    return sorted(str(fault.parameter) for fault in problem.value.errors)


def test_target_is_the_last_column_unless_it_is_named() -> None:
    """Without a target there is one all the same."""
    assert options("")["target"] == "last"
    assert options("target=other")["target"] == "other"


@pytest.mark.parametrize("text", ["1", "null", "true", "[1]", "inf", "0.5", "a b", "ä"])
def test_names_are_text_whatever_they_look_like(text: str) -> None:
    """A column or a model may be called 1 or null."""
    assert options(f"target={text}&name={text}") == {"target": text, "name": text}


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("params.C=0.5", "C", 0.5),
        ("params.C=null", "C", None),
        ("params.C=1e%2B2", "C", 100),
        ("params.solver=saga", "solver", "saga"),
        ("params.dual=true", "dual", True),
        ("params.max_iter=7", "max_iter", 7),
        ("params.class_weight=balanced", "class_weight", "balanced"),
        ("params.class_weight.a=2&params.class_weight.b=3", "class_weight", {"a": 2, "b": 3}),
        ('params.class_weight={"a.b": 2}', "class_weight", {"a.b": 2}),
    ],
)
def test_values_are_of_the_type_that_their_member_declares(
    query: str, name: str, value: object
) -> None:
    """Text becomes a number, a boolean, null or an object where one is due."""
    assert options(query)["params"][name] == value


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("colour=red", ["colour"]),
        ("params.CC=1", ["params.CC"]),
        ("params.C=many", ["params.C"]),
        ("params.C=", ["params.C"]),
        ("params.C=nan", ["params.C"]),
        ("params.C=-Infinity", ["params.C"]),
        ("params.C=[1", ["params.C"]),
        ("params=1", ["params"]),
        ("params.C.x=1", ["params.C"]),
        ("target=a&target=b", ["target"]),
        ("data=1&data.x=1", ["data", "data.x"]),
        ("=1", [""]),
        ("params.=1", ["params."]),
        ("params.class_weight.a=x", ["params.class_weight"]),
        ("params.tol=x&params.solver=adam&a=1&b=2", ["a", "b", "params.solver", "params.tol"]),
        (f"name={'x' * 201}&params.C=0", ["name", "params.C"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_told_at_once(query: str, parameters: list[str]) -> None:
    """Each name that is unknown, repeated, or has a wrong value is a fault of its own."""
    assert refused(query) == parameters


def test_value_that_is_one_of_few_is_refused_with_the_few() -> None:
    """A misspelt solver is answered with the solvers."""
    with pytest.raises(
        InvalidParameter, match=r"params\.solver is wrong: 'adam' is none of lbfgs,"
    ):
        read_options([("params.solver", "adam")], target="y")


def test_options_beside_the_table_count_and_may_not_stand_twice() -> None:
    """A member of the body is an option like those of the query."""
    members = {"target": "y", "params": {"C": 2.0}}

    request = read_options([("name", "x")], target="last", members=members)
    with pytest.raises(InvalidParameter) as problem:
        read_options([("target", "x"), ("params.tol", "1")], target="last", members=members)

    assert (request.target, request.name, request.params.C) == ("y", "x", 2.0)
    assert [fault.parameter for fault in problem.value.errors] == ["target", "params.tol"]


def test_names_of_nothing_are_told_without_reading_them_all() -> None:
    """Of thousands of unknown names 20 are told: to tell all would hold up the loop for seconds."""
    pairs = [(f"n{number}", "") for number in range(5000)]

    with pytest.raises(InvalidParameter) as refused:
        read_options(pairs, target="y")

    assert len(refused.value.errors) == 20
    assert refused.value.detail == "n0 is not an option of a training. (and at least 19 more)"
