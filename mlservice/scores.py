"""Many rows at once: from a model's columns, or its matrix, to classes and probabilities.

The one vectorised arithmetic of the service. scikit-learn's checks of the input are
not repeated; its answers are, to 1e-12.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray
from scipy.special import expit

from mlservice.errors import Fault, InvalidRow
from mlservice.extent import Extent, ends_of
from mlservice.model import Model
from mlservice.preparation import Column, Columns, Preparation, by_label, encoded, places_of

MOST_ROWS_NAMED = 20


@dataclass(frozen=True)
class Scored:
    """What was predicted.

    Attributes
    ----------
    positions : ndarray of shape (n_samples,), intp
        The likeliest class of each row, by its position in the model's `classes`.
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Each row sums to 1; a row that has no score is NaN, see `unscorable`.
    """

    positions: NDArray[np.intp]
    probabilities: NDArray[np.float64]

    @property
    def unscorable(self) -> NDArray[np.intp]:
        """The rows that have no score, ascending."""
        return np.flatnonzero(np.isnan(self.probabilities[:, 0]))


@dataclass(frozen=True)
class Outside:
    """Numbers that are smaller or larger than all of the training.

    Attributes
    ----------
    rows, places : ndarray of shape (n_cells,), intp
        Where they stand: row, ascending, and place among the numeric features.
    values : ndarray of shape (n_cells,)
        They themselves.
    """

    rows: NDArray[np.intp]
    places: NDArray[np.intp]
    values: NDArray[np.float64]


_NOTHING = Outside(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))


class TableScorer:
    """A model, ready to score many rows; a `scoring.Scorer` has one as `table`.

    ::

        scored = scorer.table.score(columns)      # named columns, numbers and texts
        scored = scorer.table.score_matrix(X)     # numbers only, in the features' order
        scored.positions, scored.probabilities    # of shape (n,) and (n, n_classes)

    Parameters
    ----------
    model : Model
        Its arrays are not changed.

    Attributes
    ----------
    preparation : Preparation
        How rows become a matrix.
    watch : callable or None
        Is told of tables all of whose rows were scored: their columns, and how many rows.
    """

    def __init__(self, model: Model) -> None:
        self.preparation = Preparation(model.features)
        self.watch: Callable[[Columns, int], None] | None = None
        width = len(self.preparation.number_features)
        self._is_plain = self.preparation.is_identity
        self._is_scaled = any(each.scale is not UNSET for each in model.features)
        self._bounds = _bounds_of(model)
        self._weights = model.coef[:, :width].T
        self._intercept = model.intercept
        self._of_text = {}
        for feature in self.preparation.text_features:
            stop = width + len(encoded(feature))
            self._of_text[feature.name] = by_label(feature, model.coef[:, width:stop].T)
            width = stop

    def score(self, columns: Columns) -> Scored:
        """Predict rows of named columns.

        Parameters
        ----------
        columns : mapping of str to ndarray or Texts
            The model's features by name, of their kinds, equally long, in any order.
            In numbers NaN is missing. A text that training had not seen counts nothing.

        Raises
        ------
        InvalidRow
            With each row that has no score: a number is missing where training had none
            missing, is infinite, or so large that the score overflows. `errors` names
            the first 20, `error_count` counts all.
        """
        scored = self._watched(columns, scored_by(self.log_odds(columns)))
        self._check(scored, columns)
        return scored

    def score_matrix(self, X: NDArray[np.float64]) -> Scored:
        """Predict rows of numbers.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float64
            In the order of the model's features, not prepared; NaN is missing.

        Raises
        ------
        InvalidRow
            As `score` does; or if the matrix has another width, or a feature is text.
        """
        columns = self.columns_of(X)
        if not self._is_plain:
            return self.score(columns)
        scored = scored_by(self._of_numbers(X))
        self._check(scored, columns)
        return self._watched(columns, scored)

    def try_score(self, columns: Columns) -> tuple[Scored, Outside]:
        """Predict rows of named columns as `score` does; rows without a score are told as such.

        Returns
        -------
        Scored
        Outside
            What `outside` returns of these columns, for less.
        """
        filled = self._filled(columns)
        outside = self._outside(filled, columns)
        return self._watched(columns, scored_by(self._scores(filled, columns))), outside

    def outside(self, columns: Columns) -> Outside:
        """Return which numbers are smaller or larger than all of the training."""
        return self._outside(self._filled(columns), columns)

    def _watched(self, columns: Columns, scored: Scored) -> Scored:
        if self.watch and len(scored.positions) and not len(scored.unscorable):
            self.watch(columns, len(scored.positions))
        return scored

    def log_odds(self, columns: Columns) -> NDArray[np.float64]:
        """Return the score of each row, of shape (n_samples, n_rows of coef).

        It is not finite where it overflows, or where a number is missing or infinite.
        """
        return self._scores(self._filled(columns), columns)

    def _scores(self, filled: NDArray[np.float64], columns: Columns) -> NDArray[np.float64]:
        scores = self._of_numbers(self._scaled(filled))
        for feature in self.preparation.text_features:
            scores += self._of_text[feature.name][places_of(feature, columns[feature.name])]
        return scores

    def _filled(self, columns: Columns) -> NDArray[np.float64]:
        """Return the numeric features, filled, of shape (n_samples, n_numbers)."""
        # By columns, as they come, it is filled in a quarter of the time.
        return self.preparation.numbers(columns, None, "F")

    def _scaled(self, filled: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._is_scaled:
            means, scales = self.preparation.scales[:, : filled.shape[1]]
            with np.errstate(over="ignore"):
                filled -= means
                filled /= scales
        return filled

    def _outside(self, filled: NDArray[np.float64], columns: Columns) -> Outside:
        lows, highs = self._bounds
        # Most rows are within: to know that takes a quarter of comparing each. Of NaN neither
        # is asked.
        below, above = np.fmin.reduce(filled) < lows, np.fmax.reduce(filled) > highs
        if not (below | above).any():
            return _NOTHING
        found = (lows[:, None] > filled.T) | (highs[:, None] < filled.T)
        for place in np.flatnonzero(below | above).tolist():
            # What was missing is filled, perhaps with a number that no row had.
            column = columns[self.preparation.number_features[place].name]
            if isinstance(column, np.ndarray):
                found[place] &= ~np.isnan(column)
        places, rows = np.nonzero(found)
        order = np.argsort(rows, kind="stable")
        rows, places = rows[order], places[order]
        return Outside(rows, places, filled[rows, places])

    def why_unscorable(self, columns: Columns, row: int) -> str:
        """Return what a row must be and is not."""
        for feature in self.preparation.number_features:
            number = _number(columns[feature.name], row)
            if np.isnan(number) and feature.fill is UNSET:
                return f"{feature.name!r} must be a number, it is missing"
            if np.isinf(number):
                return f"{feature.name!r} must be finite, it is infinite"
        return "its numbers must be small enough to score, they overflow float64"

    def _of_numbers(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(over="ignore", invalid="ignore"):
            scores: NDArray[np.float64] = numbers @ self._weights + self._intercept
        return scores

    def is_within(self, X: NDArray[np.float64]) -> bool:
        """Tell whether no number of a matrix is outside those of the training, or missing.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), C-contiguous
            One row or more.
        """
        lows, highs = self._bounds
        least, most = ends_of(X)
        return bool((least >= lows).all() and (most <= highs).all())

    def columns_of(self, X: NDArray[np.float64]) -> dict[str, Column]:
        """Return the columns of a matrix by name; it raises what `score_matrix` does."""
        features = self.preparation.features
        for feature in self.preparation.text_features:
            raise InvalidRow(f"A matrix has numbers only, the feature {feature.name!r} is text.")
        if X.ndim != 2 or X.shape[1] != len(features):
            raise InvalidRow(
                f"Rows must have {len(features)} numbers, the array's shape is {list(X.shape)}."
            )
        return {feature.name: X[:, place] for place, feature in enumerate(features)}

    def _check(self, scored: Scored, columns: Columns) -> None:
        rows = scored.unscorable.tolist()
        if not rows:
            return
        faults = [
            Fault(detail=f"Row {row}: {self.why_unscorable(columns, row)}.")
            for row in rows[:MOST_ROWS_NAMED]
        ]
        more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        raise InvalidRow(faults[0].detail + more, errors=faults, members={"error_count": len(rows)})


def scored_by(scores: NDArray[np.float64]) -> Scored:
    """Return classes and probabilities of log-odds.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, 1) or (n_samples, n_classes)
        One column for two classes: the log-odds of the second.
    """
    if scores.shape[1] == 1:
        return _binary(scores[:, 0])
    # Infinity minus infinity is not a number, and neither is its sum with others.
    with np.errstate(over="ignore", invalid="ignore"):
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        exponentials /= exponentials.sum(axis=1, keepdims=True)
    return Scored(scores.argmax(axis=1), exponentials)


def _binary(scores: NDArray[np.float64]) -> Scored:
    second = expit(scores)
    second[~np.isfinite(scores)] = np.nan
    return Scored((scores > 0).astype(np.intp), np.column_stack([1.0 - second, second]))


def _bounds_of(model: Model) -> NDArray[np.float64]:
    """Return the least and the most of each numeric feature, of shape (2, n_numbers)."""
    bounds = Extent(model.features, model.profile).bounds or [(-np.inf, np.inf)] * len(
        model.features
    )
    numbers = [
        found for found, each in zip(bounds, model.features, strict=True) if each.kind == "number"
    ]
    return np.ascontiguousarray(np.array(numbers).reshape(-1, 2).T)


def _number(column: Column, row: int) -> float:
    return float(column[row]) if isinstance(column, np.ndarray) else 0.0
