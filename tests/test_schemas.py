"""Reading the body of a training."""

import json
from typing import Any

import pytest
from msgspec import UNSET

from mlservice.catalogue import Params
from mlservice.errors import InvalidRequest, MalformedJson
from mlservice.schemas import Label, label_name, read_training

VALID: dict[str, Any] = {"data": {"a": [1, 2], "y": [0, 1]}, "target": "y"}
DEEP = 250_000


def body_of(cell: bytes) -> bytes:
    """Return a body with this text as a cell of row 1 of column `a`."""
    return b'{"data": {"a": [1, ' + cell + b'], "y": [0, 1]}, "target": "y"}'


def body_with(**members: object) -> bytes:
    """Return a valid body, members replaced or added."""
    return json.dumps(VALID | members).encode()


def test_smallest_request_has_the_defaults_of_scikit_learn() -> None:
    """Only the table and the target are required."""
    request = read_training(body_with())

    assert (request.data, request.target, request.name) == (VALID["data"], "y", None)
    assert request.params == Params()
    assert (request.params.C, request.params.penalty) == (UNSET, UNSET)


def test_last_of_duplicate_members_counts() -> None:
    """Duplicate members are read as every JSON library reads them."""
    request = read_training(b'{"target": "x", "data": {"a": [1], "a": [2]}, "target": "y"}')

    assert (request.target, request.data) == ("y", {"a": [2]})


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{} x",
        b"\xef\xbb\xbf{}",
        b"target=y",
        body_of(b"NaN"),
        body_of(b"Infinity"),
        body_of(b"-Infinity"),
        body_of(b"0x1"),
        body_of(b"01"),
        body_of(b"1,"),
        body_of(b"'x'"),
        body_of(b'"\xff"'),
        body_of(b'"\xed\xa0\x80"'),
        body_of(b'"\\ud800"'),
        body_of(b'"\\udc00\\ud800"'),
        body_of(b'"a\nb"'),
        b'{"data": {"\\ud800": [1, 2], "y": [0, 1]}, "target": "y"}',
        b'{"\xff": 1}',
    ],
)
def test_body_that_is_no_json_is_refused(body: bytes) -> None:
    """What RFC 8259 does not allow is malformed, whatever some libraries write."""
    if body == b"{} x":
        body = body_with() + b" x"

    with pytest.raises(MalformedJson, match=r"^The body must be JSON, it is not: .*\.$"):
        read_training(body)


@pytest.mark.parametrize(
    "body",
    [
        body_of(b"[" * DEEP + b"]" * DEEP),
        body_of(b"[" * DEEP),
        body_of(b'{"a":' * DEEP),
        b'{"data": ' * DEEP,
    ],
)
def test_body_nested_beyond_reason_is_refused(body: bytes) -> None:
    """250,000 levels neither end the process nor take a traceback."""
    with pytest.raises(MalformedJson, match="must not be nested this deeply"):
        read_training(body)


@pytest.mark.parametrize("cell", [b"9" * 5000, b"-" + b"9" * 5000])
def test_number_of_too_many_digits_is_refused_with_its_table(cell: bytes) -> None:
    """Python itself reads no integer of more than 4,300 digits."""
    with pytest.raises(InvalidRequest, match="out of range") as refused:
        read_training(body_of(cell))

    assert [fault.pointer for fault in refused.value.errors] == ["/data"]


def test_parameter_beyond_float64_is_refused() -> None:
    """A number that no float64 holds does not become infinity."""
    with pytest.raises(InvalidRequest, match="out of range") as refused:
        read_training(b'{"data": {"a": [1e999], "y": [0]}, "target": "y", "params": {"C": 1e999}}')

    assert [fault.pointer for fault in refused.value.errors] == ["/params/C"]


