"""A model in other languages' words: JSON, Python, SQL and ONNX that need nothing of ours.

Scaling is folded into the coefficients, so that every form takes rows in the
units that were sent. Categories that were not seen count nothing, as here.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from mlservice.model import Model
from mlservice.onnx import to_onnx
from mlservice.preparation import Preparation, by_label, encoded, labels
from mlservice.schemas import Feature, Label, label_name


@dataclass(frozen=True, kw_only=True)
class Term:
    """What one feature adds to each score.

    Attributes
    ----------
    feature : Feature
        With its fill value and its categories.
    coef : list of list of float
        For a number one list, for a text one for each of its labels; each has
        a number for each row of the model's coefficients.
    """

    feature: Feature
    coef: list[list[float]]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A model as a sum: one score for two classes, else one for each."""

    classes: tuple[Label, ...]
    intercept: list[float]
    terms: list[Term]


def scores(model: Model) -> Scores:
    """Return a model as sums of terms, in the units of the input."""
    preparation = Preparation(model.features)
    coef, intercept = preparation.in_units_of_input(model.coef, model.intercept)
    by_column = coef.T
    terms = []
    start = 0
    for each in [*preparation.number_features, *preparation.text_features]:
        stop = start + (1 if each.kind == "number" else len(encoded(each)))
        found = by_column[start:stop]
        # The last is that of a text which was not seen.
        found = found if each.kind == "number" else by_label(each, found)[:-1]
        terms.append(Term(feature=each, coef=found.tolist()))
        start = stop
    return Scores(classes=model.classes, intercept=intercept.tolist(), terms=terms)


def to_json(model: Model) -> str:
    """Write a model as a JSON document that says how to score a row with it."""
    return json.dumps(_document(model), ensure_ascii=False, indent=1) + "\n"


def _document(model: Model) -> dict[str, Any]:
    found = scores(model)
    return {
        "target": model.target,
        "classes": list(found.classes),
        "link": "logit" if len(found.intercept) == 1 else "softmax",
        "intercept": found.intercept,
        "numbers": {
            each.feature.name: {
                "coef": each.coef[0],
                "fill": None if each.feature.fill is UNSET else each.feature.fill,
            }
            for each in found.terms
            if each.feature.kind == "number"
        },
        "texts": {
            each.feature.name: dict(zip(labels(each.feature), each.coef, strict=True))
            for each in found.terms
            if each.feature.kind == "text"
        },
    }


_PYTHON = '''"""A logistic regression for {target}, exported by mlservice; it needs Python only."""

import json
import math

MODEL = json.loads({model})


def predict(row):
    """Return the class of a row, and the probability of each class.

    A row is a dict of the features: numbers, texts, and None where a value is missing.
    """
    scores = list(MODEL["intercept"])
    for name, number in MODEL["numbers"].items():
        value = number["fill"] if row[name] is None else row[name]
        for position, weight in enumerate(number["coef"]):
            scores[position] += weight * value
    for name, weights in MODEL["texts"].items():
        for position, weight in enumerate(weights.get(row[name] or "", ())):
            scores[position] += weight
    if len(scores) == 1:
        scores = [0.0, scores[0]]
    highest = max(scores)
    shares = [math.exp(score - highest) for score in scores]
    total = sum(shares)
    best = scores.index(highest)
    return MODEL["classes"][best], [share / total for share in shares]
'''


def to_python(model: Model) -> str:
    """Write a model as a Python module with a function `predict(row)`."""
    document = json.dumps(_document(model))
    return _PYTHON.format(target=json.dumps(model.target), model=repr(document))


_SQL = """WITH scored AS (
  SELECT samples.*,
    {scores}
  FROM samples
), ranked AS (
  SELECT scored.*, {highest} AS mls_highest FROM scored
), shared AS (
  SELECT ranked.*,
    {shares}
  FROM ranked
)
SELECT shared.*,
  CASE {prediction} END AS prediction,
  {probabilities}
FROM shared;
"""


def to_sql(model: Model) -> str:
    """Write a model as a query over a table `samples` that has the features as columns.

    The query returns the table with a column `prediction`, and one for the
    probability of each class. It takes `exp`, common table expressions and
    nothing else beyond standard SQL.
    """
    found = scores(model)
    count = len(found.intercept)
    sums = [_sum([repr(found.intercept[k]), *_sql_terms(found.terms, k)]) for k in range(count)]
    # One score is the log-odds of the second class; that of the first is then 0.
    sums = ["0.0", *sums] if count == 1 else sums
    positions = range(len(sums))
    names = [_quoted(f"probability_{label_name(label)}") for label in found.classes]
    total = " + ".join(f"mls_share_{k}" for k in positions)
    return _SQL.format(
        scores=",\n    ".join(f"{text} AS mls_score_{k}" for k, text in enumerate(sums)),
        highest=_highest([f"mls_score_{k}" for k in positions]),
        shares=",\n    ".join(
            f"exp(mls_score_{k} - mls_highest) AS mls_share_{k}" for k in positions
        ),
        prediction=_choice(found.classes),
        probabilities=",\n  ".join(
            f"mls_share_{k} / ({total}) AS {name}" for k, name in enumerate(names)
        ),
    )


def _sql_terms(terms: Sequence[Term], k: int) -> list[str]:
    return [(_sql_text if each.feature.kind == "text" else _sql_number)(each, k) for each in terms]


def _sql_number(term: Term, k: int) -> str:
    column = _quoted(term.feature.name)
    if term.feature.fill is not UNSET:
        column = f"COALESCE({column}, {term.feature.fill!r})"
    return f"{term.coef[0][k]!r} * {column}"


def _sql_text(term: Term, k: int) -> str:
    column = f"COALESCE({_quoted(term.feature.name)}, '')"
    cases = [
        f"WHEN {_literal(label)} THEN {coef[k]!r}"
        for label, coef in zip(labels(term.feature), term.coef, strict=True)
    ]
    return f"CASE {column} {' '.join(cases)} ELSE 0.0 END"


def _sum(terms: Sequence[str]) -> str:
    """Add terms in a balanced tree: databases bound how deep an expression may be."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_sum(terms[:half])} + {_sum(terms[half:])})"


def _highest(names: Sequence[str]) -> str:
    """Return the greatest of columns, without a function that databases name differently."""
    cases = [
        f"WHEN {' AND '.join(f'{name} >= {other}' for other in names if other != name)} THEN {name}"
        for name in names[:-1]
    ]
    return f"CASE {' '.join(cases)} ELSE {names[-1]} END"


def _choice(classes: Sequence[Label]) -> str:
    return " ".join(
        f"WHEN mls_score_{k} = mls_highest THEN {_literal(label)}"
        for k, label in enumerate(classes)
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(label: Label) -> str:
    if isinstance(label, str):
        return "'" + label.replace("'", "''") + "'"
    return str(int(label)) if isinstance(label, bool) else str(label)


# Format: how to write it, its media type, and the ending of its file.
FORMATS: dict[str, tuple[Callable[[Model], str | bytes], str, str]] = {
    "json": (to_json, "application/json", "json"),
    "onnx": (to_onnx, "application/octet-stream", "onnx"),
    "python": (to_python, "text/x-python", "py"),
    "sql": (to_sql, "application/sql", "sql"),
}
