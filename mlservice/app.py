"""The application: builds its collaborators, and closes them."""

import asyncio
import ctypes
import functools
import gc
import logging
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from threadpoolctl import threadpool_limits

from mlservice import __version__, access, jobs
from mlservice.address import url_of
from mlservice.browsers import BROWSERS, Browsers
from mlservice.cache import CACHE, ModelCache
from mlservice.counts import COUNTS, Counts
from mlservice.courtesy import COURTESY, Courtesy
from mlservice.doorkeeper import Doorkeeper
from mlservice.figures import Figures
from mlservice.handlers.operations import VITALS, Vitals
from mlservice.keyring import Keyring
from mlservice.ledger import LEDGER, Ledger
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
    queue_state,
)
from mlservice.store.keys import ANONYMOUS
from mlservice.wire import CALLER, CHANGES, CHECKUP, QUEUE, SETTINGS, TRAININGS

logger = logging.getLogger(__name__)

# glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# A batch of 10,000 x 30 in JSON took 1,214 page faults, and none with these: its processor time
# 15.2 ms instead of 18.2.
_LARGEST_KEPT_BYTES, _MOST_KEPT_BYTES = 8 << 20, 16 << 20


def create_app(settings: Settings, figures: Path | None = None) -> web.Application:
    """Build the service; it reaches for the store when it starts to serve.

    Parameters
    ----------
    figures : Path, optional
        Where this process writes what it counts, for those beside it.
    """
    app = web.Application()
    app[SETTINGS] = settings
    app[BROWSERS] = Browsers(settings)
    app[VITALS] = Vitals()
    link = Link(open_redis(settings), settings.store_timeout_s)
    keyring = _admit(app, link)
    app[TRAININGS] = Trainings(link, settings, jobs.entry)
    app[CHANGES] = Changes(link)
    app[CHECKUP] = Checkup(link, settings)
    app[COUNTS] = Counts()
    app[COURTESY] = Courtesy(lambda: app[COUNTS].answered, settings.upload_bytes_per_s)
    app[CACHE] = ModelCache(settings.cache_bytes, counts=app[COUNTS], watches=settings.drift)
    app[LEDGER] = Ledger(functools.partial(_count, app), figures)
    app[QUEUE] = lambda: queue_state(link, app[TRAININGS], settings)
    add_routes(app, version=__version__)

    async def collaborators(app: web.Application) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(keep_swept(app[TRAININGS], settings))
        listener = asyncio.create_task(app[CHANGES].listen())
        keeper = asyncio.create_task(app[LEDGER].keep())
        yield
        tasks = (sweeper, listener, keeper)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await keyring.close()
        await app[CACHE].close()
        await link.close()

    async def drain(app: web.Application) -> None:
        app[VITALS].draining = True
        app[CHANGES].close()

    app.cleanup_ctx.append(collaborators)
    app.on_shutdown.append(drain)
    return app


def _count(app: web.Application) -> Figures:
    """Return what this process has counted."""
    cache = app[CACHE]
    events = {"cache_hits": cache.hits, "cache_loads": cache.loads}
    return app[COUNTS].figures(events, {"processes": 1, **cache.levels()})


def _admit(app: web.Application, link: Link) -> Keyring:
    """Ask requests for keys, and limit their rates, where the settings say so."""
    settings, grants = app[SETTINGS], Grants(link)
    tenants, keyring = Tenants(link, settings, jobs.entry), Keyring(grants)
    anonymous = tenants.of(ANONYMOUS)
    app[CALLER] = lambda _: anonymous
    if access.is_needed(settings):
        doorkeeper = Doorkeeper(keyring, settings)
        identify = doorkeeper.identify if settings.require_keys else access.as_anonymous
        app.middlewares.append(access.admission(identify, access.Limits(settings, grants), tenants))
        app[CALLER] = access.caller
        app[access.IDENTIFY] = identify
    return keyring


def share_processor() -> None:
    """Keep tables, which are worked on in threads, from holding up single rows."""
    # Two BLAS threads take longer for a table than one.
    threadpool_limits(1)
    # What the loop waits for a thread that runs Python: beside tables of 10,000 rows the p99
    # of single rows was 98 ms with this, 219 ms with the 5 ms of Python (a busy machine).
    sys.setswitchinterval(0.0005)
    # What was imported stays: looking through all of it for garbage held up everything for
    # 100 ms, twice a second beside such tables.
    gc.freeze()
    keep_memory()


def keep_memory() -> None:
    """Use what a table's memory was for the next one, where the C library can be told so: glibc.

    As it comes, a batch's memory goes back to the kernel and is taken anew, a fault a page.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT_BYTES)


async def serve(
    settings: Settings,
    listening: socket.socket,
    stop: asyncio.Event,
    figures: Path | None = None,
) -> None:
    """Serve on a socket until `stop` is set, then let requests under way finish."""
    share_processor()
    allow_connections(settings)
    runner = Runner(create_app(settings, figures))
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
