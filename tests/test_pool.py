"""Children that fit: one each, limited, killed when they must go."""

import asyncio
import contextlib
import io
import json
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
import numpy as np
import psutil
import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from mlservice.errors import TrainerKilled, TrainingTimeout
from mlservice.model import decode
from mlservice.sent import ARROW, CSV, PARQUET, Sent
from mlservice.settings import Settings
from tests.support import (
    busy_process,
    endless_request,
    fit_processes,
    make_request,
    stopped,
    until,
)
from workers.child import rehearse
from workers.crew import cores
from workers.exchange import Pieces, _receive
from workers.pool import Pool
from workers.training import train


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Return a pool that has its spare."""
    pool = Pool(Settings())
    await pool.start()
    yield pool
    await pool.close()


def _pieces(body: dict[str, Any]) -> Pieces:
    whole = json.dumps(body).encode()

    async def pieces() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(whole), 1000):
            yield whole[start : start + 1000]

    return pieces


async def test_a_fit_in_a_child_gives_a_stored_model(pool: Pool) -> None:
    """Body in, artifact and description out."""
    answer = await pool.run(_pieces(make_request(name="iris")))

    assert decode(answer["artifact"]).classes == ("setosa", "versicolor", "virginica")
    assert msgspec.json.decode(answer["description"])["converged"] is True
    assert answer["name"] == "iris"


async def test_what_is_wrong_comes_back_as_a_problem(pool: Pool) -> None:
    """A child refuses a request as the service would."""
    answer = await pool.run(_pieces(make_request(target="nope")))

    assert answer["problem"]["type"] == "/problems/invalid-table"


async def test_each_fit_has_a_process_of_its_own(pool: Pool) -> None:
    """A child that has answered ends; the next fit is another process's."""
    first = {child.pid for child in fit_processes()}
    assert first

    await pool.run(_pieces(make_request()))
    await pool.run(_pieces(make_request()))
    pool.restock()

    async def are_gone() -> bool:
        return not first & {child.pid for child in fit_processes()}

    await until(are_gone, within_s=5)


async def test_a_spare_is_forked_ahead(pool: Pool) -> None:
    """There is a child that waits before there is a fit."""
    assert len(fit_processes()) >= 1
    assert await pool.run(_pieces(make_request()))


async def test_the_next_spare_is_forked_once_the_answer_is_used(pool: Pool) -> None:
    """A fork takes as long as storing a model, which it must not slow down."""
    first = {child.pid for child in fit_processes()}
    await pool.run(_pieces(make_request()))
    assert {child.pid for child in fit_processes()} <= first

    pool.restock()

    async def is_there() -> bool:
        return bool({child.pid for child in fit_processes()} - first)

    await until(is_there, within_s=5)


def test_a_rehearsal_ends_when_the_work_comes() -> None:
    """A fit does not wait for more of it than the phase that it comes in."""
    asked = []

    def until() -> bool:
        asked.append(True)
        return len(asked) == 2

    rehearse(Settings(), until)

    assert len(asked) == 2


@pytest.mark.skipif(cores() < 2, reason="there is a core for one process only")
async def test_a_spare_that_waits_has_a_second_process(pool: Pool) -> None:
    """The two make the fits of one training, and are gone with it."""
    [spare] = fit_processes()

    async def second() -> list[psutil.Process]:
        return spare.children()

    [aside] = await until(second, within_s=5)
    answer = await pool.run(_pieces(make_request()))
    pool.restock()

    body = json.dumps(make_request()).encode()
    expected = msgspec.to_builtins(train(body, Settings()).description.metrics)
    assert msgspec.json.decode(answer["description"])["metrics"] == expected

    async def are_gone() -> bool:
        return not (spare.is_running() or aside.is_running())

    await until(are_gone, within_s=5)


async def test_children_are_forked_from_a_process_that_has_rehearsed(pool: Pool) -> None:
    """The forkserver imports the template, which has trained a small table."""
    [spare, *_] = fit_processes()

    server = spare.parent()

    assert server is not None
    assert "workers.template" in " ".join(server.cmdline())
    assert await pool.run(_pieces(make_request()))


async def test_a_spare_that_died_is_replaced(pool: Pool) -> None:
    """A dead spare costs its fit a fork, not its life."""
    spares = fit_processes()
    for child in spares:
        child.kill()
    await asyncio.to_thread(psutil.wait_procs, spares, 5)

    answer = await pool.run(_pieces(make_request()))

    assert "artifact" in answer


async def test_a_forkserver_that_is_killed_while_it_forks_costs_no_fit(pool: Pool) -> None:
    """Another one is started, and the child forked from that."""
    forkserver = fit_processes()[0].parent()
    assert forkserver
    forkserver.suspend()
    before, process = psutil.Process().num_fds(), psutil.Process()
    forking = asyncio.create_task(asyncio.to_thread(pool._fork))

    async def has_asked() -> bool:
        # A pair of sockets for the child, and the ends of two pipes.
        return process.num_fds() >= before + 4

    try:
        await until(has_asked, within_s=10)
    finally:
        forkserver.kill()

    child = await asyncio.wait_for(forking, 20)
    assert child.is_waiting()
    await child.end()


