"""arq's worker, stopped and deserted at awkward moments."""

import asyncio
import contextlib
import gc
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from mlservice import jobs
from mlservice.settings import Settings
from tests.proxy import Proxy
from tests.support import until
from workers.__main__ import main
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


async def _noting(settings: Settings, redis: "Redis") -> tuple[Slow, asyncio.Task[None], str]:
    """Return a worker whose job has ended and is not noted, its run, and the entry's id."""
    entry = jobs.entry("of-no-model", 1)
    redis.set(f"arq:job:{entry.id}", entry.payload)
    redis.zadd(settings.queue_name, {entry.id: 1})
    worker = Slow(handle_signals=False, **worker_options(settings))
    run = asyncio.create_task(worker.async_run())
    await asyncio.wait_for(worker.has_ended.wait(), 20)
    return worker, run, entry.id


async def test_a_stop_between_a_jobs_end_and_its_note_is_clean(
    settings: Settings, redis: "Redis"
) -> None:
    """The worker closes without an error, and all that it started is closed too."""
    worker, run, _ = await _noting(settings, redis)

    worker.handle_sig(signal.SIGTERM)
    with contextlib.suppress(asyncio.CancelledError):
        await run
    worker.may_note.set()
    await worker.close()

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert redis.zcard("mls:workers") == 0


async def test_an_entry_that_is_queued_once_more_while_it_runs_is_not_run_twice(
    settings: Settings, redis: "Redis"
) -> None:
    """Its run is the only one, though arq's note that it runs is gone."""
    worker, run, entry_id = await _noting(settings, redis)
    running = worker.tasks[entry_id]

    assert redis.delete(f"arq:in-progress:{entry_id}") == 1
    await worker.start_jobs([entry_id.encode()])

    assert worker.tasks[entry_id] is running
    assert worker.job_counter == 1
    worker.may_note.set()
    worker.handle_sig(signal.SIGTERM)
    with contextlib.suppress(asyncio.CancelledError):
        await run
    await worker.close()


async def test_a_stop_while_the_store_is_awaited_is_clean(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that has not begun has nothing to close, and closes."""
    away = msgspec.structs.replace(settings, redis_url=f"unix://{tmp_path}/none.sock")
    worker = PatientWorker(handle_signals=False, **worker_options(away))
    run = asyncio.create_task(worker.async_run())
    await until(lambda: _tells(caplog, "waits for its store to start"), within_s=10)

    worker.handle_sig(signal.SIGTERM)
    with contextlib.suppress(asyncio.CancelledError):
        await run
    await worker.close()

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_entry_that_another_has_costs_no_slot_though_the_store_is_lost_over_it(
    settings: Settings, redis: "Redis", caplog: pytest.LogCaptureFixture
) -> None:
    """A store that fails when the slot was given back already ends no worker."""
    redis.set("arq:in-progress:held:1", b"1", ex=60)
    redis.zadd(settings.queue_name, {"held:1": 1})
    async with Proxy(settings.redis_url) as proxy:
        proxy.answer(b"UNWATCH", b"-READONLY replica", times=3)
        options = worker_options(msgspec.structs.replace(settings, redis_url=proxy.url))
        worker = PatientWorker(handle_signals=False, **options | {"on_startup": None})
        run = asyncio.create_task(worker.async_run())

        async def has_met_all() -> bool:
            assert not run.done(), run.exception()
            return proxy.sprung == 3 and caplog.text.count("waits for its store") >= 3

        await until(has_met_all, within_s=20)

        assert worker.job_counter == 0
        assert not worker.sem.locked()
        await until(lambda: _has_free_connections(worker), within_s=5)
        worker.handle_sig(signal.SIGTERM)
        await asyncio.wait([run])
        await worker.close()


async def test_an_end_that_cannot_be_noted_is_one_line(
    settings: Settings, redis: "Redis", caplog: pytest.LogCaptureFixture
) -> None:
    """arq's note of a job that the record has is lost without a traceback."""
    entry = jobs.entry("of-no-model", 1)
    redis.set(f"arq:job:{entry.id}", entry.payload)
    redis.zadd(settings.queue_name, {entry.id: 1})
    async with Proxy(settings.redis_url) as proxy:
        options = worker_options(msgspec.structs.replace(settings, redis_url=proxy.url))
        # Its start would take the log away from the test.
        worker = Slow(handle_signals=False, **options | {"on_startup": None})
        run = asyncio.create_task(worker.async_run())
        await asyncio.wait_for(worker.has_ended.wait(), 20)
        worker.handle_sig(signal.SIGTERM)
        await asyncio.wait([run])

        await proxy.close()
        worker.may_note.set()
        await until(lambda: _tells(caplog, "is not noted"), within_s=10)
        await worker.close()
    gc.collect()

    assert "never retrieved" not in caplog.text


async def _has_free_connections(worker: PatientWorker) -> bool:
    """Tell whether no more than the one that hears the bell, and one that polls, are taken."""
    return len(worker.pool.connection_pool._in_use_connections) <= 2


async def _tells(caplog: pytest.LogCaptureFixture, said: str) -> bool:
    return said in caplog.text


@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("--slots=3", 2)])
def test_a_worker_tells_how_it_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str, code: int
) -> None:
    """A word that it would not heed starts none."""
    monkeypatch.setattr("sys.argv", ["workers", word])

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr()
    assert ended.value.code == code
    assert "python -m workers" in said.out + said.err
    assert ("MLSERVICE_REDIS_URL" in said.out) == (code == 0)
