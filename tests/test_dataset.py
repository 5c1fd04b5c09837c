"""From a request to what is fitted."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlservice.dataset import Dataset, prepare
from mlservice.errors import InvalidParams, InvalidTable, Problem, SingleClass, TableTooLarge
from mlservice.labels import read_labels
from mlservice.schemas import Feature, Label, Preprocessing, TrainingRequest, read_training
from mlservice.settings import Settings
from mlservice.table import Faults, Table

HUGE = 10**399
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5)
NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans())
Columns = dict[str, list[Any]]


def dataset_of(
    data: Any, *, target: str = "y", limits: Settings | None = None, **members: Any
) -> Dataset:
    """Prepare a table that went through JSON, as a worker does."""
    body = json.dumps({"data": data, "target": target} | members).encode()
    return prepare(read_training(body), limits or Settings())


def faults_of(data: Any, *, target: str = "y") -> list[tuple[str | None, str]]:
    """Return places and words that a table is refused with."""
    with pytest.raises(InvalidTable) as refused:
        dataset_of(data, target=target)
    return [(fault.pointer, fault.detail) for fault in refused.value.errors]


def forms(columns: Columns) -> list[Any]:
    """Return a table in each of its forms."""
    names, rows = list(columns), list(zip(*columns.values(), strict=True))
    return [
        columns,
        [dict(zip(names, row, strict=True)) for row in rows],
        {"columns": names, "data": rows},
        {"columns": names, "data": rows, "index": list(range(len(rows)))},
    ]


@st.composite
def tables(draw: st.DrawFn) -> Columns:
    """Draw a columns table that can be trained on; its target is the last column."""
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    rows = draw(st.integers(2, 5))
    column = st.lists(NUMBERS, min_size=rows, max_size=rows)
    labels = draw(
        st.sampled_from([st.booleans(), st.integers(-5, 5), st.text("ab\u00e9", max_size=2)])
    )
    target = st.lists(labels, min_size=rows, max_size=rows).filter(lambda y: len(set(y)) > 1)
    return {name: draw(column) for name in names[:-1]} | {names[-1]: draw(target)}


@given(tables())
def test_forms_of_a_table_have_one_digest(columns: Columns) -> None:
    """The same table gives the same dataset in every form."""
    if set(columns) == {"columns", "data"}:
        return  # a split table by definition
    target = list(columns)[-1]

    prepared = [dataset_of(form, target=target) for form in forms(columns)]

    assert len({dataset.digest() for dataset in prepared}) == 1
    assert len({dataset.X.tobytes() for dataset in prepared}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"a": [1, 2], "z": [3, 4], "y": ["n", "p"]},
        {"a": [1, 3], "b": [3, 4], "y": ["n", "p"]},
        {"a": [1, 2], "b": [3, 4], "y": ["n", "q"]},
        {"a": [1, 2], "b": [3, 4], "y": ["p", "n"]},
        {"a": [1, 2], "b": [3, None], "y": ["n", "p"]},
        {"a": [1, 2], "b": ["3", "4"], "y": ["n", "p"]},
        {"a": [1, 2], "b": ["4", "3"], "y": ["n", "p"]},
        {"b": [3, 4], "a": [1, 2], "y": ["n", "p"]},
    ],
)
def test_other_table_has_another_digest(other: Columns) -> None:
    """Names, values, labels and their order are all in the digest."""
    table = {"a": [1, 2], "b": [3, 4], "y": ["n", "p"]}

    assert dataset_of(other).digest() != dataset_of(table).digest()


def test_matrix_is_contiguous_float64_in_the_order_of_the_columns() -> None:
    """Integers and booleans become numbers, the target is taken out."""
    dataset = dataset_of({"a": [1, 2.5], "y": ["p", "n"], "b": [True, False]})

    assert dataset.features == (Feature(name="a"), Feature(name="b"))
    assert dataset.X.dtype == np.float64
    assert dataset.X.flags.c_contiguous
    assert dataset.X.tolist() == [[1.0, 1.0], [2.5, 0.0]]
    assert (dataset.classes, dataset.y.tolist()) == (("n", "p"), [1, 0])


def test_description_tells_what_the_request_alone_tells() -> None:
    """A queued model is described by its table."""
    described = dataset_of({"a": [1, 2], "y": ["p", "n"]}).describe()

    assert (described.rows, described.target, described.classes) == (2, "y", ["n", "p"])
    assert described.features == [Feature(name="a")]
    assert described.coefficients is None


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["b", "a"], ("a", "b")),
        (["\u00e9", "Z", ""], ("", "Z", "\u00e9")),
        ([3, -1, 20], (-1, 3, 20)),
        ([1.0, 2], (1, 2)),
        ([1.0, -0.0], (0, 1)),
        ([True, False], (False, True)),
        ([2**63 - 1, -(2**63)], (-(2**63), 2**63 - 1)),
        (["x" * 1024, "a"], ("a", "x" * 1024)),
    ],
)
def test_labels_keep_type_and_are_sorted(cells: list[Any], classes: tuple[Label, ...]) -> None:
    """Text, integers and booleans are classes; whole floats count as integers."""
    found = dataset_of({"a": [1] * len(cells), "y": cells}).classes

    assert found == classes
    assert [type(label) for label in found] == [type(label) for label in classes]


@pytest.mark.parametrize(
    ("cells", "row", "words"),
    [
        ([1, 1.5], 1, "1.5 is a measurement"),
        ([True, 1], 1, "row 0 is True, row 1 is 1"),
        ([1.0, True], 1, "row 0 is 1, row 1 is True"),
        (["1", "1", 1], 2, "row 0 is '1', row 2 is 1"),
        (["a", None], 1, "it is missing"),
        ([["a"], "a"], 0, "it is a list"),
        (["a", {"b": 1}], 1, "it is an object"),
        ([2**63, 0], 0, "64-bit integer"),
        ([0, -(2**63) - 1], 1, "64-bit integer"),
        ([0, HUGE], 1, "64-bit integer"),
        ([0, 1e300], 1, "64-bit integer"),
        (["a", "b\0"], 1, "character NUL"),
        (["a", "x" * 1025], 1, "at most 1024 characters, it has 1025"),
    ],
)
def test_wrong_label_is_refused_with_its_row(cells: list[Any], row: int, words: str) -> None:
    """A cell of the target that is no class is told by its place."""
    [(pointer, detail)] = faults_of({"a": [1] * len(cells), "y": cells})

    assert pointer == f"/data/y/{row}"
    assert words in detail


@pytest.mark.parametrize(
    ("data", "places"),
    [
        ({"a": [[], 1], "b": [None, None], "y": [0, 1.5]}, ["/data/y/1", "/data/a/0", "/data/b"]),
        (
            [{"a": [], "b": None, "y": 0}, {"a": 1, "b": None, "y": 1.5}],
            ["/data/1/y", "/data/0/a", "/data/0/b"],
        ),
        (
            {"columns": ["a", "b", "y"], "data": [[[], None, 0], [1, None, 1.5]]},
            ["/data/data/1/2", "/data/data/0/0", "/data/columns/1"],
        ),
    ],
)
def test_all_faults_of_a_table_are_told_at_once(data: Any, places: list[str]) -> None:
    """Target and features are judged together, in each form with its own pointers."""
    assert [pointer for pointer, _ in faults_of(data)] == places


def test_first_20_cells_are_told_and_all_are_counted() -> None:
    """A column of lists has a short answer."""
    with pytest.raises(InvalidTable) as refused:
        dataset_of({"a": [[]] * 1000, "y": [0, 1] * 500})

    assert len(refused.value.errors) == 20
    assert refused.value.members == {"error_count": 1000}


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a\x7f", "\u202e"])
@pytest.mark.parametrize("role", ["feature", "target"])
def test_name_that_cannot_be_shown_is_refused(name: str, role: str) -> None:
    """A column's name is 1 to 128 printable characters."""
    data, target = {name: [1, 2], "y": [0, 1]}, "y" if role == "feature" else name

    [(pointer, detail)] = faults_of(data, target=target)

    assert pointer == f"/data/{name}"
    assert "1 to 128 printable characters" in detail


