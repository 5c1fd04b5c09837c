"""Predictions of tables: a body that is read whole, answered in the media type that is accepted."""

import asyncio
from collections.abc import Callable
from time import perf_counter

import numpy as np
from aiohttp import web

from mlservice.cache import CACHE
from mlservice.errors import ClientProblem, NotAcceptable
from mlservice.limits import check_size
from mlservice.negotiation import negotiated
from mlservice.predicting.answer import Answer, answer, form_of
from mlservice.predicting.atonce import MOST_BYTES, predict_at_once
from mlservice.predicting.documents import in_arrow, in_json, in_msgpack
from mlservice.predicting.lines import Writer
from mlservice.predicting.matching import Wanted, warnings_of
from mlservice.predicting.question import MEDIA_TYPES, read_question
from mlservice.predicting.unseen import Novelty
from mlservice.preparation import Columns
from mlservice.query import read_query
from mlservice.reply import Reply
from mlservice.schemas import TableWarning
from mlservice.scoring import Scorer
from mlservice.sent import ARROW, CSV, FORM, JSON, MSGPACK, NDJSON, PARQUET, Sent
from mlservice.settings import Settings
from mlservice.shortcut import at_hand
from mlservice.streaming import LINES, predict_lines
from mlservice.wire import (
    SETTINGS,
    body_at_hand,
    caller,
    check_media_type,
    named_model,
    read_whole,
)

ANYTHING = "*/*"
ANSWERED = (JSON, CSV, NDJSON, MSGPACK, ARROW)
# What takes longer than handing it to a thread and back, some 0.1 ms, is handed over.
_SMALL_BYTES = 1 << 13
# Their size says nothing of what they decode to.
_COMPACT = {PARQUET, ARROW, FORM}


def predict_small(request: web.Request, body: bytes) -> Reply | None:
    """Predict a few rows if the body is plain JSON of such, and the model is at hand."""
    limits = request.app[SETTINGS]
    if not _is_small(request, limits) or not (found := at_hand(request)):
        return None
    written = predict_at_once(*found, body, limits.prediction_cells)
    return Reply(written) if written else None


async def predict_table(request: web.Request) -> web.StreamResponse:
    """Predict the classes of a table's rows."""
    limits = request.app[SETTINGS]
    if _is_small(request, limits):
        # Its size is known already.
        body = body_at_hand(request) or await read_whole(request, "prediction_body_bytes")
        model_id, scorer = await _model(request)
        if written := predict_at_once(model_id, scorer, body, limits.prediction_cells):
            return Reply(written)
        return await _whole(request, JSON, JSON, body)
    check_media_type(request, *MEDIA_TYPES)
    sent_as = request.content_type if "Content-Type" in request.headers else JSON
    answered_as = _answered_as(request, sent_as)
    if {sent_as, answered_as} <= LINES.keys():
        _, scorer = await _model(request)
        query = read_query(request.rel_url.raw_query_string)
        return await predict_lines(request, scorer, query, sent_as, answered_as)
    return await _whole(request, sent_as, answered_as, None)


def _is_small(request: web.Request, limits: Settings) -> bool:
    """Tell whether a request is JSON, small, and asks for nothing in particular."""
    headers = request.headers
    return (
        headers.get("Content-Type") == JSON
        and 0 < (request.content_length or 0) <= min(MOST_BYTES, limits.prediction_body_bytes)
        and headers.get("Accept", ANYTHING) == ANYTHING
        and "Content-Encoding" not in headers
        and not request.rel_url.raw_query_string
    )


async def _model(request: web.Request) -> tuple[str, Scorer]:
    model_id = await named_model(request)
    return model_id, await request.app[CACHE].get(model_id, caller(request).models)


async def _whole(
    request: web.Request, sent_as: str, answered_as: str, body: bytes | bytearray | None
) -> web.Response:
    """Answer a body that is read whole."""
    model_id, scorer = await _model(request)
    query = read_query(request.rel_url.raw_query_string)
    whole = body or await read_whole(request, "prediction_body_bytes")
    sent = Sent(media_type=sent_as, options=query, body=whole)
    limits, begun = request.app[SETTINGS], perf_counter()
    try:
        if len(whole) < _SMALL_BYTES and sent_as not in _COMPACT:
            written, by_class = _predict(sent, scorer, model_id, answered_as, limits)
        else:
            written, by_class = await asyncio.to_thread(
                _predict, sent, scorer, model_id, answered_as, limits
            )
    except ClientProblem:
        scorer.counts.errors += 1
        raise
    scorer.counts.add_rows(by_class, begun)
    return web.Response(body=written, content_type=answered_as)


def _answered_as(request: web.Request, sent_as: str) -> str:
    """Return the media type of the answer: the body's, where nothing else is asked for."""
    first = sent_as if sent_as in ANSWERED else JSON
    offers = [first, *(each for each in ANSWERED if each != first)]
    # Lines of one header are one list (RFC 9110, section 5.3).
    return negotiated(", ".join(request.headers.getall("Accept", ())), offers)


def _predict(
    sent: Sent, scorer: Scorer, model_id: str, answered_as: str, limits: Settings
) -> tuple[bytes, list[int]]:
    """Read, match, score and write: all that takes as long as the table is large."""
    features = scorer.table.preparation.features
    question = read_question(sent, Wanted(features=features, target=scorer.target), limits)
    form = form_of(scorer, question.options)
    if form.options.explain and answered_as not in (JSON, NDJSON):
        raise NotAcceptable(f"Explanations must be {JSON} or {NDJSON}, not {answered_as}.")
    cells = question.rows * form.cells_of_row
    check_size("numbers in an answer", cells, "prediction_cells", limits)
    scored = scorer.table.score(question.columns)
    told = answer(form, scored, question.columns)
    by_class = np.bincount(told.positions, minlength=len(scorer.labels)).tolist()
    if writer := LINES.get(answered_as):
        return _in_lines(writer, told, question.columns), by_class
    warnings = warnings_of(question.columns, features, scorer.profile)
    return _WRITERS[answered_as](model_id, told, warnings), by_class


def _in_lines(writer: Writer, told: Answer, columns: Columns) -> bytes:
    scorer = told.form.scorer
    unseen = Novelty(scorer).by_row(columns, scorer.table.outside(columns))
    return writer.header(told.form) + b"\n".join([*writer.rows(told, unseen), b""])


_WRITERS: dict[str, Callable[[str, Answer, list[TableWarning]], bytes]] = {
    JSON: in_json,
    MSGPACK: in_msgpack,
    ARROW: in_arrow,
}
