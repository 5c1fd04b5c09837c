"""The application: builds its collaborators, and closes them."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator

from aiohttp import web
from threadpoolctl import threadpool_limits

from mlservice import __version__, access, jobs
from mlservice.address import url_of
from mlservice.browsers import BROWSERS, Browsers
from mlservice.cache import CACHE, ModelCache
from mlservice.counts import COUNTS, Counts
from mlservice.handlers.operations import VITALS, Vitals
from mlservice.handlers.protocols.tally import TALLY, Tally
from mlservice.keyring import Keyring
from mlservice.routes import add_routes
from mlservice.server import Runner, allow_connections
from mlservice.settings import Settings
from mlservice.store import (
    Changes,
    Checkup,
    Grants,
    Link,
    Tenants,
    Trainings,
    keep_swept,
    open_redis,
)
from mlservice.store.keys import ANONYMOUS
from mlservice.wire import CALLER, CHANGES, CHECKUP, SETTINGS, TRAININGS

logger = logging.getLogger(__name__)


def create_app(settings: Settings) -> web.Application:
    """Build the service; it reaches for the store when it starts to serve."""
    app = web.Application()
    app[SETTINGS] = settings
    app[BROWSERS] = Browsers(settings)
    app[VITALS] = Vitals()
    app[TALLY] = Tally()
    link = Link(open_redis(settings), settings.store_timeout_s)
    keyring = _admit(app, link)
    app[TRAININGS] = Trainings(link, settings, jobs.entry)
    app[CHANGES] = Changes(link)
    app[CHECKUP] = Checkup(link, settings)
    app[COUNTS] = Counts()
    app[CACHE] = ModelCache(settings.cache_bytes, counts=app[COUNTS])
    add_routes(app, version=__version__)

    async def collaborators(app: web.Application) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(keep_swept(app[TRAININGS], settings))
        listener = asyncio.create_task(app[CHANGES].listen())
        yield
        sweeper.cancel()
        listener.cancel()
        await asyncio.wait([sweeper, listener])
        await keyring.close()
        await app[CACHE].close()
        await link.close()

    async def drain(app: web.Application) -> None:
        app[VITALS].draining = True
        app[CHANGES].close()

    app.cleanup_ctx.append(collaborators)
    app.on_shutdown.append(drain)
    return app


def _admit(app: web.Application, link: Link) -> Keyring:
    """Ask requests for keys, and limit their rates, where the settings say so."""
    settings, grants = app[SETTINGS], Grants(link)
    tenants, keyring = Tenants(link, settings, jobs.entry), Keyring(grants)
    anonymous = tenants.of(ANONYMOUS)
    app[CALLER] = lambda _: anonymous
    if access.is_needed(settings):
        doorkeeper = access.Doorkeeper(keyring, settings)
        identify = doorkeeper.identify if settings.require_keys else access.as_anonymous
        app.middlewares.append(access.admission(identify, access.Limits(settings, grants), tenants))
        app[CALLER] = access.caller
    return keyring


async def serve(settings: Settings, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serve on a socket until `stop` is set, then let requests under way finish."""
    # Two BLAS threads take longer for a table than one, and hold up other requests.
    threadpool_limits(1)
    allow_connections(settings)
    runner = Runner(create_app(settings))
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        logger.info("listening at %s", url_of(listening))
        await stop.wait()
        # Whoever sends requests here learns it from readiness first.
        runner.app[VITALS].draining = True
        await asyncio.sleep(settings.drain_delay_s)
    finally:
        await runner.cleanup()
