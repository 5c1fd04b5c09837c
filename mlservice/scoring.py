"""From stored parameters back to fitted scikit-learn estimators, and a fast path for rows.

scikit-learn checks its input for about 80 µs on each call, whatever its size.
The service has done those checks, so one row is scored by plain arithmetic
over the reconstructed estimator's own arrays.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from operator import add, mul
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlservice.counts import ModelCounts
from mlservice.extent import Extent
from mlservice.model import Model
from mlservice.preparation import Preparation, labels
from mlservice.row import RowEncoder
from mlservice.rowtext import AnswerForm, RowsForm, query_reader
from mlservice.schemas import Feature, Label, label_name
from mlservice.scores import TableScorer
from mlservice.softmax import MOST_WRITTEN_OUT, ScoreRow, of_scores, written_out
from mlservice.tensors import RowForm

# Multiplications up to which Python's own floats beat numpy's fixed cost of a call.
PURE_PYTHON = 300


def estimator(params: Mapping[str, Any], classes: Mapping[str, Label]) -> LogisticRegression:
    """Build an unfitted estimator from a model's parameters.

    Parameters
    ----------
    params : mapping
        As `params.resolve` gives them; `C` None stands for no penalty.
    classes : mapping of str to str, int or bool
        How the estimator knows each class, by the label as JSON writes it.
    """
    named = dict(params)
    if named["C"] is None:
        named["C"] = math.inf
    if isinstance(named["class_weight"], dict):
        named["class_weight"] = {
            classes[name]: weight for name, weight in named["class_weight"].items()
        }
    return LogisticRegression(**named)


def reconstruct(model: Model) -> LogisticRegression:
    """Build a fitted estimator from stored coefficients.

    Parameters
    ----------
    model : Model
        Stored coefficients; their shapes were checked by `model.decode`.

    Returns
    -------
    LogisticRegression
        Predicts exactly what the estimator that was trained would predict, from
        the columns that the model's preparation makes.

    References
    ----------
    scikit-learn 1.9, `LogisticRegression`, section "Attributes".
    """
    fitted = estimator(model.params, {label_name(label): label for label in model.classes})
    fitted.classes_ = np.array(model.classes)
    fitted.coef_ = model.coef
    fitted.intercept_ = model.intercept
    fitted.n_iter_ = np.array(model.n_iter, dtype=np.int32)
    fitted.n_features_in_ = model.coef.shape[1]
    return fitted


def pipeline(model: Model) -> LogisticRegression | Pipeline:
    """Build what predicts from rows as they were in the table.

    Returns
    -------
    LogisticRegression or Pipeline
        For a model without preparation what `reconstruct` gives; else a pipeline
        with the preparation as its first step. Rows are arrays of objects then,
        in the order of the features, None where a value is missing.
    """
    preparation, fitted = Preparation(model.features), reconstruct(model)
    if preparation.is_identity:
        return fitted
    return Pipeline([("preparation", _transformer(preparation)), ("classifier", fitted)])


def _transformer(preparation: Preparation) -> ColumnTransformer:
    """Return scikit-learn's transformer, fitted on the one row that teaches it what was learnt."""
    features = preparation.features
    row = [_example(each) for each in features]
    numbers, texts = (
        [place for place, each in enumerate(features) if each.kind == kind]
        for kind in ("number", "text")
    )
    encoder = OneHotEncoder(
        categories=[_categories(features[place]) for place in texts],
        handle_unknown="ignore",
        drop="first" if any(features[place].reference is not UNSET for place in texts) else None,
    )
    scaler = StandardScaler()
    steps = [("numbers", make_pipeline(SimpleImputer(), scaler), numbers)]
    transformer = ColumnTransformer([*steps, ("texts", encoder, texts)])
    transformer.fit(np.array([row], dtype=object))
    if numbers:
        scaler = transformer.named_transformers_["numbers"][-1]
        scaler.mean_, scaler.scale_ = preparation.scales[:, : len(numbers)]
        with np.errstate(over="ignore"):
            scaler.var_ = scaler.scale_**2
    return transformer


def _example(feature: Feature) -> float | str | None:
    """Return a value whose mean is the fill value, or a text that was seen."""
    if feature.kind == "text":
        return labels(feature)[0] or None
    return 0.0 if feature.fill is UNSET else feature.fill


def _categories(feature: Feature) -> NDArray[np.object_]:
    return np.array([label or None for label in labels(feature)], dtype=object)


