"""Stored models, as files that other programs and other services read."""

import hashlib

from aiohttp import web

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
