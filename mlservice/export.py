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


_SQL = """WITH {mls}scored AS (
  SELECT samples.*,
    {scores}
  FROM samples
), {mls}ranked AS (
  SELECT {mls}scored.*, {highest} AS {mls}highest
  FROM {mls}scored WHERE EXISTS (SELECT 1 FROM {mls}scored)
), {mls}shared AS (
  SELECT {mls}ranked.*,
    {shares}
  FROM {mls}ranked WHERE EXISTS (SELECT 1 FROM {mls}ranked)
), {mls}summed AS (
  SELECT {mls}shared.*, {total} AS {mls}total
  FROM {mls}shared WHERE EXISTS (SELECT 1 FROM {mls}shared)
)
SELECT {mls}summed.*,
  CASE {prediction} END AS {label},
  {probabilities}
FROM {mls}summed WHERE EXISTS (SELECT 1 FROM {mls}summed);
"""


def to_sql(model: Model) -> str:
    """Write a model as a query over a table `samples` that has the features as columns.

    The query returns the table with a column `prediction`, and one for the
    probability of each class; where the table has such a column, theirs has underlines
    behind it. It takes `exp`, common table expressions and nothing else beyond standard SQL.

    Notes
    -----
    What is always true is asked of each step, so that a step is named twice: SQLite and
    PostgreSQL put one that is named once into the next, and its sums into each place that
    names them. For 50 classes that took SQLite minutes.
    """
    found = scores(model)
    # In SQL a name is the same in small and in large letters.
    taken = {each.lower() for each in (*(f.name for f in model.features), model.target)}
    mls = "mls_"
    while any(name.startswith(mls) for name in taken):
        mls += "_"
    sums = _sql_scores(found)
    positions = range(len(sums))
    labels_of = [f"probability_{label_name(label)}" for label in found.classes]
    return _SQL.format(
        mls=mls,
        scores=",\n    ".join(f"{text} AS {mls}score_{k}" for k, text in enumerate(sums)),
        highest=_highest([f"{mls}score_{k}" for k in positions]),
        shares=",\n    ".join(
            f"exp({mls}score_{k} - {mls}highest) AS {mls}share_{k}" for k in positions
        ),
        total=_tree([f"{mls}share_{k}" for k in positions], "+"),
        prediction=" ".join(
            f"WHEN {mls}score_{k} = {mls}highest THEN {_literal(label)}"
            for k, label in enumerate(found.classes)
        ),
        label=_quoted(_unused("prediction", taken)),
        probabilities=",\n  ".join(
            f"{mls}share_{k} / {mls}total AS {_quoted(_unused(name, taken))}"
            for k, name in enumerate(labels_of)
        ),
    )


def _unused(name: str, taken: set[str]) -> str:
    while name.lower() in taken:
        name += "_"
    return name


def _sql_scores(found: Scores) -> list[str]:
    """Return an expression for the score of each class."""
    sums = [
        _tree([repr(start), *_sql_terms(found.terms, k)], "+")
        for k, start in enumerate(found.intercept)
    ]
    # One score is the log-odds of the second class; that of the first is then 0.
    return ["0.0", *sums] if len(sums) == 1 else sums


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


def _tree(terms: Sequence[str], operator: str) -> str:
    """Join terms in a balanced tree: databases bound how deep an expression may be."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_tree(terms[:half], operator)} {operator} {_tree(terms[half:], operator)})"


def _highest(names: Sequence[str]) -> str:
    """Return the greatest of columns, without a function that databases name differently."""
    cases = [
        f"WHEN {_tree([f'{name} >= {other}' for other in names if other != name], 'AND')} "
        f"THEN {name}"
        for name in names[:-1]
    ]
    return f"CASE {' '.join(cases)} ELSE {names[-1]} END"


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
