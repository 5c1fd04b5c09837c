"""Tensors of the Open Inference Protocol: every datatype, in JSON and in bytes."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn
from msgspec import UNSET

from mlservice import arrays
from mlservice.errors import MalformedBody, MalformedJson, Problem
from mlservice.tensors import (
    Coded,
    RowForm,
    Tensor,
    read_request,
    read_tensors,
    read_wanted,
    split,
    write,
)
from mlservice.tensors.binary import from_binary, to_binary
from mlservice.tensors.datatypes import STORED, count_of
from mlservice.tensors.metadata import label_datatype
from mlservice.tensors.plain import from_json, to_json

FIXED = [datatype for datatype in STORED if datatype != "BF16"]
IN_JSON = [datatype for datatype in FIXED if datatype != "FP16"]
PLACE = "/inputs/0"


def body_of(*inputs: dict[str, Any], **members: Any) -> bytes:
    """Return the JSON of an inference."""
    return json.dumps({"inputs": list(inputs)} | members).encode()


def tensor_of(**members: Any) -> dict[str, Any]:
    """Return a tensor of four numbers in JSON, members replaced."""
    return {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]} | members


def read(body: bytes, length: str | None = None) -> list[Tensor]:
    """Return the tensors of a body."""
    text, rest = split(body, length)
    return read_tensors(read_request(text).inputs, rest)


def refusal(body: bytes, length: str | None = None) -> Problem:
    """Return the problem that a body is refused with."""
    with pytest.raises(Problem) as caught:
        read(body, length)
    return caught.value


@given(st.data())
def test_bytes_of_a_tensor_come_back_as_its_values(data: st.DataObject) -> None:
    """Every bit pattern of every datatype survives, NaN and infinity included."""
    datatype = data.draw(st.sampled_from(FIXED))
    kind = STORED[datatype]
    values = data.draw(drawn.arrays(kind, st.integers(1, 20)))

    back = from_binary(memoryview(to_binary(values, datatype)), datatype, values.shape, PLACE)

    assert isinstance(back, np.ndarray)
    assert back.tobytes() == values.tobytes()
    assert back.dtype == kind


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_texts_of_any_bytes_come_back(values: list[bytes]) -> None:
    """BYTES has no terminator and no encoding."""
    stored = memoryview(to_binary(values, "BYTES"))

    assert from_binary(stored, "BYTES", [len(values)], PLACE) == values


@given(st.data(), st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_coded_texts_are_written_as_the_texts_they_stand_for(
    data: st.DataObject, texts: list[str]
) -> None:
    """Long and short ones, few and many, as bytes and in JSON."""
    codes = np.array(data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=30)), np.intp)
    plain = [texts[code] for code in codes.tolist()]
    listed, shape = [text.encode() for text in plain], (len(codes),)
    coded = Coded(tuple(text.encode() for text in texts), codes)

    assert to_binary(coded, "BYTES") == to_binary(listed, "BYTES")
    told = Tensor("p", "BYTES", shape, coded), Tensor("p", "BYTES", shape, listed)
    in_json = [json.loads(write([(each, False)], name="m")[0]) for each in told]
    assert in_json[0] == in_json[1]
    assert in_json[0]["outputs"][0]["data"] == plain


@given(drawn.arrays(np.dtype("<u2"), st.integers(1, 20)))
def test_every_bf16_comes_back(bits: np.ndarray[Any, Any]) -> None:
    """A number that BF16 has is written as it was read; a NaN stays one."""
    back = from_binary(memoryview(bits.tobytes()), "BF16", [len(bits)], PLACE)
    assert isinstance(back, np.ndarray)

    again = from_binary(memoryview(to_binary(back, "BF16")), "BF16", [len(bits)], PLACE)

    np.testing.assert_array_equal(back, again)


def test_bf16_is_rounded_to_the_nearest_and_to_even() -> None:
    """Numbers between two of BF16 take the nearer one, those in the middle the even one."""
    ulp = 2.0**-7
    values = np.array([1 + ulp * 0.5, 1 + ulp * 1.5, 1 + ulp * 0.6, 3.4e38], np.float32)

    back = from_binary(memoryview(to_binary(values, "BF16")), "BF16", [4], PLACE)

    assert isinstance(back, np.ndarray)
    assert back.tolist() == [1.0, 1 + 2 * ulp, 1 + ulp, np.inf]


@given(st.data())
def test_json_of_a_tensor_comes_back_as_its_values(data: st.DataObject) -> None:
    """Integers of 64 bits are exact, flat or nested."""
    datatype = data.draw(st.sampled_from(IN_JSON))
    elements = {"allow_nan": False, "allow_infinity": False} if datatype[:2] == "FP" else None
    shape = data.draw(st.sampled_from([(3,), (2, 3), (2, 1, 2), (1, 1)]))
    values = data.draw(drawn.arrays(STORED[datatype], shape, elements=elements))

    for form in (to_json(values.ravel()), values.tolist()):
        back = from_json(json.dumps(form).encode(), datatype, shape, PLACE)
        assert isinstance(back, np.ndarray)
        assert back.tolist() == values.ravel().tolist()


def test_texts_of_json_are_utf8() -> None:
    """A string is its UTF-8 bytes, null and the empty text are the same."""
    values = from_json('["ä", null, "x", ""]'.encode(), "BYTES", [4], PLACE)

    assert values == ["ä".encode(), b"", b"x", b""]
    assert to_json(values) == ["ä", "", "x", ""]


def test_null_is_a_missing_number_of_a_float_only() -> None:
    """Floats have NaN for it, integers have nothing."""
    back = from_json(b"[[1], [null]]", "FP64", [2, 1], PLACE)

    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, [1, np.nan])
    with pytest.raises(Problem, match="an integer"):
        from_json(b"[null]", "INT8", [1], PLACE)


def test_decimals_of_fp32_are_not_rounded() -> None:
    """What is written with few digits scores as it does natively."""
    back = from_json(b"[5.1]", "FP32", [1], PLACE)

    assert isinstance(back, np.ndarray)
    assert back.tolist() == [5.1]


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("FP64", b"[true]"),
        ("FP64", b'["1"]'),
        ("FP64", b"[1e400]"),
        ("FP64", b"[1" + b"0" * 400 + b"]"),
        ("FP64", b"1"),
        ("FP64", b'{"b64": ""}'),
        ("FP32", b"[3.5e38]"),
        ("FP16", b"[1.0]"),
        ("BF16", b"[1.0]"),
        ("INT8", b"[128]"),
        ("INT8", b"[1.5]"),
        ("INT64", b"[9223372036854775808]"),
        ("UINT64", b"[-1]"),
        ("BOOL", b"[1]"),
        ("BYTES", b"[1]"),
    ],
)
def test_an_element_of_another_datatype_is_refused(datatype: str, data: bytes) -> None:
    """Nothing is cut, rounded or turned into another type in silence."""
    with pytest.raises(Problem) as caught:
        from_json(data, datatype, [1], PLACE)

    assert caught.value.status in {400, 422}


@pytest.mark.parametrize(
    "data",
    [
        "[1,2,3]",
        "[1,2,3,4,5]",
        "[[1,2,3,4]]",
        "[[1,2],[3]]",
        "[[1,2],3]",
        "[1,[2]]",
        "[[[1,2],[3,4]]]",
    ],
)
@pytest.mark.parametrize("datatype", ["FP64", "INT64"])
def test_data_of_another_shape_are_refused(data: str, datatype: str) -> None:
    """Nested lists have the shape that is told, flat ones as many elements."""
    found = refusal(body_of(tensor_of(shape=[2, 2], datatype=datatype, data=json.loads(data))))

    assert [fault.pointer for fault in found.errors] == ["/inputs/0/data"]


@pytest.mark.parametrize(
    "shape",
    [
        [-1, 4],
        [16, 2**60 + 2],
        [2**64, 0],
        [2**63, 2],
        [],
        [1] * 33,
        [2**64 - 1] * 32,
        [1.5, 4],
        ["4"],
        [True, 4],
    ],
)
def test_a_hostile_shape_is_refused(shape: list[Any]) -> None:
    """No product of dimensions overflows into the number of elements that came."""
    found = refusal(body_of(tensor_of(shape=shape)))
    assert found.errors[0].pointer is not None
    assert found.errors[0].pointer.startswith("/inputs/0")

    binary = tensor_of(shape=shape, parameters={"binary_data_size": 32})
    del binary["data"]
    text = body_of(binary)
    refusal(text + bytes(32), str(len(text)))


def test_a_product_of_dimensions_is_exact() -> None:
    """(16, 2**60 + 2) is not 32 elements, as it is in 64 bits."""
    assert count_of([16, 2**60 + 2], PLACE) == 2**64 + 32


@pytest.mark.parametrize(
    "length", ["-1", "x", "", " 1", "1.0", "99999", "2147483648", "1" * 5000, "+1", "１"]
)
def test_a_header_length_that_is_none_is_refused(length: str) -> None:
    """It is a number of the body's bytes."""
    with pytest.raises(MalformedBody):
        split(body_of(tensor_of()), length)


