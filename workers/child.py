"""What runs in a fit's own process: limits, lifeline, and one training.

When the parent goes away, so does the child.
"""

import contextlib
import functools
import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Callable

import msgspec

from mlservice.errors import InternalError, Problem, TrainingMemory
from mlservice.model import encode
from mlservice.settings import Settings
from mlservice.table import Coming
from workers.aside import MOST_BYTES, Aside
from workers.crew import cores
from workers.frames import Body, send
from workers.parting import Elsewhere, fit_part, nowhere
from workers.progress import TELL_EVERY_S, Tell
from workers.training import train

_CPU_GRACE_S = 30
# Trainings that follow each other at once find both cores busy.
_IDLE_S = 0.02
# Three classes, text and a part that is held out: the way of most trainings.
_SMALL = {"data": {"x": list(range(24)), "y": ["a", "b", "c"] * 8}, "target": "y"}


def run(connection: socket.socket, settings: Settings) -> None:
    """Fit one training and answer; the process ends with this call."""
    _be_silent()
    _limit(settings)
    _rehearse_for(connection, settings)
    aside = _fork_aside(connection, settings)
    # Now, since a thread needs memory that a large body may leave none of.
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    body = Body(connection)
    # A small body, or enough of a large one to know it.
    body.reach(MOST_BYTES + 1)
    if aside:
        aside.begin(body.there)
    elsewhere = aside.answer if aside else nowhere
    answer = _train(body.there, settings, _Teller(connection), elsewhere, body)
    # The parent sends all of it before it listens.
    body.leave_rest()
    send(connection, answer)
    if aside:
        aside.end()


def _fork_aside(connection: socket.socket, settings: Settings) -> Aside | None:
    """Fork a second process where there is a core for it, and no work for a while."""
    if cores() < 2 or _is_readable(connection, _IDLE_S):
        return None
    aside = Aside(
        functools.partial(_rehearse_for, settings=settings),
        functools.partial(fit_part, limits=settings),
    )
    # What this process has copied for itself, the two share again.
    _rehearse_for(connection, settings)
    return aside


def _rehearse_for(connection: socket.socket, settings: Settings) -> None:
    rehearse(settings, until=functools.partial(_is_readable, connection))


def rehearse(settings: Settings, until: Callable[[], bool] = lambda: False) -> None:
    """Train a small table, for what a process does once only.

    A process that was forked copies about 1,600 pages of memory in its first fit, which
    takes 5 to 15 ms; scikit-learn inspects signatures, OpenMP starts.

    Parameters
    ----------
    until : callable
        Tells whether the work that is rehearsed for has come: it is not kept waiting.
    """

    def tell(phase: str, **done: float) -> None:  # noqa: ARG001  # a Tell
        if until():
            raise _CalledAway

    with contextlib.suppress(_CalledAway):
        _train(bytearray(msgspec.json.encode(_SMALL)), settings, tell)


class _CalledAway(BaseException):
    """There is work."""


class _Teller:
    """Sends progress: each phase, and at most five times a second how much is done."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._phase = ""
        self._told = 0.0

    def __call__(self, phase: str, **done: float) -> None:
        now = time.monotonic()
        if phase == self._phase and now - self._told < TELL_EVERY_S:
            return
        self._phase, self._told = phase, now
        progress = {"phase": phase, "iteration": None, "max_iter": None, "loss": None, **done}
        with contextlib.suppress(OSError):
            send(self._connection, {"progress": progress})


def _train(
    body: bytearray,
    settings: Settings,
    tell: Tell,
    elsewhere: Elsewhere = nowhere,
    coming: Coming | None = None,
) -> dict[str, object]:
    try:
        tell("reading")
        trained = train(body, settings, tell, elsewhere, coming)
    except Problem as problem:
        return _failed(problem)
    except MemoryError:
        return _out_of_memory(settings)
    except Exception as error:  # noqa: BLE001  # the top of a process
        # Its text could hold the client's data.
        name = type(error).__name__
        return _failed(InternalError(f"The service has a bug: {name} in the fit."))
    tell("storing")
    return {
        "artifact": encode(trained.model),
        "description": msgspec.json.encode(trained.description),
        "name": trained.name or "",
    }


def _out_of_memory(settings: Settings) -> dict[str, object]:
    most = f"{settings.training_memory_bytes} bytes (MLSERVICE_TRAINING_MEMORY_BYTES)"
    return _failed(TrainingMemory(f"The training may take {most}, it needed more."))


def _failed(problem: Problem) -> dict[str, object]:
    return {"problem": problem.document()}


def _be_silent() -> None:
    """Send nowhere what libraries print: the worker's log is not theirs, its pipe may be full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _limit(settings: Settings) -> None:
    """Bound what the fit may take, and let the kernel end it before the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cpu_s = int(settings.training_timeout_s) + _CPU_GRACE_S
    for kind, most in (
        (resource.RLIMIT_DATA, settings.training_memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
    os.nice(5)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")


def _is_readable(connection: socket.socket, within_s: float = 0) -> bool:
    return bool(select.select([connection], [], [], within_s)[0])


def _end_with_parent(connection: socket.socket) -> None:
    """Wait for the parent to close its end, which it does by dying or giving up."""
    hanging_up = select.poll()
    # Nothing else is waited for: what comes is the body's.
    hanging_up.register(connection, 0)
    hanging_up.poll()
    os._exit(1)
