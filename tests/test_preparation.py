"""What is learnt of columns, and the matrix that it makes: scikit-learn's, number by number."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from mlservice.errors import InvalidTable
from mlservice.learning import learn
from mlservice.preparation import (
    Column,
    Matrix,
    Preparation,
    Texts,
    contiguous,
    matrix_of,
)
from mlservice.schemas import Feature, Preprocessing

STANDARD = Preprocessing(scale="standard")


def numbers(*cells: float | None) -> NDArray[np.float64]:
    """Return a column of numbers, None where one is missing."""
    return np.array(cells, dtype=np.float64)


def texts(*cells: str | None) -> Texts:
    """Return a column of text, None where one is missing."""
    values = tuple(sorted({cell for cell in cells if cell is not None}))
    codes = [-1 if cell is None else values.index(cell) for cell in cells]
    return Texts(values, np.array(codes, dtype=np.intp))


def dense(matrix: Matrix) -> NDArray[np.float64]:
    """Return a matrix as an array."""
    found: NDArray[np.float64] = matrix.toarray() if isinstance(matrix, csr_array) else matrix
    return found


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Draw columns of numbers and of texts, some with missing values."""
    rows = draw(st.integers(1, 8))
    number = st.integers(-50, 50).map(lambda whole: whole / 8)
    kinds = [number, st.none() | number, st.sampled_from("abc"), st.none() | st.sampled_from("abc")]
    columns = draw(
        st.lists(
            st.sampled_from(kinds).flatmap(
                lambda kind: st.lists(kind, min_size=rows, max_size=rows)
            ),
            min_size=1,
            max_size=5,
        )
    )
    return {
        f"f{i}": cells for i, cells in enumerate(columns) if any(cell is not None for cell in cells)
    } or {"f": [1.0] * rows}


def columns_of(table: dict[str, list[Any]]) -> dict[str, Column]:
    """Return a table's columns as preparation takes them."""
    return {
        name: texts(*cells) if any(isinstance(cell, str) for cell in cells) else numbers(*cells)
        for name, cells in table.items()
    }


def scikit_learn_on(table: dict[str, list[Any]], options: Preprocessing) -> NDArray[np.float64]:
    """Prepare a table with scikit-learn's own transformers."""
    columns = columns_of(table)
    positions: dict[type, list[int]] = {Texts: [], np.ndarray: []}
    for position, column in enumerate(columns.values()):
        positions[type(column)].append(position)
    strategy = "constant" if options.impute == "zero" else options.impute
    imputer = SimpleImputer(strategy=strategy, fill_value=0.0)
    floats = FunctionTransformer(lambda block: block.astype(np.float64))
    scaler = StandardScaler() if options.scale == "standard" else "passthrough"
    drop = "first" if options.encode == "reference" else None
    encoder = OneHotEncoder(handle_unknown="ignore", drop=drop, sparse_output=False)
    transformer = ColumnTransformer(
        [
            ("numbers", make_pipeline(floats, imputer, scaler), positions[np.ndarray]),
            ("texts", encoder, positions[Texts]),
        ]
    )
    X = np.array(list(zip(*table.values(), strict=True)), dtype=object)
    prepared: NDArray[np.float64] = transformer.fit_transform(X).astype(np.float64)
    return prepared


@given(
    tables(),
    st.sampled_from(["median", "mean", "zero"]),
    st.sampled_from(["none", "standard"]),
    st.sampled_from(["one-hot", "reference"]),
)
def test_matrix_is_what_scikit_learn_makes(
    table: dict[str, list[Any]], impute: Any, scale: Any, encode: Any
) -> None:
    """Filled, standardised and one-hot encoded, the numbers are those of its transformers."""
    options = Preprocessing(impute=impute, scale=scale, encode=encode)
    columns = columns_of(table)

    matrix = dense(learn(columns, options).transform(columns))

    assert matrix.flags.c_contiguous
    np.testing.assert_allclose(matrix, scikit_learn_on(table, options), rtol=1e-13, atol=1e-13)