@pytest.mark.parametrize(
    "text",
    [
        b'{"inputs":' + b"[" * 250_000,
        b'{"inputs":' + b"[" * 250_000 + b"]" * 250_000 + b"}",
        b'{"x":' + b'{"x":' * 250_000,
        body_of(tensor_of(data="DEEP")).replace(b'"DEEP"', b"[" * 250_000 + b"]" * 250_000),
        body_of(tensor_of(data="DEEP", datatype="BOOL")).replace(
            b'"DEEP"', b"[" * 900 + b"]" * 900
        ),
    ],
)
def test_json_of_any_depth_is_answered(text: bytes) -> None:
    """Deep nesting is refused, and ends no process."""
    found = refusal(text)

    assert found.status in {400, 422}


def test_json_that_is_cut_is_malformed() -> None:
    """A body that is not JSON is told as such."""
    with pytest.raises(MalformedJson):
        read_request(b'{"inputs": [')


def binary_body(size: int, *, sent: int = 32, **members: Any) -> tuple[bytes, str]:
    """Return a body whose tensor has bytes behind the JSON, and its header."""
    given_as = tensor_of(parameters={"binary_data_size": size}) | members
    del given_as["data"]
    text = body_of(given_as)
    return text + bytes(sent), str(len(text))


def test_binary_data_are_read_where_they_stand() -> None:
    """Tensors follow the JSON in the order of the inputs, those in JSON left out."""
    first = {"name": "a", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 11}}
    middle = {"name": "b", "shape": [1], "datatype": "INT64", "data": [2**63 - 1]}
    last = {"name": "c", "shape": [2], "datatype": "FP16", "parameters": {"binary_data_size": 4}}
    text = body_of(first, middle, last)
    behind = b"\3\0\0\0abc\0\0\0\0" + np.array([1.5, -2], "<f2").tobytes()

    a, b, c = read(text + behind, str(len(text)))

    assert a.values == [b"abc", b""]
    assert [np.asarray(each.values).tolist() for each in (b, c)] == [[2**63 - 1], [1.5, -2.0]]


