"""The Open Inference Protocol's inference, by which Triton, KServe and MLServer are asked too."""

from aiohttp import web

from mlservice.handlers.protocols.coding import coded
from mlservice.handlers.protocols.naming import asked_version, at_hand, versioned_scorer
from mlservice.handlers.protocols.working import worked
from mlservice.inferring import Named, infer
from mlservice.instances import THREAD_BYTES
from mlservice.tensors import HEADER_LENGTH
from mlservice.wire import SETTINGS, check_coding, read_whole

OCTETS = "application/octet-stream"


async def predict(request: web.Request) -> web.Response:
    """Predict rows: tensors in, tensors out, as JSON or as bytes."""
    scorer = at_hand(request) or await versioned_scorer(request)
    check_coding(request)
    body = await read_whole(request, "prediction_body_bytes")
    named = Named(request.match_info["id"], asked_version(request))
    asked = (scorer, named, body, request.headers.get(HEADER_LENGTH), request.app[SETTINGS])
    answered = await worked(scorer, infer, asked, beside=len(body) >= THREAD_BYTES)
    if answered.json_bytes is None:
        return await coded(request, answered.body)
    headers = {HEADER_LENGTH: str(answered.json_bytes)}
    return await coded(request, answered.body, OCTETS, headers)
