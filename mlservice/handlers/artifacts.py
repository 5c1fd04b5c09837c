"""Stored models, as files that other programs and other services read."""

import asyncio
import hashlib

from aiohttp import web

from mlservice.errors import Fault, InvalidParameter
from mlservice.export import FORMATS
from mlservice.model import decode
from mlservice.wire import MODELS, named_model

MEDIA_TYPE = "application/vnd.mlservice.model+msgpack"


async def download(request: web.Request) -> web.Response:
    """Return a model's stored form, the file that `mlservice.load` reads."""
    model_id = await named_model(request)
    artifact = await request.app[MODELS].load(model_id)
    # A stored model never changes: its digest names it for ever.
    etag = f'"{hashlib.sha256(artifact).hexdigest()}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f'attachment; filename="{model_id}.model"',
    }
    if etag in request.headers.get("If-None-Match", "").split(", "):
        return web.Response(status=304, headers=headers)
    return web.Response(body=artifact, headers=headers, content_type=MEDIA_TYPE)


async def export(request: web.Request) -> web.Response:
    """Return a model as JSON, Python or SQL that needs nothing of this service."""
    chosen = request.query.get("format", "")
    if chosen not in FORMATS or len(request.query) > 1:
        detail = f"The one parameter must be format={'|'.join(FORMATS)}, it is {chosen[:64]!r}."
        raise InvalidParameter(detail, errors=[Fault(parameter="format", detail=detail)])
    write, media_type, ending = FORMATS[chosen]
    model_id = await named_model(request)
    artifact = await request.app[MODELS].load(model_id)
    # A model may have millions of coefficients to write.
    text = await asyncio.to_thread(lambda: write(decode(artifact)))
    headers = {"Content-Disposition": f'attachment; filename="{model_id}.{ending}"'}
    return web.Response(text=text, headers=headers, content_type=media_type)
