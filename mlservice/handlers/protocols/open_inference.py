"""The Open Inference Protocol's inference, by which Triton, KServe and MLServer are asked too."""

import asyncio
import time

from aiohttp import web

from mlservice.handlers.protocols.coding import compress
from mlservice.handlers.protocols.naming import asked_version, versioned_scorer
from mlservice.handlers.protocols.tally import TALLY
from mlservice.inferring import Answered, Named, infer
from mlservice.tensors import HEADER_LENGTH
from mlservice.wire import JSON, SETTINGS, caller, check_coding, read_whole

OCTETS = "application/octet-stream"
# Below, a thread costs more than it spares the other requests.
_ON_THE_LOOP = 64 * 1024


async def predict(request: web.Request) -> web.Response:
    """Predict rows: tensors in, tensors out, as JSON or as bytes."""
    model_id, scorer = await versioned_scorer(request)
    check_coding(request)
    body = await read_whole(request, "prediction_body_bytes")
    count, begun_ns, rows = (
        request.app[TALLY].of(caller(request).name, model_id),
        time.perf_counter_ns(),
        0,
    )
    named = Named(request.match_info["id"], asked_version(request))
    limits = request.app[SETTINGS]
    length = request.headers.get(HEADER_LENGTH)
    try:
        if len(body) < _ON_THE_LOOP:
            answered = infer(scorer, named, body, length, limits)
        else:
            answered = await asyncio.to_thread(infer, scorer, named, body, length, limits)
        rows = answered.rows
    finally:
        count.add(rows, begun_ns)
    response = _response(answered)
    if accept := request.headers.get("Accept-Encoding"):
        await compress(response, accept)
    return response


def _response(answered: Answered) -> web.Response:
    if answered.json_bytes is None:
        return web.Response(body=answered.body, content_type=JSON)
    headers = {HEADER_LENGTH: str(answered.json_bytes)}
    return web.Response(body=answered.body, headers=headers, content_type=OCTETS)
