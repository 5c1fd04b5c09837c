"""From one row's scores to its class and probabilities, in Python's own numbers.

Where the coefficients are few, loops over them take most of the time: there the whole
arithmetic is written out as a function for the coefficients' shape, three times as fast
and the same bit for bit. Nothing but the shape's two numbers is in its source.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from mlservice.errors import InvalidRow

# Coefficients, which take 0.5 ms to write out, once for each shape.
MOST_WRITTEN_OUT = 100

# The likeliest class's position, and the probability of each class.
Scored = tuple[int, list[float]]
ScoreRow = Callable[[Sequence[Any]], Scored]
# For each class its intercept, and its features' coefficients.
Rows = Sequence[tuple[float, Sequence[float]]]


def of_scores(scores: list[float]) -> Scored:
    """Return the likeliest class's position and the probability of each class.

    Parameters
    ----------
    scores : list of length n_classes
        Of two classes only the second one's log-odds.

    Raises
    ------
    InvalidRow
        If a score has overflowed.
    """
    if len(scores) == 1:
        return _binary(scores[0])
    highest = max(scores)
    exponentials = [math.exp(score - highest) for score in scores]
    total = sum(exponentials)
    # Infinity minus infinity is not a number, and neither is its sum with others.
    if math.isnan(total):
        raise _overflow()
    return scores.index(highest), [value / total for value in exponentials]


def _binary(score: float) -> Scored:
    if not math.isfinite(score):
        raise _overflow()
    # Either form overflows on one side.
    if score >= 0:
        second = 1.0 / (1.0 + math.exp(-score))
    else:
        exponential = math.exp(score)
        second = exponential / (1.0 + exponential)
    return int(score > 0), [1.0 - second, second]


def _overflow() -> InvalidRow:
    return InvalidRow("The row's numbers must be small enough to score, they overflow float64.")


def written_out(rows: Rows) -> ScoreRow:
    """Return a function of a row that multiplies, adds, and does what `of_scores` does.

    Parameters
    ----------
    rows : sequence of length n_classes
        Of three classes or more.
    """
    return _bind(len(rows), len(rows[0][1]))(rows)


@functools.lru_cache(maxsize=100)
def _bind(n_rows: int, n_features: int) -> Callable[[Rows], ScoreRow]:
    names = {"exp": math.exp, "isnan": math.isnan, "overflow": _overflow}
    made: dict[str, Any] = {}
    exec(_source(n_rows, n_features), names, made)  # noqa: S102  # of two numbers, see above
    bind: Callable[[Rows], ScoreRow] = made["bind"]
    return bind


def _source(n_rows: int, n_features: int) -> str:
    classes, features = range(n_rows), range(n_features)
    scores, shares = (", ".join(form.format(k) for k in classes) for form in ("s{}", "e{} / total"))
    coefs = ["".join(f"w{k}_{j}, " for j in features) for k in classes]
    sums = ["".join(f" + w{k}_{j} * x{j}" for j in features) for k in classes]
    lines = [
        "def bind(rows):",
        " " + "".join(f"(b{k}, ({coefs[k]})), " for k in classes) + "= rows",
        " def score_row(row):",
        "  " + "".join(f"x{j}, " for j in features) + "= row",
        *(f"  s{k} = b{k}{sums[k]}" for k in classes),
        f"  highest = max({scores})",
        *(f"  e{k} = exp(s{k} - highest)" for k in classes),
        "  total = " + " + ".join(f"e{k}" for k in classes),
        "  if isnan(total): raise overflow()",
        f"  return ({scores}).index(highest), [{shares}]",
        " return score_row",
    ]
    return "\n".join(lines)