@pytest.mark.parametrize("name", ["x" * 128, "a b", "\u00fc/~", "\u6f22", "\U0001f600"])
def test_name_that_can_be_shown_is_taken(name: str) -> None:
    """A name may have spaces, slashes and letters of all alphabets."""
    assert dataset_of({name: [1, 2], "y": [0, 1]}).features == (Feature(name=name),)


def test_absent_target_is_refused_with_the_columns() -> None:
    """The client reads what the columns are called."""
    [(pointer, detail)] = faults_of({"a": [1], "b": [2]}, target="y")

    assert pointer == "/target"
    assert "'y' is not one of 'a', 'b'" in detail


def test_table_of_the_target_alone_is_refused() -> None:
    """There must be something to learn from."""
    [(pointer, _)] = faults_of({"y": [0, 1]})

    assert pointer == "/data"


def test_single_class_is_refused_with_its_label() -> None:
    """scikit-learn's own words would mislead with liblinear."""
    with pytest.raises(SingleClass, match="all 3 rows of 'y' are 'a'"):
        dataset_of({"a": [1, 2, 3], "y": ["a"] * 3})


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        ("max_features", 2),
        ("max_cells", 11),
        ("max_classes", 3),
        ("max_categories", 3),
        ("max_columns", 6),
        ("max_coefficients", 27),
    ],
)
def test_limit_is_kept_and_named(limit: str, most: int) -> None:
    """One more than a limit is refused by the limit's variable; as many as it are taken."""
    data = {"a": [1] * 4, "b": ["x", "x", None, "y"], "c": list("wxyz"), "y": [1, 2, 3, 4]}
    if limit in {"max_columns", "max_coefficients"}:
        data["b"] = ["x", "x", "x", "y"]

    dataset_of(data, limits=Settings().with_flags(**{limit: most + 1}))
    with pytest.raises(TableTooLarge, match=f"at most {most} .*MLSERVICE_{limit.upper()}"):
        dataset_of(data, limits=Settings().with_flags(**{limit: most}))


