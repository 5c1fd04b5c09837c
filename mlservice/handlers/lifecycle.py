"""Train, describe, cancel and delete models."""

import asyncio
import contextlib
import uuid
from dataclasses import replace
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET

from mlservice import model
from mlservice.cache import CACHE
from mlservice.errors import (
    DryRunTooLarge,
    Fault,
    InvalidParameter,
    ModelNotFound,
    ModelNotReady,
    UnsupportedMediaType,
)
from mlservice.estimate import memory_of
from mlservice.idempotency import read_once
from mlservice.intake import MEDIA_TYPES, check_early, check_options
from mlservice.multipart import boundary_of
from mlservice.parent import MEMBER, Parent, open_parent, unusable
from mlservice.points import count_fits
from mlservice.query import read_query
from mlservice.schemas import Description, DryRun, TrainingRequest
from mlservice.sent import FORM, Sent
from mlservice.store import PIECE_BYTES, Models, Record
from mlservice.validators import has_already, validating
from mlservice.wire import (
    CHANGES,
    JSON,
    SETTINGS,
    TRAININGS,
    applied,
    caller,
    check_media_type,
    named_model,
    preferred_wait,
    read_ahead,
    read_pieces,
    respond,
)

DRY_RUN = "dry_run"
# A smaller body takes less than 50 ms to read.
_LARGE_BYTES = 8 * PIECE_BYTES


async def train(request: web.Request) -> web.Response:
    """Queue a training and answer with its model's id."""
    check_media_type(request, *MEDIA_TYPES, model.MEDIA_TYPE)
    models = caller(request).models
    model_id = str(uuid.uuid4())
    once = read_once(request)
    pieces = read_pieces(request, "training_body_bytes")
    sent = _sent(request, await anext(pieces, b""))
    asked, description = None, Description()
    if len(sent.body) < PIECE_BYTES:
        # Of 1 MiB this takes 20 to 35 ms, which other requests need not wait for.
        asked, description = await asyncio.to_thread(check_early, sent, request.app[SETTINGS])
    # An empty name is none, in this answer as in later ones.
    name = asked.name or None if asked else None
    sent, description = await _with_parent(request, sent, asked, description)
    if _is_dry(request):
        return _tell(sent, name, description)
    # A larger body is checked by its worker: parsing it here would stall other requests.
    if sent.media_type == FORM:
        once.leave_out(boundary_of(sent.body))
    once.add(sent.body)
    header = sent.header()
    body_bytes = len(header) + len(sent.body)
    rest = await _append(models, model_id, header + sent.body)
    await _announce(request, models, model_id, len(header))
    async with contextlib.aclosing(read_ahead(pieces)) as coming:
        async for piece in coming:
            once.add(piece)
            body_bytes += len(piece)
            if rest:
                await models.append(model_id, rest)
            rest = await _append(models, model_id, piece)
    record = await models.create(
        model_id,
        name=name,
        description=msgspec.json.encode(description),
        piece=rest,
        appended_bytes=body_bytes - len(rest),
        once=once,
    )
    replayed = {} if record.id == model_id else {"Idempotency-Replayed": "true"}
    return await _created(request, record, replayed)


async def _append(models: Models, model_id: str, body: bytes) -> bytes:
    """Put whole pieces into the store, and return what is left."""
    whole = len(body) - len(body) % PIECE_BYTES
    for begin in range(0, whole, PIECE_BYTES):
        await models.append(model_id, body[begin : begin + PIECE_BYTES])
    return body[whole:]


async def _announce(request: web.Request, models: Models, model_id: str, header_bytes: int) -> None:
    """Tell a worker of a large body, which it may read while the rest of it comes."""
    size = request.content_length or 0
    if size >= _LARGE_BYTES and "Content-Encoding" not in request.headers:
        await models.announce(model_id, header_bytes + size)


async def _with_parent(
    request: web.Request, sent: Sent, asked: TrainingRequest | None, description: Description
) -> tuple[Sent, Description]:
    """Add the model that the fit starts from, as it is now: it may be gone when the fit begins."""
    name = _parent_name(request, asked)
    if name is None:
        return sent, description
    try:
        model_id = await caller(request).aliases.resolve(name)
        parent = Parent(id=model_id, file=await caller(request).models.load(model_id))
    except (ModelNotFound, ModelNotReady) as problem:
        raise unusable(problem) from problem
    features, classes = description.features, description.classes
    if features is not None and classes is not None:
        await asyncio.to_thread(open_parent, parent, features, classes, _solvers(description))
    described = msgspec.structs.replace(description, provenance={"parent": model_id})
    return replace(sent, parent=parent), described