@given(tables(), st.data())
def test_nothing_is_learnt_from_other_rows(
    table: dict[str, list[Any]], data: st.DataObject
) -> None:
    """What is learnt from some rows is what is learnt from a table of these rows alone."""
    length = len(next(iter(table.values())))
    rows = np.array(data.draw(st.lists(st.integers(0, length - 1), min_size=1)), dtype=np.intp)
    alone = {name: [cells[row] for row in rows] for name, cells in table.items()}
    if any(all(cell is None for cell in cells) for cells in alone.values()):
        return  # a column without a value is refused where it stands for itself
    columns = columns_of(table)

    learnt = learn(columns, STANDARD, rows)

    assert learnt.names == learn(columns_of(alone), STANDARD).names
    assert dense(learnt.transform(columns, rows)).tolist() == (
        dense(learn(columns_of(alone), STANDARD).transform(columns_of(alone))).tolist()
    )


def test_complete_numbers_pass_through_unchanged() -> None:
    """Nothing is learnt of them, and their bits stay."""
    columns: dict[str, Column] = {"a": numbers(5e-324, -0.0), "b": numbers(1 / 3, 1e300)}

    preparation = learn(columns, Preprocessing())

    assert preparation.features == (Feature(name="a"), Feature(name="b"))
    assert preparation.is_identity
    assert dense(preparation.transform(columns)).tobytes() == (
        np.array([[5e-324, 1 / 3], [-0.0, 1e300]]).tobytes()
    )


@pytest.mark.parametrize(("impute", "fill"), [("median", 2.0), ("mean", 4.0), ("zero", 0.0)])
def test_missing_number_counts_as_what_was_learnt(impute: Any, fill: float) -> None:
    """The fill value is of the rows that were learnt from, and it is in the feature."""
    column = numbers(1, 2, 9, None, 1000)

    preparation = learn({"a": column}, Preprocessing(impute=impute), np.array([0, 1, 2, 3]))

    assert preparation.features == (Feature(name="a", missing=True, fill=fill),)
    assert dense(preparation.transform({"a": column})).ravel().tolist() == [1, 2, 9, fill, 1000]


def test_column_that_is_missing_in_every_learnt_row_is_filled_with_zero() -> None:
    """A fold's training part may have no value of a column."""
    column = numbers(None, None, 3)

    preparation = learn({"a": column}, Preprocessing(), np.array([0, 1]))

    assert dense(preparation.transform({"a": column})).ravel().tolist() == [0, 0, 3]


def test_texts_have_a_column_for_each_category_and_for_the_missing() -> None:
    """Columns are named feature=category, ascending, after the numbers; the missing is last."""
    columns: dict[str, Column] = {"sex": texts("m", None, "f"), "n": numbers(1, 2, 3)}

    preparation = learn(columns, Preprocessing())

    assert preparation.names == ["n", "sex=f", "sex=m", "sex="]
    assert dense(preparation.transform(columns)).tolist() == [
        [1, 0, 1, 0],
        [2, 0, 0, 1],
        [3, 1, 0, 0],
    ]


def test_reference_has_no_column() -> None:
    """The first category of a text is what the others are compared with."""
    columns: dict[str, Column] = {"n": numbers(1, 2, 3, 4), "t": texts("b", "a", None, "c")}

    prepared = learn(columns, Preprocessing(encode="reference"))

    assert prepared.names == ["n", "t=b", "t=c", "t="]
    assert [each.reference for each in prepared.features] == [UNSET, "a"]
    assert dense(prepared.transform(columns)).tolist() == [
        [1.0, 1.0, 0.0, 0.0],
        [2.0, 0.0, 0.0, 0.0],
        [3.0, 0.0, 0.0, 1.0],
        [4.0, 0.0, 1.0, 0.0],
    ]