@pytest.mark.parametrize(
    ("size", "sent"),
    [(31, 31), (33, 33), (32, 31), (32, 33), (0, 32), (16, 32), (2**62, 32), (-1, 32)],
)
def test_binary_data_of_another_size_are_refused(size: int, sent: int) -> None:
    """The size is what the shape says, and no byte is missing or left over."""
    body, length = binary_body(size, sent=sent)

    assert refusal(body, length).status == 422


@pytest.mark.parametrize("size", [True, "32", 32.0, 1.5])
def test_a_binary_size_that_is_no_integer_is_refused(size: Any) -> None:
    """A size is an integer."""
    body, length = binary_body(size)

    assert "must be an integer" in refusal(body, length).detail


@pytest.mark.parametrize(
    "behind",
    [b"\1", b"\1\0\0\0", b"\5\0\0\0abc", b"\xff\xff\xff\xff", b"\1\0\0\0a", b"\0\0\0\0" * 3],
)
def test_texts_that_are_cut_or_too_many_are_refused(behind: bytes) -> None:
    """Each length is followed by as many bytes, and there are as many texts as the shape says."""
    body, length = binary_body(len(behind), sent=0, shape=[2], datatype="BYTES")

    assert refusal(body + behind, length).status == 422


def test_a_bool_is_zero_or_one() -> None:
    """Other bytes are no booleans."""
    body, length = binary_body(2, sent=0, shape=[2], datatype="BOOL")

    assert np.asarray(read(body + b"\0\1", length)[0].values).tolist() == [False, True]
    assert refusal(body + b"\0\2", length).status == 422


