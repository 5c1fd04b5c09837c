"""A second process of a fit: it answers, or leaves the work to the first."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.support import until
from workers.aside import MOST_BYTES, Aside

Answer = dict[str, Any] | None


def _nothing(_: socket.socket) -> None:
    """Prepare nothing."""


def _length(body: bytes) -> Answer:
    return {"bytes": len(body), "process": os.getpid()}


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[bytes], Answer]], Aside]]:
    """Return what starts a second process, which is ended with the test."""
    with contextlib.ExitStack() as ending:

        def started(work: Callable[[bytes], Answer]) -> Aside:
            aside = Aside(_nothing, work)
            ending.callback(aside.end)
            return aside

        yield started


def test_second_process_answers_for_the_body(start: Callable[..., Aside]) -> None:
    """It is another process, and has the whole body."""
    aside = start(_length)

    aside.begin(b"x" * MOST_BYTES)

    answer = aside.answer()
    assert answer
    assert answer["bytes"] == MOST_BYTES
    assert answer["process"] != os.getpid()


def test_large_body_is_left_to_the_first(start: Callable[..., Aside]) -> None:
    """Nothing is waited for that was not begun, and no process is there for nothing."""
    aside = start(_length)

    aside.begin(b"x" * (MOST_BYTES + 1))

    assert aside.answer() is None
    assert not psutil.pid_exists(aside._pid)


@pytest.mark.parametrize(("count", "is_told"), [(20_000, True), (1_000_000, False)])
def test_answer_arrives_whole_or_not_at_all(
    start: Callable[..., Aside], count: int, is_told: bool
) -> None:
    """Many coefficients come in one message; what is too long for one is no error."""
    numbers = [0.1] * count
    aside = start(lambda _: {"coef": numbers})

    aside.begin(b"body")

    assert aside.answer() == ({"coef": numbers} if is_told else None)


@pytest.mark.skipif(sys.platform != "linux", reason="the share is found in /proc")
@pytest.mark.parametrize(("megabytes", "is_told"), [(50, True), (300, False)])
def test_second_process_has_an_eighth_of_the_memory(megabytes: int, is_told: bool) -> None:
    """The two together stay near the limit of one; the first has the rest."""

    def limit(_: socket.socket) -> None:
        used = psutil.Process().memory_info().data
        resource.setrlimit(resource.RLIMIT_DATA, (used + (800 << 20), resource.RLIM_INFINITY))

    def work(_: bytes) -> Answer:
        return {"bytes": len(bytearray(megabytes << 20))}

    aside = Aside(limit, work)
    aside.begin(b"body")

    assert (aside.answer() is not None) == is_told
    aside.end()


def _stop(_: bytes) -> Answer:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _fail(_: bytes) -> Answer:
    raise ZeroDivisionError


@pytest.mark.parametrize("work", [_stop, _fail, lambda _: None], ids=["dies", "fails", "leaves"])
def test_what_has_no_answer_is_left_to_the_first(start: Callable[..., Aside], work: object) -> None:
    """Its death is no failure, and nobody waits for ever."""
    aside = start(work)

    aside.begin(b"body")

    assert aside.answer() is None


def test_body_for_a_dead_process_is_left_to_the_first(start: Callable[..., Aside]) -> None:
    """It may have been killed while it waited."""
    aside = start(_length)
    os.kill(aside._pid, signal.SIGKILL)

    aside.begin(b"body")

    assert aside.answer() is None


def test_end_leaves_no_process(start: Callable[..., Aside]) -> None:
    """Not even one that has not been waited for; a second end does nothing."""
    aside = start(_length)

    aside.end()

    assert not psutil.pid_exists(aside._pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends it")
async def test_second_process_dies_with_the_first() -> None:
    """A process that is killed leaves no other behind, whatever that does."""
    heard, told = os.pipe()
    first = os.fork()
    if first == 0:
        aside = Aside(_nothing, lambda _: signal.pause())
        os.write(told, str(aside._pid).encode())
        aside.begin(b"body")
        signal.pause()
    second = int(os.read(heard, 20))

    os.kill(first, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, first, 0)

    async def is_gone() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(second).status() == psutil.STATUS_ZOMBIE
        return True

    await until(is_gone, within_s=5)
    os.close(heard)
    os.close(told)