def test_category_that_was_not_learnt_contributes_nothing() -> None:
    """A row of a held-out part may have a text that training has not seen, or none."""
    preparation = learn({"a": texts("x", "y")}, Preprocessing())

    matrix = dense(preparation.transform({"a": texts("y", "z", None)}))

    assert matrix.tolist() == [[0, 1], [0, 0], [0, 0]]


def test_standardised_column_has_mean_zero_and_variance_one() -> None:
    """Numbers are standardised after filling; what says yes or no stays 0 or 1."""
    columns: dict[str, Column] = {
        "a": numbers(1, None, 5),
        "b": numbers(2, 2, 2),
        "c": texts("x", "y", "y"),
    }

    preparation = learn(columns, STANDARD)

    matrix = dense(preparation.transform(columns))
    assert matrix[:, 0].mean() == pytest.approx(0)
    assert matrix[:, 0].var() == pytest.approx(1)
    assert matrix[:, 1].tolist() == [0, 0, 0]
    assert matrix[:, 2:].tolist() == [[1, 0], [0, 1], [0, 1]]


def test_wide_one_hot_matrix_is_sparse_and_small_one_is_not() -> None:
    """The same numbers, as CSR where most of many cells are zero."""
    wide = texts(*(f"c{i % 500}" for i in range(1000)))
    columns: dict[str, Column] = {"n": np.arange(1000.0), "c": wide}
    preparation = learn(columns, Preprocessing())

    matrix, small = (preparation.transform(columns, rows) for rows in (None, np.arange(10)))

    assert isinstance(matrix, csr_array)
    assert isinstance(small, np.ndarray)
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert matrix[np.arange(10)].toarray().tolist() == small.tolist()
    assert dense(matrix)[:, 1:].sum(axis=1).tolist() == [1.0] * 1000


def test_coefficients_in_units_of_the_input_give_the_same_scores() -> None:
    """Scaled rows with the fit's coefficients, and plain rows with those told, score alike."""
    columns: dict[str, Column] = {"a": numbers(1, 2, 6), "c": texts("x", "y", "y")}
    preparation = learn(columns, STANDARD)
    coef, intercept = np.array([[2.0, -1.0, 0.5]]), np.array([0.25])

    told, start = preparation.in_units_of_input(coef, intercept)

    scores = dense(preparation.transform(columns)) @ coef.T + intercept
    plain = dense(learn(columns, Preprocessing()).transform(columns)) @ told.T + start
    np.testing.assert_allclose(plain, scores, rtol=1e-14)


@pytest.mark.parametrize(
    ("column", "options"),
    [
        (numbers(1e308, 1.5e308, None), Preprocessing(impute="mean")),
        (numbers(1e308, 1.5e308, None), Preprocessing()),
        (numbers(1e308, -1e308), STANDARD),
        (numbers(1e308, 1.5e308, None), Preprocessing(impute="mean", scale="standard")),
        (numbers(1e308, 1e308, -1.5e308, -1e308, None), Preprocessing(impute="mean")),
    ],
)
def test_numbers_whose_mean_or_variance_overflows_are_refused(
    column: NDArray[np.float64], options: Preprocessing
) -> None:
    """Nothing that is learnt is infinite; the column is named."""
    with pytest.raises(InvalidTable, match="Numbers of 'a' must be small enough"):
        learn({"a": column}, options)


def test_number_that_overflows_once_it_is_scaled_is_refused() -> None:
    """A held-out number may be too far from those that were learnt from."""
    column = numbers(1e-160, 3e-160, 1e153)
    preparation = learn({"a": column}, STANDARD, np.array([0, 1]))

    with pytest.raises(InvalidTable, match="small enough to be scaled"):
        preparation.transform({"a": column})