async def test_a_fit_that_overruns_its_time_is_killed() -> None:
    """The process is gone when the error is told, also one that hears of nothing."""
    pool = Pool(Settings(training_timeout_s=2))
    await pool.start()
    fit = asyncio.create_task(pool.run(_pieces(endless_request())))
    child = await busy_process()

    with stopped(child):
        with pytest.raises(TrainingTimeout, match="MLSERVICE_TRAINING_TIMEOUT_S"):
            await fit

        assert not child.is_running()
    await pool.close()


async def test_a_fit_that_needs_too_much_memory_fails_by_itself() -> None:
    """The limit is the child's; the parent hears the reason."""
    pool = Pool(Settings(training_memory_bytes=512 * 1024 * 1024))
    await pool.start()
    body = {"data": {"x": [0.5] * 12_000_000, "y": [0, 1] * 6_000_000}, "target": "y"}
    whole = json.dumps(body).encode()

    async def pieces() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(whole), 1 << 20):
            yield whole[start : start + (1 << 20)]

    answer = await pool.run(pieces)

    assert answer["problem"]["type"] == "/problems/training-memory"
    assert "MLSERVICE_TRAINING_MEMORY_BYTES" in answer["problem"]["detail"]
    await pool.close()


async def test_a_small_parquet_file_that_decodes_to_gigabytes_is_told_its_limit() -> None:
    """What does not fit in the memory of a training is no broken file, and harms nobody."""
    pool = Pool(Settings(training_memory_bytes=512 * 1024 * 1024))
    await pool.start()
    rows = pa.table({"x": pa.nulls(10_000_000, pa.int64()), "y": pa.nulls(10_000_000, pa.int64())})
    sink = io.BytesIO()
    with parquet.ParquetWriter(sink, rows.schema) as writer:
        for _ in range(15):
            writer.write_table(rows)

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield Sent(media_type=PARQUET, body=b"").header() + sink.getvalue()

    answer = await pool.run(pieces)

    assert len(sink.getvalue()) < 1_000_000
    assert answer["problem"]["type"] == "/problems/training-memory"
    assert "MLSERVICE_TRAINING_MEMORY_BYTES" in answer["problem"]["detail"]
    await pool.close()


async def test_a_small_arrow_stream_that_decodes_to_gigabytes_is_told_its_limit() -> None:
    """A stream that is compressed within is read by a child with a limit, and only there."""
    pool = Pool(Settings(training_memory_bytes=512 * 1024 * 1024))
    await pool.start()
    body = _zeros_in_arrow(times=40)

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield Sent(media_type=ARROW, body=b"").header() + body

    answer = await pool.run(pieces)

    assert len(body) < 1_000_000
    assert ipc.open_stream(body).read_next_batch().nbytes * 40 > 2 * 1024**3
    assert answer["problem"]["type"] == "/problems/training-memory"
    assert "MLSERVICE_TRAINING_MEMORY_BYTES" in answer["problem"]["detail"]
    await pool.close()


def _zeros_in_arrow(times: int) -> bytes:
    """Return a stream of 8,000,000 zeros, compressed, as many times over."""
    rows = pa.table({"x": np.zeros(4_000_000), "y": np.zeros(4_000_000, dtype=np.int64)})
    streams = []
    for table in (None, rows):
        sink = io.BytesIO()
        options = ipc.IpcWriteOptions(compression="zstd")
        with ipc.new_stream(sink, rows.schema, options=options) as writer:
            if table:
                writer.write_table(table)
        # Without the mark of its end.
        streams.append(sink.getvalue()[:-8])
    schema, whole = streams
    return whole[: len(schema)] + whole[len(schema) :] * times


def _csv(head: bytes, rows: bytes, times: int, *last: bytes) -> Pieces:
    """Return what yields a training on a CSV, its rows again and again, in pieces."""
    header = Sent(media_type=CSV, body=b"").header()

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield header + head
        for _ in range(times):
            yield rows
        for row in last:
            yield row

    return pieces


async def test_a_csv_that_comes_in_pieces_is_trained_on_as_a_whole(pool: Pool) -> None:
    """What is read while it comes is all of the table."""
    answer = await pool.run(_csv(b"a,b,y\n", b"1,2,0\n4,3,1\n2,5,0\n" * 10_000, 5))

    assert msgspec.json.decode(answer["description"])["rows"] == 150_000


@pytest.mark.parametrize(
    "last", [b'7,1,"1"\n', b"x,1,1\n", b"7,1,1"], ids=["quoted", "a text", "plain"]
)
async def test_a_csv_is_read_again_where_its_end_is_not_as_its_beginning(
    pool: Pool, last: bytes
) -> None:
    """What was read is forgotten, and asked for once more where that was too early."""
    head, rows = b"a,b,y\n", b"1,2,0\n4,3,1\n2,5,0\n" * 10_000
    sent = Sent(media_type=CSV, body=head + rows * 5 + last)

    answer = await pool.run(_csv(head, rows, 5, last))

    trained = train(sent.header() + bytes(sent.body), Settings())
    assert decode(answer["artifact"]).coef.tolist() == trained.model.coef.tolist()
    assert decode(answer["artifact"]).provenance == trained.model.provenance


