"""Health, the OpenAPI document, the problems' pages, and the index."""

import html
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from mlservice import __version__
from mlservice.catalogue import catalogue
from mlservice.errors import NotFound, StoreUnavailable, explanation, problems
from mlservice.schemas import Index, Liveness, Readiness
from mlservice.wire import CHECKUP, TRAININGS, respond


@dataclass
class Vitals:
    """What a process knows of its own health."""

    reached_store: bool = False
    draining: bool = False


VITALS = web.AppKey("vitals", Vitals)
DOCUMENT = web.AppKey("document", dict[str, Any])


async def live(_: web.Request) -> web.Response:
    """Tell that the process answers."""
    return respond(Liveness())


async def ready(request: web.Request) -> web.Response:
    """Tell whether the process can predict; with `for=training`, whether it can train too."""
    vitals = request.app[VITALS]
    workers, risks = 0, []
    try:
        workers = await request.app[TRAININGS].workers()
        risks = await request.app[CHECKUP].risks()
    except StoreUnavailable:
        store = False
    else:
        store = vitals.reached_store = True
    is_ready = vitals.reached_store and not vitals.draining
    if request.query.get("for") == "training":
        is_ready = is_ready and store and workers > 0 and not risks
    told = [f"{risk.name}: {risk.detail}" for risk in risks]
    body = Readiness(live=True, ready=is_ready, store=store, workers=workers, risks=told)
    return respond(body, status=200 if is_ready else 503)


async def openapi(request: web.Request) -> web.Response:
    """Describe every route as an OpenAPI 3.1 document."""
    return respond(request.app[DOCUMENT])


_CATALOGUE = catalogue()


async def params(_: web.Request) -> web.Response:
    """List the parameters of a fit: type, default, range, solvers, and what each is for."""
    return respond(_CATALOGUE)


async def problem_page(request: web.Request) -> web.Response:
    """Explain a problem type in words."""
    slug = request.match_info["slug"]
    for kind in problems():
        if kind.slug == slug:
            text = f"{kind.title} ({kind.status})\n\n{explanation(kind)}\n"
            if "text/html" not in request.headers.get("Accept", ""):
                return web.Response(text=text)
            return web.Response(text=_page(text), content_type="text/html", headers=_PAGE)
    raise NotFound(f"There must be a problem type {slug[:64]!r}, there is none.")


# A page of words: nothing in it is run, fetched, sent or framed.
_PAGE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def _page(text: str) -> str:
    title, _, rest = text.partition("\n\n")
    paragraphs = "".join(f"<p>{html.escape(part)}</p>" for part in rest.split("\n\n"))
    heading = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
        f"<h1>{heading}</h1>{paragraphs}</html>\n"
    )


async def index(_: web.Request) -> web.Response:
    """Say what this is and where to look."""
    links = {
        "models": "/models",
        "docs": "/docs",
        "openapi": "/openapi.json",
        "health": "/health/ready",
    }
    return respond(Index(status="alive", name="mlservice", version=__version__, links=links))
