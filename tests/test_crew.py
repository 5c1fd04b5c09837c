"""Processes that share out tasks: every task is done once, and nobody is left behind."""

import asyncio
import json
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlservice.errors import TrainingTimeout
from mlservice.settings import Settings
from tests.support import busy_crew, endless_request, is_alive, until
from workers import crew
from workers.exchange import Pieces
from workers.pool import Pool

COUNT = 20


@pytest.mark.parametrize(("quota", "share"), [("50000 100000", 1), ("100000 100000", 1)])
def test_container_with_a_share_of_the_cores_uses_no_more(
    tmp_path: Path, quota: str, share: int
) -> None:
    """A quota of CPU time counts as so many cores; without one all count."""
    limited, free = tmp_path / "limited", tmp_path / "free"
    limited.write_text(f"{quota}\n")
    free.write_text("max 100000\n")

    every = len(psutil.Process().cpu_affinity())

    assert crew.cores(limited) == share
    assert crew.cores(free) == crew.cores(tmp_path / "none") == every


def _square(number: int) -> dict[str, Any]:
    return {"square": number**2, "pid": os.getpid()}


def _answers(task: crew.Task, processes: int) -> dict[int, dict[str, Any]]:
    answered = list(crew.share_out(task, COUNT, processes))
    assert len(answered) == COUNT
    return dict(answered)


@pytest.mark.parametrize(("processes", "found"), [(1, 1), (3, 3), (100, COUNT)])
def test_every_task_is_done_once(processes: int, found: int) -> None:
    """Each number is answered once, by no more processes than there may be."""
    answers = _answers(_square, processes)

    pids = {answer["pid"] for answer in answers.values()}
    assert {number: answer["square"] for number, answer in answers.items()} == {
        number: number**2 for number in range(COUNT)
    }
    assert len(pids) <= found
    assert (pids == {os.getpid()}) == (processes == 1)


def _without_memory(number: int) -> dict[str, Any]:
    raise MemoryError(number)


def _killed(number: int) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError(number)


def _broken(number: int) -> dict[str, Any]:
    raise ValueError(number)


def _too_long(number: int) -> dict[str, Any]:
    return {"text": f"{number}" * 10_000}


@pytest.mark.parametrize("failing", [_without_memory, _killed, _broken, _too_long])
def test_what_no_process_answers_is_done_here(failing: Callable[[int], dict[str, Any]]) -> None:
    """A process without memory, that dies, or whose answer is too long loses no task."""
    here = os.getpid()

    def task(number: int) -> dict[str, Any]:
        if number % 7 == 3 and os.getpid() != here:
            return failing(number)
        return _square(number)

    answers = _answers(task, 2)

    assert all(answers[number]["pid"] == here for number in range(3, COUNT, 7))
    assert sorted(answers) == list(range(COUNT))


def test_failure_of_the_last_resort_is_told() -> None:
    """What fails here too is raised, as it would be without other processes."""
    with pytest.raises(ValueError, match="0"):
        list(crew.share_out(_broken, 2, 2))


def test_processes_share_the_memory_that_is_left() -> None:
    """Together they may take what one may, so that the limit of a training holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)

    def limit(_: int) -> dict[str, Any]:
        return {"bytes": resource.getrlimit(resource.RLIMIT_DATA)[0]}

    most = 64 << 30
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        limits = {answer["bytes"] for answer in _answers(limit, 4).values()}
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    [share] = limits
    assert most / 4 <= share < most / 3


def test_processes_have_nothing_open_of_their_parent() -> None:
    """A socket whose peer waits for the parent's end is closed when the parent ends."""
    ours, theirs = socket.socketpair()

    def task(number: int) -> dict[str, Any]:
        try:
            os.fstat(theirs.fileno())
        except OSError:
            return {"open": False, "number": number}
        return {"open": True}

    with ours, theirs:
        answers = list(crew.share_out(task, 3, 2))

    assert not any(answer["open"] for _, answer in answers)


def test_nobody_is_left_when_the_caller_stops_asking() -> None:
    """A reader that goes away ends the processes that still work."""

    def task(number: int) -> dict[str, Any]:
        time.sleep(number)
        return {}

    answers = crew.share_out(task, 60, 2)
    before = set(psutil.Process().children())
    next(answers)
    running = set(psutil.Process().children()) - before

    answers.close()  # type: ignore[attr-defined]  # it is a generator

    assert len(running) == 2
    assert not running & set(psutil.Process().children())


def _pieces(body: dict[str, Any]) -> Pieces:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield json.dumps(body).encode()

    return pieces


def _endless_search() -> dict[str, Any]:
    return endless_request() | {"search": {"C": [0.1, 1, 10]}}


@pytest.fixture
async def pool(how: str) -> AsyncIterator[Pool]:
    """Return a pool whose searches fork two processes."""
    timeout_s = 4 if how == "overrun" else 60
    pool = Pool(Settings(search_processes=2, training_timeout_s=timeout_s))
    await pool.start()
    yield pool
    await pool.close()


@pytest.mark.alone
@pytest.mark.parametrize("how", ["cancelled", "overrun", "killed"])
async def test_search_that_ends_early_leaves_no_process(pool: Pool, how: str) -> None:
    """Cancelled, out of time or killed: all of its processes are gone within a second."""
    fit = asyncio.create_task(pool.run(_pieces(_endless_search())))
    processes = await busy_crew()

    if how == "cancelled":
        fit.cancel()
    elif how == "killed":
        processes[0].kill()
    else:
        await asyncio.wait([fit])
        assert isinstance(fit.exception(), TrainingTimeout)

    async def are_gone() -> bool:
        return not any(map(is_alive, processes))

    await until(are_gone, within_s=1)
    await asyncio.wait([fit])
