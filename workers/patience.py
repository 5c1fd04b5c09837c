"""arq's worker, made to outlive a store that goes away, and to wait for a bell.

arq's own exits at the first error of the store; its command line does so still
and leaves the next start to its supervisor. It also asks for new entries by the
clock, where this one is told.
"""

import asyncio
import contextlib
import logging
import signal
from typing import Any

from arq.constants import job_key_prefix, retry_key_prefix
from arq.worker import Worker
from redis.exceptions import RedisError

from workers.bell import Bell

logger = logging.getLogger(__name__)

_PAUSE_S = 0.5


class PatientWorker(Worker):
    """A worker that goes on polling when the store is back."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._bell = Bell(self._hear_of_upload)
        self._given_back = 0
        self._noting: set[asyncio.Task[Any] | None] = set()

    async def main(self) -> None:
        """Wait for the store, then work until the worker is stopped."""
        while not await self._reaches_store():  # noqa: ASYNC110  # another process's event
            await asyncio.sleep(_PAUSE_S)
        listening = asyncio.create_task(self._bell.listen(self.pool))
        try:
            await super().main()
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def close(self) -> None:
        """Stop what the worker started, whether the store is there or not."""
        # arq's own close raises what its jobs raised: a stop that comes between a job's
        # end and arq's note of it would end the process with an error, and leave the rest.
        if not self._handle_signals:
            self.handle_sig(signal.SIGUSR1)
        # What notes an end goes on when its job is cancelled.
        noting = [task for task in self._noting if task]
        await asyncio.gather(*self.tasks.values(), *noting, return_exceptions=True)
        self.tasks.clear()
        try:
            await super().close()
        except (RedisError, OSError):
            logger.warning("the worker stops without its store")
            if self.on_shutdown:
                await self.on_shutdown(self.ctx)
            await self.pool.close(close_connection_pool=True)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start jobs one by one, so that one that fails gives its slot back."""
        for job_id in job_ids:
            task = self.tasks.get(job_id.decode())
            # Its entry was queued once more meanwhile: arq would run it twice at once.
            if task and not task.done():
                continue
            held, self._given_back = self.job_counter, 0
            try:
                await super().start_jobs([job_id])
            except (RedisError, OSError):
                # It may fail after it has given the slot back, or to a task, which will.
                is_held = self.job_counter + self._given_back > held
                if is_held and self.tasks.get(job_id.decode()) is task:
                    self._release_sem_dec_counter_on_complete()
                raise

    async def run_job(self, job_id: str, score: int) -> None:
        """Run an entry; one that arq cannot even begin is taken off the queue."""
        try:
            await super().run_job(job_id, score)
        except (RedisError, OSError):
            raise
        except Exception:
            logger.exception("entry %s is none of ours", job_id)
            await self.pool.zrem(self.queue_name, job_id)
            await self.pool.delete(job_key_prefix + job_id, retry_key_prefix + job_id)

    async def finish_job(self, job_id: str, *args: Any, **options: Any) -> None:
        """Note a job's end, which the record has already: arq's note may be lost."""
        task = asyncio.current_task()
        self._noting.add(task)
        try:
            await super().finish_job(job_id, *args, **options)
        except (RedisError, OSError) as error:
            logger.warning("the end of entry %s is not noted: %s", job_id, type(error).__name__)
        finally:
            self._noting.discard(task)

    async def _poll_iteration(self) -> None:
        try:
            await super()._poll_iteration()
        except (RedisError, OSError) as error:
            logger.warning("the worker waits for its store: %s", type(error).__name__)
            await asyncio.sleep(_PAUSE_S)
        else:
            await self._bell.wait()

    def _release_sem_dec_counter_on_complete(self) -> None:
        super()._release_sem_dec_counter_on_complete()
        self._given_back += 1
        # There may be an entry that waits for the slot.
        self._bell.ring()

    def _hear_of_upload(self, model_id: str, most_bytes: int) -> None:
        if trainer := self.ctx.get("trainer"):
            reading = asyncio.create_task(trainer.read_ahead(model_id, most_bytes))
            self._noting.add(reading)
            reading.add_done_callback(self._noting.discard)

    async def _reaches_store(self) -> bool:
        with contextlib.suppress(RedisError, OSError):
            await self.pool.ping()
            return True
        logger.warning("the worker waits for its store to start")
        return False
