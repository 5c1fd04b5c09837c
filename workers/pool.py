"""Child processes with a deadline and a memory limit: a fit is killed, not awaited.

Each fit has a process of its own, forked from a forkserver that has
scikit-learn imported. One spare is forked ahead, so that starting a fit costs
nothing on its way.
"""

import asyncio
import contextlib
import errno
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from mlservice.errors import TrainerKilled, TrainingProblem, TrainingTimeout
from mlservice.settings import Settings
from mlservice.store import PIECE_BYTES
from workers.exchange import Child, Pieces, Report

_MOST_FORKS, _FORK_PAUSE_S = 5, 0.05
_FOR_CHILDREN = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Most of a large table's time went into fresh memory: a child asks for it in huge pages,
    # and keeps what it frees for the next block, the vectors of a million rows too: they are
    # made anew in each step of a fit. 1,000,000 x 20 of CSV: a fifth of the page faults.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432"
    ":glibc.malloc.trim_threshold=134217728",
}


def _run(connection: socket.socket, settings: Settings) -> None:
    # Here, so that the worker itself never imports scikit-learn.
    from workers import child

    child.run(connection, settings)


def _ignore(progress: dict[str, Any]) -> None:
    """Report to nobody."""


class Pool:
    """Runs fits, each in a process of its own.

    Parameters
    ----------
    settings : Settings
        The fit's limits; the children get them too.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["workers.pool", "workers.template"])
        self._spare: asyncio.Task[Child] | None = None
        self._answered: list[Child] = []
        self._ending: set[asyncio.Task[int | None]] = set()

    async def start(self) -> None:
        """Start the forkserver and fork the first spare."""
        self._spare = self._start_spare()
        await asyncio.wait([self._spare])
        self._spare.result()

    async def close(self) -> None:
        """End the spare; fits under way are ended by whoever runs them."""
        self._reap_answered()
        if self._spare:
            with contextlib.suppress(OSError):
                self._reap(await self._spare)
            self._spare = None
        await asyncio.gather(*self._ending)

    async def run(
        self,
        pieces: Pieces,
        report: Report = _ignore,
        most_bytes: int = 0,
        *,
        limit: asyncio.Timeout | None = None,
    ) -> dict[str, Any]:
        """Fit one training in a child; `restock` is due once its answer is used.

        Parameters
        ----------
        pieces : callable
            Yields the request's body, each time that it is called.
        report : callable
            Gets `phase`, `iteration` and `max_iter` as the fit goes on.
        most_bytes : int
            How large the body is at most, for which the child makes room; 0: not known.
        limit : Timeout
            The fit's time, if it begins later than this.

        Returns
        -------
        dict
            `artifact`, `description` and `name`, or `problem`.

        Raises
        ------
        TrainingTimeout
            If the fit overran its time; the process is gone.
        TrainerKilled
            If the process died by itself.
        """
        child = await self._take()
        try:
            async with limit or asyncio.timeout(self._settings.training_timeout_s):
                answer = await child.exchange(pieces, report, most_bytes)
        except TimeoutError as error:
            await child.end()
            raise self._overran() from error
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise self._died(await child.end()) from error
        except BaseException:
            await child.end()
            raise
        self._answered.append(child)
        return answer

    def restock(self) -> None:
        """End what has answered, and fork the next spare: when nobody waits for the answer."""
        self._reap_answered()
        self._spare = self._spare or self._start_spare()

    def _reap_answered(self) -> None:
        while self._answered:
            self._reap(self._answered.pop())

    def _start_spare(self) -> "asyncio.Task[Child]":
        return asyncio.create_task(asyncio.to_thread(self._fork))

    def _reap(self, child: Child) -> None:
        """End a child without waiting for it."""
        ending = asyncio.create_task(child.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _take(self) -> Child:
        """Return a child that lives: the spare, or a new one."""
        spare, self._spare = self._spare, None
        if spare is not None:
            with contextlib.suppress(OSError):
                child = await self._wait_for(spare)
                if child.is_waiting():
                    return child
                await child.end()
        return await self._wait_for(self._start_spare())

    async def _wait_for(self, forking: "asyncio.Task[Child]") -> Child:
        """Return a child once it is forked; where nobody waits any more, it is the next spare."""
        try:
            return await asyncio.shield(forking)
        except asyncio.CancelledError:
            if self._spare is None:
                self._spare = forking
            else:
                forking.add_done_callback(self._reap_forked)
            raise

    def _reap_forked(self, forking: "asyncio.Task[Child]") -> None:
        if not forking.cancelled() and not forking.exception():
            self._reap(forking.result())

    def _fork(self) -> Child:
        """Fork a child, also if the forkserver is killed meanwhile: the next try starts another."""
        for _ in range(_MOST_FORKS):
            try:
                return self._fork_once()
            except (EOFError, ConnectionError):
                # One that has just died may not be known as dead yet.
                time.sleep(_FORK_PAUSE_S)
        raise ConnectionResetError(errno.ECONNRESET, "the process that forks does not live")

    def _fork_once(self) -> Child:
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as failing:
            failing.enter_context(ours)
            with theirs, _as_for_children():
                # A daemon: the worker's exit must not wait for a spare that waits for the worker.
                process = self._context.Process(
                    target=_run, args=(theirs, self._settings), daemon=True
                )
                process.start()
            failing.pop_all()
        ours.setblocking(False)
        # So that a child finds the next piece when it has read one.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE_BYTES)
        return Child(process, ours)

    def _overran(self) -> TrainingProblem:
        most = f"{self._settings.training_timeout_s:g} s (MLSERVICE_TRAINING_TIMEOUT_S)"
        return TrainingTimeout(f"A training may take {most}, it took longer.")

    def _died(self, code: int | None) -> TrainingProblem:
        if code == -signal.SIGXCPU:
            return self._overran()
        if code is not None and code < 0:
            how = f"it was killed by {signal.Signals(-code).name}"
        else:
            how = f"it ended with code {code}"
        return TrainerKilled(f"The training's process must live until it answers, {how}.")


@contextlib.contextmanager
def _as_for_children() -> Iterator[None]:
    """Give the forkserver its environment, and keep children from importing our script.

    multiprocessing would run the parent's main script again in each child,
    which takes 140 ms under arq's command line.
    """
    main = sys.modules["__main__"]
    script = main.__dict__.pop("__file__", None)
    before = {name: os.environ.get(name) for name in _FOR_CHILDREN}
    os.environ.update(_FOR_CHILDREN)
    try:
        yield
    finally:
        if script is not None:
            main.__file__ = script
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