def test_long_columns_are_prepared_in_blocks_like_short_ones() -> None:
    """Rows keep their order, filled or not, whichever are taken."""
    column = np.arange(10_000.0)
    column[5000] = np.nan
    columns: dict[str, Column] = {"a": column, "b": -np.arange(10_000.0)}
    preparation = learn(columns, Preprocessing(impute="zero"))
    rows = np.arange(9999, -1, -1)

    filled = np.where(np.isnan(column), 0.0, column)
    assert dense(preparation.transform(columns))[:, 0].tolist() == filled.tolist()
    assert (
        dense(preparation.transform(columns, rows))[:, 1].tolist() == (-rows.astype(float)).tolist()
    )


def test_preparation_is_remade_from_its_features() -> None:
    """The features hold everything that was learnt."""
    columns: dict[str, Column] = {"a": numbers(1, None, 6), "c": texts("x", None, "y")}
    learnt = learn(columns, STANDARD)

    again = Preparation(learnt.features)

    assert dense(again.transform(columns)).tobytes() == dense(learnt.transform(columns)).tobytes()
    assert learnt.features[1] == Feature(name="c", kind="text", missing=True, categories=("x", "y"))
    assert learnt.features[0].fill is not UNSET


def views(names: str, matrix: NDArray[np.float64]) -> dict[str, Column]:
    """Return the columns of a matrix by their names."""
    return dict(zip(names, matrix.T, strict=True))


def test_columns_of_one_matrix_are_prepared_without_a_copy() -> None:
    """Complete numbers that stand as the fit wants them stay where they are."""
    matrix = np.arange(12.0).reshape(4, 3).copy()
    columns = views("abc", matrix)

    assert learn(columns, Preprocessing()).transform(columns) is matrix


@pytest.mark.parametrize(
    "columns",
    [
        views("ab", np.arange(12.0).reshape(4, 3)[:, :2]),
        dict(reversed(views("abc", np.arange(12.0).reshape(4, 3)).items())),
        views("abc", np.asfortranarray(np.arange(12.0).reshape(4, 3))),
        views("abc", np.arange(24.0).reshape(8, 3)[::2]),
        views("abc", np.arange(12.0).reshape(4, 3)) | {"d": np.ones(4)},
        {"a": np.ones(4), "b": np.ones(4)},
        {"a": np.ones((4, 1))[:, 0], "t": texts("x", "y", "x", "y")},
    ],
)
def test_columns_that_are_no_whole_matrix_are_copied_into_one(columns: dict[str, Column]) -> None:
    """Some of a matrix, another order or another layout is not taken for the matrix."""
    assert matrix_of(columns) is None
    prepared = learn(columns, Preprocessing()).transform(columns)
    expected = [each for each in columns.values() if isinstance(each, np.ndarray)]
    assert dense(prepared)[:, : len(expected)].tolist() == np.column_stack(expected).tolist()


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_matrix_with_a_hole_is_filled_elsewhere(hole: float) -> None:
    """A missing number is found, and what was sent stays as it was."""
    matrix = np.arange(12.0).reshape(4, 3).copy()
    matrix[2, 1] = hole
    columns = views("abc", matrix)

    learnt = learn(columns, Preprocessing())

    assert [each.missing for each in learnt.features] == [False, bool(np.isnan(hole)), False]
    assert (matrix[2, 1] == hole) == (hole == np.inf)


def test_matrix_is_scaled_elsewhere() -> None:
    """The table keeps its numbers when a fit's are standardised."""
    matrix = np.arange(12.0).reshape(4, 3).copy()
    columns = views("abc", matrix)

    learn(columns, STANDARD).transform(columns)

    assert matrix.tolist() == np.arange(12.0).reshape(4, 3).tolist()


@pytest.mark.parametrize("width", [1, 7, 8, 9, 17])
def test_columns_of_a_matrix_are_turned_some_at_a_time(width: int) -> None:
    """Each column is contiguous, and has its numbers in their order."""
    matrix = np.random.default_rng(0).normal(size=(5000, width))
    columns: dict[str, Column] = {f"c{i}": column for i, column in enumerate(matrix.T)}

    turned = [np.array(each) for each in contiguous(columns) if not isinstance(each, Texts)]

    assert np.array_equal(np.array(turned), matrix.T)
