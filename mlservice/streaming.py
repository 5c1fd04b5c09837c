"""Predictions of lines, CSV and NDJSON, streamed in both directions in constant memory.

Each row is answered as soon as it is there, and no more of the body is read than
the client takes of the answer.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from time import perf_counter

from aiohttp import web

from mlservice import logs
from mlservice.counts import ModelCounts
from mlservice.errors import ClientProblem, MalformedRequest, NotAcceptable
from mlservice.intake import delimiter_of
from mlservice.predicting.answer import Form, form_of
from mlservice.predicting.lines import CSV_LINES, NDJSON_LINES, Writer
from mlservice.predicting.matching import Wanted
from mlservice.predicting.options import read_options
from mlservice.predicting.question import own
from mlservice.predicting.rows import CsvReader, NdjsonReader, RowReader
from mlservice.predicting.stream import Transformer
from mlservice.reply import REQUEST_ID
from mlservice.scoring import Scorer
from mlservice.sent import CSV, NDJSON
from mlservice.wire import SETTINGS, content_of

logger = logging.getLogger(__name__)

LINES: dict[str, Writer] = {CSV: CSV_LINES, NDJSON: NDJSON_LINES}
# Many clients read nothing until they have sent everything: of a quarter of a million
# rows the answer waits for them here, of more they are waited for.
_KEPT_BYTES = 8 << 20
# What takes longer than handing it to a thread and back, some 0.1 ms, is handed over.
_SMALL_BYTES = 1 << 13


async def predict_lines(
    request: web.Request,
    scorer: Scorer,
    query: Sequence[tuple[str, str]],
    sent_as: str,
    answered_as: str,
) -> web.StreamResponse:
    """Predict rows as they come, and answer them as they are predicted.

    Raises
    ------
    ClientProblem
        If an option, or what stands above the rows, is wrong: before the answer begins.
    """
    form = form_of(scorer, read_options(own(query), {}))
    if form.options.explain and answered_as != NDJSON:
        raise NotAcceptable(f"Explanations must be {NDJSON} here, not {answered_as}.")
    wanted = Wanted(features=scorer.table.preparation.features, target=scorer.target)
    reader = _reader(sent_as, query, wanted, form)
    machine = Transformer(reader, LINES[answered_as], form, wanted)
    stream = _Stream(request, machine, scorer.counts)
    first = await stream.begin()
    response = web.StreamResponse(headers={REQUEST_ID: logs.request_id.get()})
    response.content_type = answered_as
    if answered_as == CSV:
        response.charset = "utf-8"
    await response.prepare(request)
    stream.keep(_KEPT_BYTES)
    try:
        await stream.answer(response, first)
    except (TimeoutError, web.RequestPayloadError, ConnectionError) as error:
        logger.info("a streamed prediction was broken off: %s", type(error).__name__)
    finally:
        stream.close()
    return response


def _reader(
    sent_as: str, query: Sequence[tuple[str, str]], wanted: Wanted, form: Form
) -> RowReader:
    if sent_as == NDJSON:
        return NdjsonReader()
    ignores_extra = form.options.extra == "ignore"
    return CsvReader(wanted, delimiter_of(query), ignores_extra=ignores_extra)


class _Stream:
    """A body under way, and the answer to it."""

    def __init__(self, request: web.Request, transformer: Transformer, counts: ModelCounts) -> None:
        self._request = request
        self._content = content_of(request)
        self._transformer = transformer
        self._counts = counts
        self._worked_s = 0.0
        self._is_whole = False
        self._is_small = True
        self._idle_s = request.app[SETTINGS].prediction_idle_s

    async def begin(self) -> list[bytes]:
        """Read until rows begin, and return the first of the answer."""
        try:
            return await self._begin()
        except ClientProblem:
            self._counts.errors += 1
            raise

    async def _begin(self) -> list[bytes]:
        first: list[bytes] = []
        while not self._transformer.is_open:
            try:
                piece = await self._read()
            except TimeoutError as error:
                raise MalformedRequest("The body must keep coming, it stopped.") from error
            parts = self._feed(piece)
            while (part := await self._next(parts)) is not None:
                first.append(part)
        return first

    async def answer(self, response: web.StreamResponse, first: list[bytes]) -> None:
        """Write what was read at the beginning, and then all the rest."""
        for each in first:
            await self._write(response, each)
        while not self._content.at_eof():
            parts = self._feed(await self._read())
            while (part := await self._next(parts)) is not None:
                await self._write(response, part)
        self._is_whole = True

    def keep(self, most: int | None) -> None:
        """Set how much of the answer may wait for the client; None: as aiohttp has it."""
        if self._request.transport:
            self._request.transport.set_write_buffer_limits(most)

    def close(self) -> None:
        """Close the connection if the answer is not whole.

        The end of the chunks is not sent then, so that no client takes it for all.
        """
        self.keep(None)
        self._counts.durations.add(self._worked_s)
        if not self._is_whole and self._request.transport:
            self._request.transport.abort()

    def _feed(self, piece: bytes) -> Iterator[bytes]:
        is_last = self._content.at_eof()
        self._is_small = len(piece) < _SMALL_BYTES
        return self._transformer.feed(piece, is_last=is_last)

    async def _next(self, parts: Iterator[bytes]) -> bytes | None:
        begun = perf_counter()
        part = next(parts, None) if self._is_small else await asyncio.to_thread(next, parts, None)
        self._worked_s += perf_counter() - begun
        self._counts.add_some(self._transformer.take_counts())
        return part

    async def _read(self) -> bytes:
        async with asyncio.timeout(self._idle_s):
            return await self._content.readany()

    async def _write(self, response: web.StreamResponse, part: bytes) -> None:
        async with asyncio.timeout(self._idle_s):
            await response.write(part)
