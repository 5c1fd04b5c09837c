"""What is learnt of a table's columns for their preparation: fill values, categories, scales."""

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from mlservice.preparation import (
    Column,
    Columns,
    Preparation,
    Rows,
    Texts,
    labels,
    matrix_of,
    of_rows,
)
from mlservice.schemas import Feature, Preprocessing


def learn(columns: Columns, options: Preprocessing, rows: Rows = None) -> Preparation:
    """Learn fill values, categories and scales from some rows of a table.

    Parameters
    ----------
    columns : mapping of str to ndarray or Texts
        The features, in order.
    options : Preprocessing
        What to do with missing numbers and with scales.
    rows : ndarray of intp, optional
        Positions of the rows to learn from, all if left out. Nothing of the
        other rows is learnt but that a column has missing values.

    Raises
    ------
    InvalidTable
        If numbers are so large that their mean or variance overflows.
    """
    if _is_complete(columns):
        learnt = [Feature(name=name) for name in columns]
    else:
        learnt = [_feature(name, column, options, rows) for name, column in columns.items()]
    preparation = Preparation(tuple(learnt))
    preparation.check_finite()
    if options.scale == "standard":
        preparation = _standardised(preparation, columns, rows)
        preparation.check_finite()
    return preparation


def _is_complete(columns: Columns) -> bool:
    """Tell whether it is soon found that these are numbers, none of them missing."""
    matrix = matrix_of(columns)
    with np.errstate(invalid="ignore"):
        return matrix is not None and not np.isnan(matrix.max())


def _feature(name: str, column: Column, options: Preprocessing, rows: Rows) -> Feature:
    if isinstance(column, Texts):
        codes = np.unique(of_rows(column.codes, rows)).tolist()
        categories = tuple(column.values[code] for code in codes if code >= 0)
        feature = Feature(name=name, kind="text", missing=-1 in codes, categories=categories)
        first = labels(feature)[0] if options.encode == "reference" else UNSET
        return replace(feature, reference=first)
    if not np.isnan(column).any():
        return Feature(name=name)
    return Feature(name=name, missing=True, fill=_fill(of_rows(column, rows), options.impute))


def _fill(values: NDArray[np.float64], impute: str) -> float:
    present = values[~np.isnan(values)]
    if impute == "zero" or not len(present):
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.median(present) if impute == "median" else present.mean())


def _standardised(preparation: Preparation, columns: Columns, rows: Rows) -> Preparation:
    numbers = preparation.numbers(columns, rows)
    if not numbers.size:
        return preparation
    with np.errstate(over="ignore", invalid="ignore"):
        scaler = StandardScaler().fit(numbers)
    # scikit-learn takes a variance that overflowed for that of a constant column.
    scales = np.where(np.isfinite(scaler.var_), scaler.scale_, np.inf)
    learnt = zip(preparation.number_features, scaler.mean_.tolist(), scales.tolist(), strict=True)
    scaled = {each.name: replace(each, mean=mean, scale=scale) for each, mean, scale in learnt}
    return Preparation(tuple(scaled.get(each.name, each) for each in preparation.features))
