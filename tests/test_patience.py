"""arq's worker, stopped and deserted at awkward moments."""

import asyncio
import contextlib
import signal
from typing import Any

from redis import Redis

from mlservice import jobs
from mlservice.settings import Settings
from workers.patience import PatientWorker
from workers.settings import worker_options


class Slow(PatientWorker):
    """A worker that takes its time to note a job's end."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.has_ended = asyncio.Event()
        self.may_note = asyncio.Event()

    async def finish_job(self, *args: Any, **options: Any) -> None:
        """Note a job's end when the test says so."""
        self.has_ended.set()
        await self.may_note.wait()
        await super().finish_job(*args, **options)


async def test_a_stop_between_a_jobs_end_and_its_note_is_clean(
    settings: Settings, redis: "Redis"
) -> None:
    """The worker closes without an error, and all that it started is closed too."""
    entry = jobs.entry("of-no-model", 1)
    redis.set(f"arq:job:{entry.id}", entry.payload)
    redis.zadd(settings.queue_name, {entry.id: 1})
    worker = Slow(handle_signals=False, **worker_options(settings))
    run = asyncio.create_task(worker.async_run())
    await asyncio.wait_for(worker.has_ended.wait(), 20)

    worker.handle_sig(signal.SIGTERM)
    with contextlib.suppress(asyncio.CancelledError):
        await run
    worker.may_note.set()
    await worker.close()

    assert worker.ctx["sweeper"].done()
    assert redis.zcard("mls:workers") == 0
