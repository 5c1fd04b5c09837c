"""Stored models, as files that other programs and other services read."""

import asyncio
import hashlib
import uuid

import msgspec
from aiohttp import web

from mlservice import imported
from mlservice.errors import Fault, InvalidParameter
from mlservice.export import FORMATS
from mlservice.idempotency import read_once
from mlservice.model import MEDIA_TYPE, decode
from mlservice.query import read_query
from mlservice.settings import Settings
from mlservice.validators import has_already
from mlservice.wire import (
    SETTINGS,
    caller,
    check_media_type,
    named_model,
    read_pieces,
    respond,
)

MOST_NAME = 200


async def download(request: web.Request) -> web.Response:
    """Return a model's stored form, the file that `mlservice.load` reads."""
    model_id = await named_model(request)
    artifact = await caller(request).models.load(model_id)
    # A stored model never changes: its digest names it for ever.
    etag = f'"{hashlib.sha256(artifact).hexdigest()}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f'attachment; filename="{model_id}.model"',
    }
    if has_already(request, etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=artifact, headers=headers, content_type=MEDIA_TYPE)


async def upload(request: web.Request) -> web.Response:
    """Store a model that was trained elsewhere, from the file that its service gave."""
    check_media_type(request, MEDIA_TYPE)
    name = _name(request)
    once = read_once(request)
    pieces = [piece async for piece in read_pieces(request, "model_bytes")]
    for piece in pieces:
        once.add(piece)
    artifact = b"".join(pieces)
    # A model may have millions of coefficients to check and to write.
    description = await asyncio.to_thread(_describe, artifact, request.app[SETTINGS])
    model_id = str(uuid.uuid4())
    record = await caller(request).models.add(
        model_id, name=name, description=description, artifact=artifact, once=once
    )
    headers = {"Location": f"/models/{record.id}"}
    if record.id != model_id:
        headers["Idempotency-Replayed"] = "true"
    return respond(record.document(), status=201, headers=headers)


def _describe(artifact: bytes, limits: Settings) -> bytes:
    return msgspec.json.encode(imported.describe(artifact, limits))


def _name(request: web.Request) -> str | None:
    """Read the one option of an import, which stands in the query."""
    query = read_query(request.rel_url.raw_query_string)
    if not query:
        return None
    [(parameter, name), *more] = query
    if more or parameter != "name" or not 1 <= len(name) <= MOST_NAME:
        detail = f"The one parameter of an import is name, 1 to {MOST_NAME} characters."
        raise InvalidParameter(detail, errors=[Fault(parameter=parameter, detail=detail)])
    return name


async def export(request: web.Request) -> web.Response:
    """Return a model as JSON, Python, SQL or ONNX that needs nothing of this service."""
    write, media_type, ending = FORMATS[_format(request)]
    model_id = await named_model(request)
    artifact = await caller(request).models.load(model_id)
    # A model may have millions of coefficients to write.
    written = await asyncio.to_thread(lambda: write(decode(artifact)))
    headers = {"Content-Disposition": f'attachment; filename="{model_id}.{ending}"'}
    if isinstance(written, bytes):
        return web.Response(body=written, headers=headers, content_type=media_type)
    return web.Response(text=written, headers=headers, content_type=media_type)


def _format(request: web.Request) -> str:
    """Read the one option of an export."""
    query = read_query(request.rel_url.raw_query_string)
    if len(query) == 1 and query[0][0] == "format" and query[0][1] in FORMATS:
        return query[0][1]
    was = "&".join("=".join(pair) for pair in query)[:64]
    detail = f"The one parameter must be format={'|'.join(FORMATS)}, it is {was!r}."
    wrong = next((name for name, _ in query if name != "format"), "format")
    raise InvalidParameter(detail, errors=[Fault(parameter=wrong, detail=detail)])
