"""Work in a second process beside a fit, which sees what the first one had and dies with it."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from workers.crew import cores, fork, share_memory

Work = Callable[[], bytes]
_LENGTH_BYTES = 8
# Its share of the memory that may still be taken: the fit needs more of it.
_SHARES = 4


@contextlib.contextmanager
def beside(work: Work, *, is_large: bool) -> Iterator[Work]:
    """Begin some work, and yield what returns its result.

    Parameters
    ----------
    work : callable
        It changes nothing here. Where no process can do it, it is done when its result is
        asked for.
    is_large : bool
        Whether it is worth a process, which takes some milliseconds to fork.
    """
    if not is_large or cores() < 2:
        yield work
        return
    answer, theirs = os.pipe()
    pid = 0
    try:
        with contextlib.suppress(OSError):
            pid = fork(lambda: _write(theirs, work), theirs)
        os.close(theirs)
        yield lambda: _read(answer) or work()
    finally:
        os.close(answer)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _write(pipe: int, work: Work) -> None:
    share_memory(_SHARES)
    found = work()
    with os.fdopen(pipe, "wb") as file:
        file.write(len(found).to_bytes(_LENGTH_BYTES) + found)


def _read(pipe: int) -> bytes:
    """Return what comes, nothing if the process died before all of it was there."""
    with os.fdopen(pipe, "rb", closefd=False) as file:
        length, found = file.read(_LENGTH_BYTES), file.read()
    return found if len(found) == int.from_bytes(length) else b""
