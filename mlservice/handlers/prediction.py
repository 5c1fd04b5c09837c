"""The native predictions: one row by query."""

import math
from collections.abc import Sequence

from aiohttp import web

from mlservice.cache import CACHE
from mlservice.errors import Fault, InvalidRow
from mlservice.query import read_query
from mlservice.schemas import Prediction
from mlservice.scoring import Scorer
from mlservice.wire import respond

# What float() takes beyond these is no decimal number: spaces, words, other digits.
_NUMBER_CHARACTERS = "0123456789.eE+-"
_INFINITY = math.inf


async def predict_row(request: web.Request) -> web.Response:
    """Predict the class of one row, its features given by name in the query."""
    model_id = request.match_info["id"]
    query = request.rel_url.raw_query_string
    scorer = await request.app[CACHE].get(model_id)
    best, probabilities = scorer.score_row(read_row(query, scorer))
    return respond(
        Prediction(
            model=model_id,
            prediction=scorer.labels[best],
            probabilities=dict(zip(scorer.label_names, probabilities, strict=True)),
        )
    )


def read_row(query: str, scorer: Scorer) -> list[float]:
    """Return the row that a query names, in the order of the model's features.

    Parameters
    ----------
    query : str
        As it was sent, without the question mark.

    Raises
    ------
    MalformedQuery
        If the query cannot be decoded.
    InvalidRow
        With everything that is wrong: left out, unknown, repeated, no number.
    """
    given: Sequence[str]
    if in_order := scorer.in_order(query):
        given = in_order.groups()
    else:
        given = _match(read_query(query), scorer)
    try:
        row = list(map(float, given))
    except ValueError:
        row = [_INFINITY]
    if _INFINITY in row or -_INFINITY in row:
        raise _invalid_row(_faults(read_query(query), scorer))
    return row


def _match(pairs: list[tuple[str, str]], scorer: Scorer) -> list[str]:
    """Return the values by the model's features, all of them written like numbers."""
    given = dict(pairs)
    if len(given) == len(pairs) and given.keys() == set(scorer.features):
        texts = [given[name] for name in scorer.features]
        if not "".join(texts).strip(_NUMBER_CHARACTERS):
            return texts
    raise _invalid_row(_faults(pairs, scorer))


def _invalid_row(faults: list[Fault]) -> InvalidRow:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return InvalidRow(faults[0].detail + more, errors=faults)


def _faults(pairs: Sequence[tuple[str, str]], scorer: Scorer) -> list[Fault]:
    names = [name for name, _ in pairs]
    given = dict(pairs)
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        if name not in scorer.features:
            found[name] = f"{name!r} is not a feature of the model."
        elif names.count(name) > 1:
            found[name] = f"{name!r} must stand once, it stands {names.count(name)} times."
        elif wrong := _wrong_number(given[name]):
            found[name] = f"{name!r} must be a finite decimal number, it is {wrong}."
    for name in scorer.features:
        if name not in given:
            found[name] = f"{name!r} must be given, it is left out."
    return [Fault(parameter=name, detail=detail) for name, detail in found.items()]


def _wrong_number(text: str) -> str | None:
    """Return how to call a text that is no finite decimal number."""
    try:
        if not text.strip(_NUMBER_CHARACTERS) and math.isfinite(float(text)):
            return None
    except ValueError:
        pass
    return repr(text[:64]) if text else "empty"
