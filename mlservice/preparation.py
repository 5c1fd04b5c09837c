"""What stands between a table's columns and the matrix of a fit.

The matrix has the numeric features first, in their order; then, for each text
feature in its order, one column a category: 1 where the row has it. A missing
text is a category of its own, the last, and its column is named `feature=`.
With a reference the first category has no column: its rows have zeros.
Everything that is learnt is in the features, so a stored model prepares rows
as its training did.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from mlservice.errors import InvalidTable
from mlservice.schemas import Feature

# Measured with lbfgs, newton-cholesky, saga and liblinear on 300 and 10,000 rows: at one
# cell in eight that is not zero CSR is as fast or faster with each (1,000 categories:
# 15 ms, dense 258 ms), at one in four half as fast with newton-cholesky. lbfgs fits
# a small table faster when it is dense, however many zeros it has (3.5 ms, CSR 8.2 ms).
_SPARSE_BELOW = 1 / 8
_SPARSE_FROM_CELLS = 400_000


@dataclass(frozen=True)
class Texts:
    """A column of text.

    Attributes
    ----------
    values : tuple of str
        Each text that occurs, ascending.
    codes : ndarray of shape (n_samples,), intp
        Position of each row's text in `values`; -1 where it is missing.
    """

    values: tuple[str, ...]
    codes: NDArray[np.intp]


# Rows that are turned at a time: 1,000,000 of 20 columns take 62 ms so, and 174 ms
# column by column, which leaves the processor's cache at each step.
_BLOCK = 4096

_Value = TypeVar("_Value", np.float64, np.intp)

# Numbers have NaN where they are missing.
Column = NDArray[np.float64] | Texts
Columns = Mapping[str, Column]
Rows = NDArray[np.intp] | None
Matrix: TypeAlias = NDArray[np.float64] | csr_array


@dataclass(frozen=True)
class Preparation:
    """How rows become a matrix.

    Attributes
    ----------
    features : tuple of Feature
        With what was learnt of each; in the order of the table.
    """

    features: tuple[Feature, ...]

    @cached_property
    def number_features(self) -> list[Feature]:
        """The numeric features: the matrix's first columns."""
        return [each for each in self.features if each.kind == "number"]

    @cached_property
    def text_features(self) -> list[Feature]:
        """The text features: the columns after the numeric ones."""
        return [each for each in self.features if each.kind == "text"]

    @cached_property
    def names(self) -> list[str]:
        """Names of the matrix's columns."""
        texts = [f"{each.name}={value}" for each in self.text_features for value in encoded(each)]
        return [each.name for each in self.number_features] + texts

    @property
    def is_identity(self) -> bool:
        """Whether complete numbers pass through unchanged."""
        return all(
            each.kind == "number" and each.fill is UNSET and each.scale is UNSET
            for each in self.features
        )

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        """Means and scales of the matrix's columns, of shape (2, n_columns): 0 and 1 by default."""
        found = np.zeros((2, len(self.names)))
        found[1] = 1.0
        for position, each in enumerate(self.number_features):
            if each.mean is not UNSET and each.scale is not UNSET:
                found[:, position] = each.mean, each.scale
        return found

    def check_finite(self) -> None:
        """Refuse what was learnt from numbers that are too large.

        Raises
        ------
        InvalidTable
            If a fill value, mean or scale is not finite.
        """
        for each in self.number_features:
            learnt = [value for value in (each.fill, each.mean, each.scale) if value is not UNSET]
            if not np.isfinite(learnt).all():
                raise InvalidTable(
                    f"Numbers of {each.name!r} must be small enough for a mean and a variance, "
                    "they overflow float64."
                )

    def transform(self, columns: Columns, rows: Rows = None) -> Matrix:
        """Prepare rows for a fit or a prediction.

        Parameters
        ----------
        columns : mapping of str to ndarray or Texts
            Those that were learnt from, or others of the same names and kinds.
        rows : ndarray of intp, optional
            Those to prepare, all if left out.

        Returns
        -------
        ndarray of shape (n_samples, n_columns), float64, C-contiguous
            The one that the columns are views of, where nothing is changed; or
            `csr_array` where one-hot columns make it large and mostly zero. A
            category that was not learnt has no column: its row has zeros.

        Raises
        ------
        InvalidTable
            If a number overflows once it is scaled.
        """
        if rows is None and self.is_identity and list(columns) == self.names:
            matrix = matrix_of(columns)
            if matrix is not None:
                return matrix
        numbers = self.numbers(columns, rows)
        if self.number_features and self.number_features[0].scale is not UNSET:
            means, scales = self.scales[:, : numbers.shape[1]]
            with np.errstate(over="ignore"):
                numbers -= means
                numbers /= scales
            _check_scaled(numbers)
        if not self.text_features:
            return numbers
        texts = self._one_hot(columns, rows)
        n_rows, n_columns = texts.shape[0], len(self.names)
        filled = numbers.shape[1] + len(self.text_features)
        if n_rows * n_columns >= _SPARSE_FROM_CELLS and filled <= _SPARSE_BELOW * n_columns:
            sparse: csr_array = hstack([csr_array(numbers), texts], format="csr")
            return sparse
        return np.ascontiguousarray(np.hstack([numbers, texts.toarray()]))

    def numbers(
        self, columns: Columns, rows: Rows, order: Literal["C", "F"] = "C"
    ) -> NDArray[np.float64]:
        """Return the numeric features, filled and not scaled, of shape (n_samples, n_numbers)."""
        wanted = [(_numbers(columns[each.name]), each.fill) for each in self.number_features]
        prepared = np.empty((_length(columns, rows), len(wanted)), order=order)
        for start in range(0, len(prepared), _BLOCK):
            block = slice(start, start + _BLOCK)
            chosen = block if rows is None else rows[block]
            for position, (values, fill) in enumerate(wanted):
                part = values[chosen]
                if fill is not UNSET:
                    part = np.where(np.isnan(part), fill, part)
                prepared[block, position] = part
        return prepared

    def _one_hot(self, columns: Columns, rows: Rows) -> csr_array:
        start, places = 0, []
        for feature in self.text_features:
            place = of_rows(places_of(feature, columns[feature.name]), rows)
            # The reference, which comes first, has no column.
            place -= len(labels(feature)) - len(encoded(feature))
            places.append(np.where(place >= 0, place + start, -1))
            start += len(encoded(feature))
        table = np.column_stack(places)
        known = table >= 0
        ends = np.cumsum(known.sum(axis=1), dtype=np.int32)
        indices = table[known].astype(np.int32)
        indptr = np.concatenate([np.zeros(1, np.int32), ends])
        return csr_array((np.ones(len(indices)), indices, indptr), shape=(len(table), start))

    def in_units_of_input(
        self, coef: NDArray[np.float64], intercept: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return coefficients and intercepts as they are for rows that were not scaled.

        Parameters
        ----------
        coef : ndarray of shape (n_rows, n_columns)
            For the columns of the matrix.
        intercept : ndarray of shape (n_rows,)
            Log-odds where the matrix is zero.
        """
        means, scales = self.scales
        coef = coef / scales
        return coef, intercept - coef @ means


def matrix_of(columns: Columns) -> NDArray[np.float64] | None:
    """Return the C-contiguous matrix whose columns these are, in their order, if there is one."""
    arrays = [each for each in columns.values() if isinstance(each, np.ndarray)]
    matrix = arrays[0].base if arrays else None
    if not isinstance(matrix, np.ndarray) or matrix.shape != (len(arrays[0]), len(columns)):
        return None
    places = [matrix[:, place].__array_interface__ for place in range(len(columns))]
    is_whole = matrix.flags.c_contiguous and matrix.dtype == np.float64
    are_places = [each.__array_interface__ for each in arrays] == places
    return matrix if is_whole and are_places else None


def contiguous(columns: Columns) -> Iterator[Column]:
    """Yield each column, numbers side by side in memory; the next one may take their place."""
    matrix = matrix_of(columns)
    if matrix is None:
        for column in columns.values():
            yield column if isinstance(column, Texts) else np.ascontiguousarray(column)
        return
    # A line of the processor's cache holds 8 numbers.
    turned = np.empty((8, len(matrix)))
    for first in range(0, matrix.shape[1], len(turned)):
        some = matrix[:, first : first + len(turned)]
        for start in range(0, len(matrix), _BLOCK):
            block = slice(start, start + _BLOCK)
            turned[: some.shape[1], block] = some[block].T
        yield from turned[: some.shape[1]]


def _check_scaled(numbers: NDArray[np.float64]) -> None:
    # Those that were not learnt from may be far from the others.
    if not np.isfinite(numbers).all():
        raise InvalidTable("Numbers must be small enough to be scaled, they overflow float64.")


def labels(feature: Feature) -> list[str]:
    """Return a text feature's categories, all that were seen; a missing text is empty."""
    categories = () if feature.categories is UNSET else feature.categories
    return [*categories, *([""] if feature.missing else [])]


def encoded(feature: Feature) -> list[str]:
    """Return those of a text feature's labels that have a column: all but the reference."""
    known = labels(feature)
    return known if feature.reference is UNSET else known[1:]


def by_label(feature: Feature, coef: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each label of a text feature counts; a reference counts nothing.

    Parameters
    ----------
    coef : ndarray of shape (n_encoded, n_classes)
        What the feature's columns count.

    Returns
    -------
    ndarray of shape (n_labels + 1, n_classes)
        The last row, at -1, is that of a text which was not seen, and zero.
    """
    nothing = np.zeros((1, coef.shape[1]))
    before = [] if feature.reference is UNSET else [nothing]
    return np.vstack([*before, coef, nothing])


def _numbers(column: Column) -> NDArray[np.float64]:
    if isinstance(column, Texts):
        raise TypeError("A numeric feature needs numbers.")
    return column


def _texts(column: Column) -> Texts:
    if not isinstance(column, Texts):
        raise TypeError("A text feature needs text.")
    return column


def places_of(feature: Feature, column: Column) -> NDArray[np.intp]:
    """Return the place of each row's text in `labels`, -1 where training had not seen it."""
    known = {label: place for place, label in enumerate(labels(feature))}
    texts = _texts(column)
    # The last, at -1, is the place of a missing text.
    found = np.array([known.get(value, -1) for value in [*texts.values, ""]], dtype=np.intp)
    return found[texts.codes]


def of_rows(values: NDArray[_Value], rows: Rows) -> NDArray[_Value]:
    """Return some of a column's values, all where no rows are named."""
    return values if rows is None else values[rows]


def _length(columns: Columns, rows: Rows) -> int:
    if rows is not None:
        return len(rows)
    first = next(iter(columns.values()))
    return len(first.codes if isinstance(first, Texts) else first)