class Scorer:
    """A reconstructed model, ready to score.

    Attributes
    ----------
    estimator : LogisticRegression
        The fitted estimator that the arithmetic below repeats.
    table : TableScorer
        The same for many rows at once.
    encoder : RowEncoder or None
        How a row is prepared; None where its numbers pass through unchanged.
    features : tuple of str
        Names of the columns, in the order that rows must have.
    described : dict of str to Feature
        The features by name.
    target : str
        The column that is predicted.
    profile : Profile or None
        What the rows of the training were like, where it is known.
    extent : Extent
        Between which numbers those of the training were.
    labels : list of str, int or bool
        The classes, ascending.
    label_names : list of str
        The same as JSON writes them.
    read_plain : callable
        Reads a query whose names and numbers are written the plainest way and are such
        as those of the training: there is nothing to be told of it.
    score_row : callable
        Returns the likeliest class's position and the probability of each class. Takes a
        sequence of length n_features in the order of `features`: finite float for numbers
        and str for text, None where a value is missing; without preparation all are numbers.
        Raises `InvalidRow` if the numbers are so large that a score overflows.
    form : AnswerForm
        What is answered for one row.
    rows_form : RowsForm
        What is answered for a table of few rows.
    inference : RowForm
        The same in the Open Inference Protocol.
    counts : ModelCounts
        Where rows are counted; the cache gives the one that outlives the scorer.
    size_bytes : int
        About what the model takes in memory.
    """

    def __init__(self, model: Model) -> None:
        self.estimator = reconstruct(model)
        self.features = tuple(feature.name for feature in model.features)
        self.target, self.profile = model.target, model.profile
        self.extent = Extent(model.features, model.profile)
        self.described = {feature.name: feature for feature in model.features}
        self.table = TableScorer(model)
        preparation = self.table.preparation
        self.encoder = None if preparation.is_identity else RowEncoder(preparation)
        self.labels = list(model.classes)
        self.label_names = [label_name(label) for label in model.classes]
        self.form, self.rows_form = AnswerForm(model.classes), RowsForm(model.classes)
        self.inference = RowForm(model.classes)
        self.counts = ModelCounts(self.label_names)
        self.size_bytes = 4096 + 3 * model.coef.nbytes + sum(80 + len(f) for f in self.features)
        coef, intercept = self.estimator.coef_, self.estimator.intercept_
        if self.encoder:
            self.size_bytes += 200 * len(preparation.names)
            self.read_plain: Callable[[str], Sequence[float] | None] = _read_by_name
            encoded_scores = _encoded_scores_of(self.encoder, coef, intercept)
            self.score_row: ScoreRow = lambda row: of_scores(encoded_scores(row))
        else:
            self.read_plain = query_reader(self.features, self.extent)
            self.score_row = _row_scorer(coef, intercept)


def _read_by_name(query: str) -> list[float] | None:  # noqa: ARG001  # texts are not plain
    return None


def _product(
    coef: NDArray[np.float64], row: Sequence[float], intercept: NDArray[np.float64]
) -> list[float]:
    # Python's own floats overflow in silence as well; `of_scores` looks at the result.
    with np.errstate(over="ignore", invalid="ignore"):
        scores: list[float] = (coef @ np.array(row) + intercept).tolist()
    return scores


def _scores_of(
    coef: NDArray[np.float64], intercept: NDArray[np.float64]
) -> Callable[[Sequence[float]], list[float]]:
    """Return the fastest way to this model's scores: log-odds, one for each row of coef."""
    if coef.size > PURE_PYTHON:
        return lambda row: _product(coef, row, intercept)
    rows = list(zip(intercept.tolist(), coef.tolist(), strict=True))
    return lambda row: [sum(map(mul, weights, row), start) for start, weights in rows]


def _row_scorer(coef: NDArray[np.float64], intercept: NDArray[np.float64]) -> ScoreRow:
    if len(coef) > 1 and coef.size <= MOST_WRITTEN_OUT:
        return written_out(list(zip(intercept.tolist(), coef.tolist(), strict=True)))
    scores_of = _scores_of(coef, intercept)
    return lambda row: of_scores(scores_of(row))


def _encoded_scores_of(
    encoder: RowEncoder, coef: NDArray[np.float64], intercept: NDArray[np.float64]
) -> Callable[[Sequence[Any]], list[float]]:
    """Return the way to the scores of rows that are filled, scaled and encoded first."""
    of_numbers = _scores_of(np.ascontiguousarray(coef[:, : encoder.width]), intercept)
    by_column = np.ascontiguousarray(coef.T)

    def scores(row: Sequence[Any]) -> list[float]:
        numbers, columns = encoder.encode(row)
        found = of_numbers(numbers)
        for column in columns:
            found = list(map(add, found, by_column[column].tolist()))
        return found

    return scores