def test_columns_of_one_name_after_encoding_are_refused() -> None:
    """No coefficient is lost under another's name."""
    with pytest.raises(InvalidTable, match="'a=x' stands 2 times"):
        dataset_of({"a": ["x", "z"], "a=x": [1, 2], "y": [0, 1]})


def test_missing_and_empty_text_are_the_same() -> None:
    """An empty text is missing, as it is in CSV."""
    null, empty = (dataset_of({"a": ["x", cell], "y": [0, 1]}) for cell in (None, ""))

    assert null.digest() == empty.digest()
    assert null.preparation.names == ["a=x", "a="]


def test_description_tells_what_preparation_learnt() -> None:
    """Fill values and categories of the features stand in the document, and the options."""
    described = dataset_of(
        {"a": [1, None, 4], "b": ["x", "y", "y"], "y": [0, 1, 1]}, preprocessing={"impute": "mean"}
    ).describe()

    assert described.preprocessing == Preprocessing(impute="mean")
    assert described.features == [
        Feature(name="a", missing=True, fill=2.5),
        Feature(name="b", kind="text", categories=("x", "y")),
    ]


def test_parameters_are_judged_with_the_classes() -> None:
    """A solver for two classes is refused for three before anything is queued."""
    body = (
        b'{"data": {"a": [1,2,3], "y": [1,2,3]}, "target": "y", "params": {"solver": "liblinear"}}'
    )

    with pytest.raises(InvalidParams, match="the target has 3"):
        prepare(read_training(body), Settings())


@given(
    st.recursive(
        st.one_of(st.none(), NUMBERS, st.text(max_size=3), st.just(HUGE)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(["a", "y", "columns", "data"]), inner, max_size=4),
        ),
        max_leaves=12,
    ),
    st.sampled_from(["median", "mean", "zero", "error"]),
    st.sampled_from(["none", "standard"]),
)
def test_any_json_is_a_dataset_or_a_problem(data: Any, impute: str, scale: str) -> None:
    """No table of any shape ends as a bug, however it is prepared."""
    try:
        prepared = dataset_of(data, preprocessing={"impute": impute, "scale": scale})
    except Problem as problem:
        outcome = problem.status in {400, 422}
    else:
        outcome = bool(np.isfinite(prepared.X).all())
        assert len(prepared.digest()) == 64

    assert outcome


def test_request_is_judged_the_same_when_it_is_built_in_memory() -> None:
    """What `prepare` takes is the request, however it came to be."""
    request = TrainingRequest(data={"a": [1, 2], "y": [0, 1]}, target="y")

    assert prepare(request, Settings()).digest() == dataset_of(request.data).digest()


def test_a_table_without_a_column_left_is_refused() -> None:
    """A text of one category is all reference, and tells nothing."""
    preprocessing = {"encode": "reference"}

    with pytest.raises(InvalidTable, match="A column must be left"):
        dataset_of({"t": ["a", "a"], "y": [0, 1]}, preprocessing=preprocessing)


@pytest.mark.parametrize("step", [1, 7, 10**9])
def test_classes_are_found_whether_their_numbers_are_near_or_far(step: int) -> None:
    """Whole numbers become classes in ascending order, each row with its own."""
    found = np.random.default_rng(0).integers(-3, 4, 500) * step
    table = Table({"x": np.arange(500.0), "y": found.astype(np.float64)})

    classes, y = read_labels(table, "y", Faults())

    assert classes == tuple(np.unique(found).tolist())
    assert [classes[code] for code in y.tolist()] == found.tolist()
    assert y.dtype == np.intp