async def test_a_csv_that_is_refused_at_its_beginning_is_told_when_all_has_come(
    pool: Pool,
) -> None:
    """The child takes the rest, which it does not read, before it answers."""
    answer = await pool.run(_csv(b"a,b,a\n", b"1,2,0\n" * 100_000, 20))

    assert answer["problem"]["type"] == "/problems/invalid-table"


async def test_a_csv_that_needs_too_much_memory_is_told_when_all_has_come() -> None:
    """Memory that is lacking while the body comes is told as any other lack of it."""
    pool = Pool(Settings(training_memory_bytes=400 * 1024 * 1024))
    await pool.start()

    answer = await pool.run(_csv(b"a,b,y\n", b"1,2,0\n4,3,1\n" * 250_000, 80))

    assert answer["problem"]["type"] == "/problems/training-memory"
    await pool.close()


async def test_a_fits_process_may_take_no_more_than_it_needs(pool: Pool) -> None:
    """Memory, processor and open files are bounded; it writes no file and leaves no core."""
    assert pool
    settings, [child] = Settings(), fit_processes()
    most = {
        psutil.RLIMIT_FSIZE: 0,
        psutil.RLIMIT_CORE: 0,
        psutil.RLIMIT_NOFILE: 64,
        psutil.RLIMIT_CPU: int(settings.training_timeout_s) + 30,
        psutil.RLIMIT_DATA: settings.training_memory_bytes,
    }

    async def is_limited() -> bool:
        return all(child.rlimit(kind) == (bound, bound) for kind, bound in most.items())

    await until(is_limited, within_s=10)


async def test_a_fit_that_has_used_up_its_processor_time_took_too_long(pool: Pool) -> None:
    """The kernel's signal is told as the limit that it stands for."""
    fit = asyncio.create_task(pool.run(_pieces(endless_request())))
    child = await busy_process()

    os.kill(child.pid, signal.SIGXCPU)

    with pytest.raises(TrainingTimeout):
        await fit


async def test_a_child_that_is_killed_is_told_by_its_signal(pool: Pool) -> None:
    """The death of one child is one training's error, and the next fit is well."""
    fit = asyncio.create_task(pool.run(_pieces(endless_request())))
    child = await busy_process()

    os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(TrainerKilled, match="SIGKILL"):
        await fit
    assert "artifact" in await pool.run(_pieces(make_request()))


async def test_a_fit_that_is_cancelled_leaves_no_process(pool: Pool) -> None:
    """Cancelling waits until the child is gone, within a second, also one that hears of nothing."""
    fit = asyncio.create_task(pool.run(_pieces(endless_request())))
    child = await busy_process()
    begun = time.monotonic()

    with stopped(child):
        fit.cancel()
        await asyncio.wait([fit])

        assert not child.is_running()
    assert time.monotonic() - begun < 1


async def test_an_interrupt_ends_no_fit(pool: Pool) -> None:
    """A terminal sends it to every process; which fit ends is for the worker to say."""
    [child] = fit_processes()
    whole = json.dumps(make_request()).encode()

    async def is_limited() -> bool:
        return child.rlimit(psutil.RLIMIT_NOFILE) == (64, 64)

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield whole[:1000]
        os.kill(child.pid, signal.SIGINT)
        yield whole[1000:]

    await until(is_limited, within_s=10)

    assert "artifact" in await pool.run(pieces)


async def test_a_fit_that_is_cancelled_before_it_has_a_process_loses_none(pool: Pool) -> None:
    """The child that was being forked is the next fit's."""
    await pool.run(_pieces(make_request()))
    fit = asyncio.create_task(pool.run(_pieces(make_request())))
    await asyncio.sleep(0)
    fit.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await fit

    assert pool._spare
    child = await pool._spare

    assert child.is_waiting()


async def test_fits_run_side_by_side(pool: Pool) -> None:
    """A fit that takes for ever does not hold up another."""
    endless = asyncio.create_task(pool.run(_pieces(endless_request())))
    await busy_process()

    answer = await asyncio.wait_for(pool.run(_pieces(make_request())), 10)

    assert "artifact" in answer
    assert not endless.done()
    endless.cancel()
    await asyncio.wait([endless])


@pytest.mark.parametrize(
    "sent", [b"\xff\xff\xff\xff", b"\0\0\0\x01\xc1", b"\0\0\0\x02\x01\x01", b"\0\0\0\x01\x01"]
)
async def test_what_a_child_answers_that_is_no_answer_counts_as_its_death(sent: bytes) -> None:
    """Too long, not msgpack, too much, or no object: the fit failed, and nothing else."""
    reader = asyncio.StreamReader()
    reader.feed_data(sent)

    with pytest.raises(ConnectionError, match="a child's answer"):
        await _receive(reader)