@pytest.mark.parametrize(
    "sent",
    [
        tensor_of(parameters={"binary_data_size": 32}),
        {"name": "x", "shape": [1], "datatype": "FP64"},
        tensor_of(parameters={"shared_memory_region": "r"}),
        tensor_of(datatype="FLOAT"),
        tensor_of(datatype="fp64"),
        tensor_of(parameters={"a": []}),
        tensor_of(parameters=[]),
        {"shape": [1], "datatype": "FP64", "data": [1]},
    ],
)
def test_an_input_has_one_kind_of_data_and_all_its_members(sent: dict[str, Any]) -> None:
    """Data stand in JSON or behind it, and parameters are plain values."""
    assert refusal(body_of(sent)).status == 422


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"inputs": []}', b'{"inputs": {}}', b"null", b""])
def test_a_request_has_inputs(body: bytes) -> None:
    """A request without tensors is refused."""
    assert refusal(body).status in {400, 422}


def test_inputs_differ() -> None:
    """A tensor stands once."""
    assert "twice" in refusal(body_of(tensor_of(), tensor_of())).detail


def test_reserved_parameters_are_refused_and_others_are_not() -> None:
    """Servers may take any parameter but those that Triton keeps for itself."""
    read_request(body_of(tensor_of(), parameters={"priority": 3, "mine": "x", "sequence_id": 1}))

    with pytest.raises(Problem, match="triton_"):
        read_request(body_of(tensor_of(), parameters={"triton_enable": True}))


def wanted_of(**members: Any) -> list[Any]:
    """Return what is wanted of a model with two outputs."""
    return read_wanted(read_request(body_of(tensor_of(), **members)), ["p", "q"])


def test_all_outputs_are_answered_where_none_is_named() -> None:
    """In their order, as bytes if the request asks for that."""
    assert [(each.name, each.binary) for each in wanted_of()] == [("p", False), ("q", False)]
    assert [each.binary for each in wanted_of(parameters={"binary_data_output": True})] == [
        True
    ] * 2


def test_an_outputs_own_parameter_wins() -> None:
    """`binary_data` of an output stands above the request's."""
    outputs = [{"name": "q", "parameters": {"binary_data": False}}, {"name": "p"}]

    wanted = wanted_of(outputs=outputs, parameters={"binary_data_output": True})

    assert [(each.name, each.binary) for each in wanted] == [("q", False), ("p", True)]


@pytest.mark.parametrize(
    "outputs",
    [
        [{"name": "x"}],
        [{"name": "p"}, {"name": "p"}],
        [{"name": "p", "parameters": {"binary_data": 1}}],
        [{"name": "p", "parameters": {"classification": 0}}],
        [{"name": "p", "parameters": {"classification": True}}],
        [{"parameters": {}}],
        [1],
    ],
)
def test_a_wrong_output_is_refused(outputs: list[Any]) -> None:
    """Unknown, asked for twice, or with a parameter that cannot be."""
    with pytest.raises(Problem):
        wanted_of(outputs=outputs)


