"""MLflow's scoring server: invocations of a model, and its version."""

from aiohttp import web

from mlservice import __version__
from mlservice.errors import UnsupportedMediaType
from mlservice.handlers.protocols.coding import coded
from mlservice.handlers.protocols.naming import scorer_of, versioned_scorer
from mlservice.handlers.protocols.working import worked
from mlservice.instances import THREAD_BYTES
from mlservice.scoring import Scorer
from mlservice.scoring_server import MEDIA_TYPES, invoked
from mlservice.sent import JSON, PARQUET
from mlservice.wire import SETTINGS, check_media_type, read_whole

# The model that is asked where the path names none.
ALIAS = "default"
_UTF8 = {"utf-8", "utf8"}


async def invoke_default(request: web.Request) -> web.Response:
    """Predict the classes of rows by the model of the alias `default`."""
    return await _invoke(request, await scorer_of(request, ALIAS))


async def invoke(request: web.Request) -> web.Response:
    """Predict the classes of rows in the forms of MLflow's scoring server."""
    return await _invoke(request, await versioned_scorer(request))


async def version(_: web.Request) -> web.Response:
    """Tell the version of this service, bare."""
    return web.Response(text=__version__)


async def _invoke(request: web.Request, scorer: Scorer) -> web.Response:
    media_type = _media_type(request)
    body = await read_whole(request, "prediction_body_bytes")
    asked = (scorer, body, media_type, request.app[SETTINGS])
    # The size of Parquet says nothing of what it decodes to.
    beside = len(body) >= THREAD_BYTES or media_type == PARQUET
    return await coded(request, await worked(scorer, invoked, asked, beside=beside))


def _media_type(request: web.Request) -> str:
    """Return what the body is, JSON if nothing says so.

    Raises
    ------
    UnsupportedMediaType
        If it is none of MLflow's, or has a parameter beside a charset of UTF-8.
    """
    check_media_type(request, *MEDIA_TYPES)
    if "Content-Type" not in request.headers:
        return JSON
    _, *parameters = request.headers["Content-Type"].lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name != "charset" or value.strip('"') not in _UTF8:
            raise UnsupportedMediaType(
                "Content-Type must have no parameter but charset=utf-8, "
                f"it has {parameter.strip()[:64]!r}."
            )
    return request.content_type
