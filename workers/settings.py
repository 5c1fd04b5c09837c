"""What arq reads: `arq workers.settings.WorkerSettings`."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

from arq.connections import RedisSettings
from arq.worker import Function, func
from redis.asyncio import BlockingConnectionPool

from mlservice import jobs, logs
from mlservice.errors import StoreUnavailable
from mlservice.settings import Settings
from mlservice.store import (
    Link,
    Trainings,
    arq_timeout_s,
    keep_swept,
    open_pool,
    open_redis,
    refuse_risks,
)
from workers import tasks
from workers.pipelines import QueueRedis
from workers.pool import Pool


def worker_options(settings: Settings) -> dict[str, Any]:
    """Return what arq's `Worker` takes, for these settings."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    pool = open_pool(settings)

    running = contextlib.AsyncExitStack()

    async def start(ctx: dict[Any, Any]) -> None:
        logs.configure(settings)
        await refuse_risks(settings)
        ctx["trainer"] = await running.enter_async_context(_trainer(settings, worker))

    async def stop(_: dict[Any, Any]) -> None:
        # Nothing is there yet where the worker is stopped while it waits for its store.
        await running.aclose()

    return {
        "functions": [_training(settings)],
        "queue_name": settings.queue_name,
        "redis_pool": QueueRedis(
            pool,
            job_serializer=jobs.pack,
            job_deserializer=jobs.unpack,
            default_queue_name=settings.queue_name,
        ),
        # For `arq --check`, which opens its own connection.
        "redis_settings": _for_check(pool),
        "job_serializer": jobs.pack,
        "job_deserializer": jobs.unpack,
        "on_startup": start,
        "on_shutdown": stop,
        "max_jobs": settings.worker_slots,
        "poll_delay": settings.poll_delay_s,
        # Entries that others hold are read too: arq's own limit would hide those behind them.
        "queue_read_limit": settings.open_trainings,
        "keep_result": 0,
        "log_results": False,
        "health_check_interval": settings.sweep_s,
        "health_check_key": f"{settings.queue_name}:health-check:{socket.gethostname()}",
    }


def _training(settings: Settings) -> Function:
    return func(
        tasks.train,
        name=jobs.TASK,
        timeout=arq_timeout_s(settings),
        # Attempts are counted in the record; arq's own count must never be first.
        max_tries=1_000_000,
        keep_result=0,
    )


@contextlib.asynccontextmanager
async def _trainer(settings: Settings, worker: str) -> AsyncIterator[tasks.Trainer]:
    """Open what a worker needs for its trainings, and close it."""
    async with contextlib.AsyncExitStack() as closing:
        link = Link(open_redis(settings), settings.store_timeout_s)
        closing.push_async_callback(link.close)
        trainings = Trainings(link, settings, jobs.entry)
        pool = Pool(settings)
        closing.push_async_callback(pool.close)
        await pool.start()
        closing.push_async_callback(_retire, trainings, worker)
        sweeper = asyncio.create_task(keep_swept(trainings, settings, worker))
        closing.push_async_callback(_end, sweeper)
        trainer = tasks.Trainer(trainings, pool, settings, worker)
        closing.push_async_callback(trainer.close)
        yield trainer


async def _retire(trainings: Trainings, worker: str) -> None:
    with contextlib.suppress(StoreUnavailable):
        await trainings.retire(worker)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _for_check(pool: BlockingConnectionPool) -> RedisSettings:
    """Return the pool's address in arq's words, which know no other TLS options than these."""
    options = pool.connection_kwargs
    primary, tls = options.get("primary"), options.get("tls")
    return RedisSettings(
        host=primary.sentinels if primary else options.get("host", "localhost"),
        port=options.get("port", 6379),
        unix_socket_path=options.get("path"),
        database=options.get("db", 0),
        username=options.get("username"),
        password=options.get("password"),
        ssl=tls is not None,
        ssl_ca_certs=tls.ca_certs if tls else None,
        ssl_certfile=tls.certfile if tls else None,
        ssl_keyfile=tls.keyfile if tls else None,
        ssl_check_hostname=bool(tls and tls.checks_name),
        sentinel=primary is not None,
        sentinel_master=primary.service if primary else "",
    )


WorkerSettings = type("WorkerSettings", (), worker_options(Settings.from_environ(os.environ)))
