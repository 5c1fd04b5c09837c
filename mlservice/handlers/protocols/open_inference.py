"""The Open Inference Protocol's inference, by which Triton, KServe and MLServer are asked too."""

from time import perf_counter

from aiohttp import web
from aiohttp.hdrs import ACCEPT_ENCODING, CONTENT_ENCODING

from mlservice.handlers.protocols.coding import LEAST_BYTES, coded
from mlservice.handlers.protocols.naming import asked_version, versioned_scorer
from mlservice.handlers.protocols.working import worked
from mlservice.inferring import Named, infer, infer_row
from mlservice.instances import THREAD_BYTES
from mlservice.reply import Reply
from mlservice.shortcut import at_hand
from mlservice.tensors import HEADER_LENGTH, read_request
from mlservice.wire import SETTINGS, check_coding, read_whole

OCTETS = "application/octet-stream"


def predict_at_once(request: web.Request, body: bytes) -> Reply | None:
    """Predict the one row of a plain request if the model is at hand."""
    headers, begun = request.headers, perf_counter()
    is_plain = HEADER_LENGTH not in headers and CONTENT_ENCODING not in headers
    if not is_plain or not (model := at_hand(request)):
        return None
    _, scorer = model
    found = infer_row(scorer, Named(request.match_info["id"]), read_request(body))
    if found is None or (len(found.body) >= LEAST_BYTES and ACCEPT_ENCODING in headers):
        return None
    if scorer.counts.watch:
        scorer.counts.watch.see(found.row)
    scorer.counts.add_row(found.best, begun)
    return Reply(found.body + b"\n")


async def predict(request: web.Request) -> web.Response:
    """Predict rows: tensors in, tensors out, as JSON or as bytes."""
    scorer = await versioned_scorer(request)
    check_coding(request)
    body = await read_whole(request, "prediction_body_bytes")
    named = Named(request.match_info["id"], asked_version(request))
    asked = (scorer, named, body, request.headers.get(HEADER_LENGTH), request.app[SETTINGS])
    answered = await worked(scorer, infer, asked, beside=len(body) >= THREAD_BYTES)
    if answered.json_bytes is None:
        return await coded(request, answered.body)
    headers = {HEADER_LENGTH: str(answered.json_bytes)}
    return await coded(request, answered.body, OCTETS, headers)
