"""The native predictions: one row by query."""

import math
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import msgspec
from aiohttp import web

from mlservice.cache import CACHE
from mlservice.errors import ClientProblem, Fault, InvalidRow
from mlservice.extent import not_seen
from mlservice.query import read_query
from mlservice.reply import Head, Reply
from mlservice.schemas import Feature, Prediction, RowWarning
from mlservice.scoring import Scorer
from mlservice.shortcut import at_hand
from mlservice.wire import caller, named_model

# What float() takes beyond these is no decimal number: spaces, words, other digits.
_NUMBER_CHARACTERS = "0123456789.eE+-"
_INFINITY = math.inf


# A stored model never changes; an alias may point at another one soon.
_BY_ID = Head({"Cache-Control": "private, max-age=3600"})
_BY_ALIAS = Head()


def predict_at_once(request: web.Request, _: bytes) -> Reply | None:
    """Predict the class of a query's row if its model is at hand, and nothing is wrong with it."""
    found = at_hand(request) if request.rel_url.raw_query_string else None
    return _answer(request, *found) if found else None


async def predict_row(request: web.Request) -> web.Response:
    """Predict the class of one row, its features given by name in the query."""
    model_id = await named_model(request)
    scorer = await request.app[CACHE].get(model_id, caller(request).models)
    try:
        return _answer(request, model_id, scorer)
    except ClientProblem:
        scorer.counts.errors += 1
        raise


def _answer(request: web.Request, model_id: str, scorer: Scorer) -> Reply:
    begun, query = perf_counter(), request.rel_url.raw_query_string
    plain = scorer.read_plain(query)
    row = plain or read_row(query, scorer)
    best, probabilities = scorer.score_row(row)
    if not plain and (warnings := _warnings(row, scorer)):
        answer = _warn(model_id, scorer, best, probabilities, warnings)
    else:
        answer = scorer.form.fill(model_id, best, probabilities)
    if scorer.counts.watch:
        scorer.counts.watch.see(row)
    scorer.counts.add_row(best, begun)
    return Reply(answer, head=_BY_ID if model_id == request.match_info["id"] else _BY_ALIAS)


def _warn(
    model_id: str,
    scorer: Scorer,
    best: int,
    probabilities: list[float],
    warnings: list[RowWarning],
) -> bytes:
    told = Prediction(
        model=model_id,
        prediction=scorer.labels[best],
        probabilities=dict(zip(scorer.label_names, probabilities, strict=True)),
        warnings=warnings,
    )
    return msgspec.json.encode(told) + b"\n"


def _warnings(row: Sequence[Any], scorer: Scorer) -> list[RowWarning]:
    if not scorer.encoder:
        return scorer.extent.outside(row)
    unseen = [
        RowWarning(
            code="unseen-category",
            detail=not_seen(name, text),
            parameter=name,
        )
        for name, text in scorer.encoder.unseen(row)
    ]
    return unseen + scorer.extent.outside(row)


def read_row(query: str, scorer: Scorer) -> list[Any]:
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
        With everything that is wrong: left out, unknown, repeated, no number, empty.
    """
    pairs = read_query(query)
    if scorer.encoder:
        return _read_values(pairs, scorer)
    try:
        row = list(map(float, _match(pairs, scorer)))
    except ValueError:
        row = [_INFINITY]
    if _INFINITY in row or -_INFINITY in row:
        raise _invalid_row(_faults(pairs, scorer))
    return row


def _read_values(pairs: list[tuple[str, str]], scorer: Scorer) -> list[float | str | None]:
    """Return numbers, texts, and None where a value is left empty."""
    if faults := _faults(pairs, scorer):
        raise _invalid_row(faults)
    given = dict(pairs)
    return [_value(given[name], feature) for name, feature in scorer.described.items()]


def _value(text: str, feature: Feature) -> float | str | None:
    if not text:
        return None
    return float(text) if feature.kind == "number" else text


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
    times = Counter(name for name, _ in pairs)
    given = dict(pairs)
    found: dict[str, str] = {}
    for name, count in times.items():
        if name not in scorer.described:
            found[name] = f"{name!r} is not a feature of the model."
        elif count > 1:
            found[name] = f"{name!r} must stand once, it stands {count} times."
        elif wrong := _wrong_value(given[name], scorer.described[name]):
            found[name] = f"{name!r} must be {wrong}."
    for name in scorer.features:
        if name not in given:
            found[name] = f"{name!r} must be given, it is left out."
    return [Fault(parameter=name, detail=detail) for name, detail in found.items()]


def _wrong_value(text: str, feature: Feature) -> str | None:
    """Return what a value must be and is not."""
    if not text:
        wanted = "a finite decimal number" if feature.kind == "number" else "text"
        return None if feature.missing else f"{wanted}, it is empty"
    if feature.kind == "text" or _is_number(text):
        return None
    return f"a finite decimal number, it is {text[:64]!r}"


def _is_number(text: str) -> bool:
    try:
        return not text.strip(_NUMBER_CHARACTERS) and math.isfinite(float(text))
    except ValueError:
        return False