def test_an_answer_is_json_with_bytes_behind_it() -> None:
    """Each output stands where it was asked for; the length tells JSON from bytes."""
    texts = Tensor("p", "BYTES", (2,), [b"a", "ä".encode()])
    numbers = Tensor("q", "FP64", (2, 2), np.array([0.25, 0.75, 1.0, 0.0]))

    body, length = write([(texts, True), (numbers, False)], name="m", version="1", identity="7")

    document = msgspec.json.decode(body[:length])
    assert body[length:] == b"\1\0\0\0a\2\0\0\0" + "ä".encode()
    assert document == {
        "model_name": "m",
        "model_version": "1",
        "id": "7",
        "outputs": [
            {
                "name": "p",
                "datatype": "BYTES",
                "shape": [2],
                "parameters": {"binary_data_size": 11},
            },
            {"name": "q", "datatype": "FP64", "shape": [2, 2], "data": [0.25, 0.75, 1.0, 0.0]},
        ],
    }


@pytest.mark.parametrize("labels", [("a%b", 'ä"', "c"), (1, 2, 2**62), (False, True)])
@pytest.mark.parametrize("told", [{}, {"version": "3"}, {"identity": 'x"'}])
def test_the_form_of_a_row_is_what_is_written_of_many(labels: Any, told: dict[str, Any]) -> None:
    """What is written in advance for one row is the JSON of the same outputs."""
    kind = label_datatype(labels)
    shares = [0.25, 1e-300, 0.75][: len(labels)]
    values: Any = [labels[1].encode()] if kind == "BYTES" else np.array(labels[1:2])
    outputs = [
        (Tensor("predict", kind, (1,), values), False),
        (Tensor("predict_proba", "FP64", (1, len(shares)), np.array(shares)), False),
    ]

    form = RowForm(labels).fill(
        1, shares, "m%", told.get("version", UNSET), told.get("identity", UNSET)
    )

    assert msgspec.json.decode(form) == msgspec.json.decode(write(outputs, name="m%", **told)[0])


@pytest.mark.parametrize("text", ["[[1, 2], [3, 4]]", "[1, 2, 3, 4]", " [ [1,2] , [3,4.0] ]"])
@pytest.mark.parametrize("has_simd", [True, False])
def test_large_lists_are_read_with_simdjson_and_without(
    text: str, has_simd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both readers give the same numbers, and refuse the same shapes."""
    monkeypatch.setattr(arrays, "_SIMD_FROM_BYTES", 1)
    monkeypatch.setattr(arrays, "_HAS_SIMD", has_simd)

    back = from_json(text.encode(), "FP64", [2, 2], PLACE)

    assert isinstance(back, np.ndarray)
    assert back.tolist() == [1, 2, 3, 4]
    for wrong in ("[[1, 2, 3], [4]]", "[[1, 2], 3, [4]]", "[[1, 2], [3, [4]]]", "[1, true, 3, 4]",
                  '[1, "[", 3, 4]', "[[1, 2, 3, 4]]", "[[], [], [], []]"):  # fmt: skip
        with pytest.raises(Problem):
            from_json(wrong.encode(), "FP64", [2, 2], PLACE)
    with_null = from_json(b"[[1, null], [3, 4]]", "FP64", [2, 2], PLACE)
    assert np.isnan(np.asarray(with_null)[1])


def test_an_answer_without_bytes_has_no_length() -> None:
    """Plain JSON is told from JSON with bytes; the request's id is left out where it was."""
    body, length = write([(Tensor("p", "BOOL", (1,), np.array([True])), False)], name="m")

    assert length is None
    assert set(msgspec.json.decode(body)) == {"model_name", "outputs"}
