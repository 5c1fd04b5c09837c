"""Follow a training by Server-Sent Events."""

import contextlib
import re
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from mlservice import logs
from mlservice.errors import ModelNotFound, StoreUnavailable
from mlservice.reply import REQUEST_ID
from mlservice.store import Event, Record
from mlservice.store.changes import READ_AGAIN_S, pause
from mlservice.wire import CHANGES, caller, named_model

PING_S = 15
SEND_TIMEOUT_S = 30
RECONNECT_MS = 1000

_event_id = re.compile(r"([0-9]{1,18})-[0-9]{1,18}").fullmatch


async def events(request: web.Request) -> web.StreamResponse:
    """Follow a model's training as Server-Sent Events, until it has ended."""
    record = await caller(request).models.record(await named_model(request))
    headers = {REQUEST_ID: logs.request_id.get()}
    if request.method == "HEAD":
        return web.Response(headers=headers, content_type="text/event-stream")
    after = request.headers.get("Last-Event-ID", "")
    if not _event_id(after):
        after = ""
    elif record.has_ended and not await _is_more(request, record, after):
        # What a browser takes as the end; after 200 it would connect again for ever.
        return web.Response(status=204)
    async with sse_response(
        request, headers=headers, ping_interval=PING_S, send_timeout=SEND_TIMEOUT_S
    ) as response:
        # A reader that has gone is no failure.
        with contextlib.suppress(ConnectionError, TimeoutError):
            await _send(request, response, record.id, after)
    return response


async def _is_more(request: web.Request, record: Record, after: str) -> bool:
    """Tell whether a reader that comes back has not seen the end."""
    if await request.app[CHANGES].events(record.id, after):
        return True
    return int(after.partition("-")[0]) < (record.finished_ms or 0)


async def _send(
    request: web.Request, response: EventSourceResponse, model_id: str, after: str
) -> None:
    async for event in _events(request, model_id, after):
        await response.send(event.data.decode(), id=event.id, event=event.kind)
    if request.app[CHANGES].is_closed:
        # Another process, or this one's successor, has the rest.
        await response.write(f"retry: {RECONNECT_MS}\r\n\r\n".encode())


async def _events(request: web.Request, model_id: str, after: str) -> AsyncIterator[Event]:
    """Yield events until the last state, and end early when the reader or the process does."""
    changes = request.app[CHANGES]
    with changes.watch(model_id) as changed:
        while not changes.is_closed and not _has_gone(request):
            found: list[Event] = []
            try:
                found = await changes.events(model_id, after) or await _last(
                    request, model_id, after
                )
            except ModelNotFound:
                return
            except StoreUnavailable:
                pass  # It is asked again.
            for event in found:
                yield event
                after = event.id
                if event.is_last:
                    return
            if not found:
                await pause(changed, READ_AGAIN_S)


async def _last(request: web.Request, model_id: str, after: str) -> list[Event]:
    """Return the last state of a model that has ended, and whose events have expired."""
    record = await caller(request).models.record(model_id)
    if not record.has_ended:
        return []
    # Asked again, since it may have ended between the two readings.
    return await request.app[CHANGES].events(model_id, after) or [Event.of_end(record)]


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