def _solvers(description: Description) -> set[str]:
    """Return the solvers that may make the fit, as far as they were named."""
    asked = description.search.asked.solver if description.search else UNSET
    named = set() if asked is UNSET else set(asked)
    return named | {(description.params or {}).get("solver", "")}


def _parent_name(request: web.Request, asked: TrainingRequest | None) -> str | None:
    """Return what `warm_start_from` says, in the query whatever the body is, or in the body."""
    named = {asked.warm_start_from} if asked and asked.warm_start_from is not None else set()
    if MEMBER in request.rel_url.raw_query_string:
        query = read_query(request.rel_url.raw_query_string)
        named |= {text for name, text in query if name == MEMBER}
    if len(named) > 1:
        detail = f"{MEMBER} must name one model, it names {len(named)}."
        raise InvalidParameter(detail, errors=[Fault(parameter=MEMBER, detail=detail)])
    return next(iter(named), None)


def _is_dry(request: web.Request) -> bool:
    """Read `dry_run`, which stands in the query whatever the body is."""
    if DRY_RUN not in request.rel_url.raw_query_string:
        return False
    query = read_query(request.rel_url.raw_query_string)
    said = {text for name, text in query if name == DRY_RUN}
    if said not in ({"true"}, {"false"}, set()):
        detail = f"dry_run must be true or false, it is {' and '.join(sorted(said))[:64]!r}."
        raise InvalidParameter(detail, errors=[Fault(parameter=DRY_RUN, detail=detail)])
    return "true" in said


def _tell(sent: Sent, name: str | None, description: Description) -> web.Response:
    """Answer a dry run with what was checked."""
    if len(sent.body) >= PIECE_BYTES:
        raise DryRunTooLarge(f"A dry run must have less than {PIECE_BYTES} bytes, it has more.")
    if description.rows is None:
        raise UnsupportedMediaType("A dry run must be JSON or text, workers read what this is.")
    told: dict[str, Any] = {
        field: getattr(description, field, None) for field in DryRun.__struct_fields__
    }
    told |= {"name": name, "memory_bytes": memory_of(description, len(sent.body))}
    told |= {"fits": count_fits(description)}
    return respond(DryRun(**told))


async def _created(request: web.Request, record: Record, replayed: dict[str, str]) -> web.Response:
    """Answer with a new training: at once, or when it has ended if that is preferred."""
    wait_s = preferred_wait(request)
    if wait_s is not None:
        record = await request.app[CHANGES].until_ended(record, wait_s)
    headers = {"Location": f"/models/{record.id}", **applied(wait_s), **replayed}
    return respond(record.document(), status=201 if record.has_ended else 202, headers=headers)


def _sent(request: web.Request, first: bytes) -> Sent:
    """Return what was sent, as far as it is there, its options checked."""
    query = read_query(request.rel_url.raw_query_string)
    if "Content-Type" not in request.headers or request.content_type == JSON:
        _check_nothing_else(query)
        return Sent(body=first)
    options = [(name, text) for name, text in query if name != DRY_RUN]
    sent = Sent(media_type=request.content_type, options=options, body=first)
    check_options(sent)
    return sent


def _check_nothing_else(query: list[tuple[str, str]]) -> None:
    """Refuse options in the query of a body of JSON, where nobody would read them."""
    for name, _ in query:
        if name not in (DRY_RUN, MEMBER):
            detail = f"{name[:64]} must stand in the body, which is JSON; it is in the query."
            raise InvalidParameter(detail, errors=[Fault(parameter=name, detail=detail)])


async def describe(request: web.Request) -> web.Response:
    """Describe a model: what was asked for, how far it is, and what was learnt."""
    models, model_id = caller(request).models, await named_model(request)
    record = await models.record(model_id)
    if await request.app[TRAININGS].look_after(record):
        record = await models.record(model_id)
    wait_s = preferred_wait(request)
    if wait_s is not None:
        record = await request.app[CHANGES].until_ended(record, wait_s)
    document = record.document()
    headers = validating(document) | applied(wait_s)
    if has_already(request, headers["ETag"]):
        return web.Response(status=304, headers=headers)
    return respond(document, headers=headers)


async def cancel(request: web.Request) -> web.Response:
    """Cancel a training, queued or under way."""
    record = await caller(request).models.cancel(await named_model(request))
    return respond(record.document(), status=202)


async def delete(request: web.Request) -> web.Response:
    """Delete a model; a training of it stops."""
    model_id = await named_model(request)
    await caller(request).models.delete(model_id)
    request.app[CACHE].drop(model_id, caller(request).models)
    return web.Response(status=204)
