"""Processes that share out a fit's tasks, forked from it and dying with it.

Processes, not threads: scikit-learn changes Python's warning filters within a
fit, and these are one for all threads. Small tables gain as well, which in
threads would wait for the interpreter's lock.

The tasks' numbers stand in a pipe from which each process takes the next one;
their answers come back through another, each in one write. What no process has
answered, since it had no memory or was killed, the caller does itself.
"""

import contextlib
import ctypes
import math
import os
import resource
import select
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack

_NUMBER_BYTES = 4
# Of cgroup 2: microseconds of CPU time, and of the period that they are for.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_PR_SET_PDEATHSIG = 1

Task = Callable[[int], dict[str, Any]]


def cores(quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use, as a container may have a share of them only."""
    known = hasattr(os, "sched_getaffinity")
    count = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    # No such file, or "max".
    with contextlib.suppress(OSError, ValueError):
        time_us, period_us = map(int, quota.read_text().split())
        count = min(count, math.ceil(time_us / period_us))
    return count


def share_out(task: Task, count: int, processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Do the tasks 0 to `count` - 1, and yield each number with its answer.

    Parameters
    ----------
    task : callable
        Does the task of a number; its answer is a few numbers and short texts.
    count : int
        How many there are.
    processes : int
        How many run side by side; with 1 it is this process alone.

    Yields
    ------
    number, answer : int, dict
        In the order in which they are done.
    """
    left = dict.fromkeys(range(count))
    if min(processes, count) > 1:
        for number, answer in _fork(task, count, min(processes, count)):
            del left[number]
            yield number, answer
    for number in left:
        yield number, task(number)


def _fork(task: Task, count: int, processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    todo, answers = _filled(count), os.pipe()
    started: list[int] = []
    try:
        # Fewer processes than wanted do the same tasks.
        with contextlib.suppress(OSError):
            started.extend(_start(task, todo, answers[1], processes) for _ in range(processes))
        os.close(answers[1])
        yield from _read(answers[0])
    finally:
        os.close(todo)
        os.close(answers[0])
        for pid in started:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _filled(count: int) -> int:
    """Return a pipe that has the numbers of the tasks, or as many as it holds."""
    todo, full = os.pipe()
    os.set_blocking(full, False)
    try:
        os.write(full, b"".join(number.to_bytes(_NUMBER_BYTES) for number in range(count)))
    finally:
        os.close(full)
    return todo


def _read(answers: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what comes until the last process has ended."""
    unpacker = msgpack.Unpacker()
    while received := os.read(answers, 1 << 16):
        unpacker.feed(received)
        yield from unpacker


def _start(task: Task, todo: int, answers: int, processes: int) -> int:
    """Fork a process that does tasks until there are no more; return its id."""

    def work() -> None:
        share_memory(processes)
        _work(task, todo, answers)

    return fork(work, todo, answers)


def fork(work: Callable[[], None], *kept: int) -> int:
    """Fork a process that does some work and ends, at the latest when this one does.

    Parameters
    ----------
    work : callable
        What it does.
    *kept : int
        The descriptors that it needs; the others are closed.

    Returns
    -------
    pid : int
        Its id, to wait for it by.
    """
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of other threads, whose locks a child would find taken for
        # ever. Here there is one, and it waits in a system call.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    try:
        _die_with(parent)
        _close_all_but(*kept)
        work()
    finally:
        os._exit(0)


def _work(task: Task, todo: int, answers: int) -> None:
    while taken := os.read(todo, _NUMBER_BYTES):
        number = int.from_bytes(taken)
        with contextlib.suppress(MemoryError):
            answer = msgpack.packb((number, task(number)))
            # What is longer might not arrive in one piece.
            if len(answer) <= select.PIPE_BUF:
                os.write(answers, answer)


def _die_with(parent: int) -> None:
    """Have the kernel end this process as soon as its parent ends, by whatever signal."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    """Close what the parent has open, so that others see it close when it dies."""
    first = 3
    for each in sorted(kept):
        os.closerange(first, each)
        first = each + 1
    os.closerange(first, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def share_memory(processes: int) -> None:
    """Leave this process its share of the memory that its parent may still take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or sys.platform != "linux":
        return
    with open("/proc/self/statm") as file:  # noqa: PTH123
        used = int(file.read().split()[5]) * resource.getpagesize()
    share = used + max(0, soft - used) // processes
    resource.setrlimit(resource.RLIMIT_DATA, (share, hard))