def test_pair_of_surrogates_is_one_character() -> None:
    """An escaped character beyond the basic plane is read."""
    request = read_training(body_of(b'"\\ud83d\\ude00"'))

    assert request.data == {"a": [1, "\U0001f600"], "y": [0, 1]}


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"bogus": 1}, "/bogus"),
        ({"data": 1}, "/data"),
        ({"data": [{"a": 1}, 5]}, "/data/1"),
        ({"target": 1}, "/target"),
        ({"name": "x" * 201}, "/name"),
        ({"params": []}, "/params"),
        ({"params": {"bogus": 1}}, "/params/bogus"),
        ({"params": {"C": 0}}, "/params/C"),
        ({"params": {"C": -1}}, "/params/C"),
        ({"params": {"C": "1"}}, "/params/C"),
        ({"params": {"C": True}}, "/params/C"),
        ({"params": {"l1_ratio": 1.1}}, "/params/l1_ratio"),
        ({"params": {"l1_ratio": None}}, "/params/l1_ratio"),
        ({"params": {"penalty": "none"}}, "/params/penalty"),
        ({"params": {"solver": "adam"}}, "/params/solver"),
        ({"params": {"dual": 0}}, "/params/dual"),
        ({"params": {"tol": -1}}, "/params/tol"),
        ({"params": {"intercept_scaling": 0}}, "/params/intercept_scaling"),
        ({"params": {"class_weight": "equal"}}, "/params/class_weight"),
        ({"params": {"class_weight": {"0": "x"}}}, "/params/class_weight"),
        ({"params": {"class_weight": {"0": -1}}}, "/params/class_weight"),
        ({"params": {"random_state": -1}}, "/params/random_state"),
        ({"params": {"random_state": 2**32}}, "/params/random_state"),
        ({"params": {"max_iter": -1}}, "/params/max_iter"),
        ({"params": {"max_iter": 1_000_001}}, "/params/max_iter"),
        ({"params": {"max_iter": 1.5}}, "/params/max_iter"),
        ({"params": {"multi_class": "ovr"}}, "/params/multi_class"),
        ({"params": {"n_jobs": 2}}, "/params/n_jobs"),
    ],
)
def test_wrong_member_is_pointed_at(members: dict[str, object], pointer: str) -> None:
    """A member that is unknown, of the wrong type or out of range is refused with its place."""
    with pytest.raises(InvalidRequest) as refused:
        read_training(body_with(**members))

    assert [fault.pointer for fault in refused.value.errors] == [pointer]
    assert (pointer or "the top of the body") in refused.value.detail


@pytest.mark.parametrize("member", ["data", "target"])
def test_missing_member_is_named(member: str) -> None:
    """A request without a table or a target is refused by the member's name."""
    rest = {name: value for name, value in VALID.items() if name != member}

    with pytest.raises(InvalidRequest, match=f"missing required field `{member}`"):
        read_training(json.dumps(rest).encode())


@pytest.mark.parametrize(
    ("members", "pointer", "told"),
    [
        ({"params": {"max_iters": 5}}, "/params/max_iters", "'max_iters' is none of C, l1_ratio,"),
        ({"tar/get": "y"}, "/tar~1get", "'tar/get' is none of data, target, name, params,"),
        ({"params": {"solver": "adam"}}, "/params/solver", "'adam' is none of lbfgs, liblinear,"),
        ({"params": {"class_weight": "x"}}, "/params/class_weight", "'x' is none of balanced"),
        ({"params": {"penalty": ""}}, "/params/penalty", "'' is none of elasticnet, l1, l2, null"),
        ({"preprocessing": {"scale": "max"}}, "/preprocessing/scale", "'max' is none of none,"),
        ({"search": {"solver": ["adam"]}}, "/search/solver/0", "'adam' is none of lbfgs,"),
        ({"search": {"scoring": "f2"}}, "/search/scoring", "'f2' is none of "),
    ],
)  # fmt: skip
def test_misspelt_option_or_value_is_told_with_those_that_there_are(
    members: dict[str, object], pointer: str, told: str
) -> None:
    """What is one of few is refused with the few, at its own place."""
    with pytest.raises(InvalidRequest) as refused:
        read_training(body_with(**members))

    [fault] = refused.value.errors
    assert fault.pointer == pointer
    assert fault.detail.startswith(told)
    assert refused.value.detail == f"What was sent is wrong at {pointer}: {fault.detail}."


def test_value_that_is_long_is_not_told_whole() -> None:
    """A refusal is short, however long what was sent is."""
    with pytest.raises(InvalidRequest) as refused:
        read_training(body_with(params={"penalty": "x" * 10_000}))

    assert len(refused.value.detail) < 200


@pytest.mark.parametrize("body", [b"", bytearray()])
def test_empty_body_is_called_empty(body: bytes) -> None:
    """Who forgot the body is told so."""
    with pytest.raises(MalformedJson, match="The body must be JSON, it is empty"):
        read_training(body)


@pytest.mark.parametrize(
    ("label", "name"),
    [("virginica", "virginica"), (1, "1"), (-7, "-7"), (True, "true"), (False, "false")],
)
def test_label_is_named_as_json_writes_it(label: Label, name: str) -> None:
    """Where a label is a member's name it stands as in JSON."""
    assert label_name(label) == name
