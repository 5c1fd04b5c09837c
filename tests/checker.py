"""The checker that every test which breaks something ends with.

Each training that was acknowledged comes to its end, with the worker that is
left if there is none; an acknowledged cancel is never ready; a model that is
ready predicts what scikit-learn's own fit does; the store agrees with itself,
and nothing is left in it; processes end in order, none is left behind; no
answer is a failure; no log has a traceback.
"""

import asyncio
import contextlib
import logging
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from aiohttp import ClientSession, TraceConfig
from redis import Redis

from mlservice import jobs
from mlservice.embedded.valkey import command, socket_path
from mlservice.settings import Settings
from mlservice.store import Link, Trainings, open_redis
from tests.history import History
from tests.oracle import oracle
from tests.stored import OPEN, Stored
from tests.support import running_valkey, work

# Seen in the environment of every process that a test starts, and of those that they start.
MARK = "CHECKED_RUN"
PARTS = {"answers", "store", "processes", "logs"}
# What a lost worker's lease, a sweep and a fit take.
SETTLED_S = 25.0
ENDED_S = 10.0
ORPHANED_S = 3.0


class Told(logging.Handler):
    """Tracebacks that this process logged."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what came with an exception."""
        if record.exc_info and record.exc_info[0]:
            self.found.append(
                f"a traceback is logged: {record.getMessage()}: {record.exc_info[1]!r}"
            )


class Checker:
    """What one test has started and was promised, and the verdict on it.

    Parameters
    ----------
    settings : Settings, optional
        Where the store is, which a test may say later; without any, no store is looked at.
    unchecked : collection of str
        Parts that cannot be asked for: `PARTS`.

    Attributes
    ----------
    mark : str
        Stands in the environment of every process that the test starts.
    """

    def __init__(
        self, settings: Settings | None = None, *, unchecked: Collection[str] = ()
    ) -> None:
        self.history = History()
        self.settings = settings
        self.told = Told()
        self.mark = str(uuid.uuid4())
        self._unchecked = set(unchecked)
        assert self._unchecked <= PARTS, self._unchecked
        self._again: list[str] = []
        self._started: list[tuple[subprocess.Popen[str], Path]] = []

    def started(self, process: "subprocess.Popen[str]", log: Path) -> None:
        """Note a process and where it logs."""
        self._started.append((process, log))

    def starts_again(self, folder: Path) -> None:
        """Look at the store that a service had in a folder, once that service has ended."""
        self.settings = Settings(redis_url=f"unix://{socket_path(folder)}")
        self._again = command(folder, appendfsync="everysec")

    async def verdict(self) -> list[str]:
        """End what still runs, and return all that is wrong."""
        wrong: list[str] = []
        try:
            wrong += await asyncio.to_thread(end_programs, [each for each, _ in self._started])
            if self.settings and "store" not in self._unchecked:
                wrong += await self._store(self.settings)
        finally:
            await asyncio.to_thread(_end_others, [each for each, _ in self._started])
        return [
            *wrong,
            *self._part("answers", self.history.failures),
            *self._part("processes", await asyncio.to_thread(left_behind, self.mark)),
            *self._part("logs", [*self.told.found, *self._tracebacks()]),
        ]

    def _part(self, part: str, wrong: list[str]) -> list[str]:
        return [] if part in self._unchecked else wrong

    def _tracebacks(self) -> list[str]:
        return [
            f"{log.name} has a traceback: {said}"
            for _, log in self._started
            if "Traceback" in (said := log.read_text(errors="replace"))
        ]

    async def _store(self, settings: Settings) -> list[str]:
        with self._running(settings):
            await settle(settings, self.history)
            return await asyncio.to_thread(judge, settings, self.history)

    def _running(self, settings: Settings) -> contextlib.AbstractContextManager[None]:
        if self._again:
            return running_valkey(self._again, settings.redis_url)
        return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def judged(checker: Checker) -> AsyncIterator[Checker]:
    """Hear all that is promised and logged meanwhile, and refuse what is wrong in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, checker.mark)
        patch.setattr(ClientSession, "__init__", heard(checker.history.trace()))
        logging.getLogger().addHandler(checker.told)
        try:
            yield checker
            wrong = await checker.verdict()
        finally:
            logging.getLogger().removeHandler(checker.told)
    assert wrong == [], "\n".join(wrong)


def heard(trace: TraceConfig) -> Callable[..., None]:
    """Return what opens a client's session that tells what it is promised."""
    begin = ClientSession.__init__

    def open_session(self: ClientSession, *args: Any, **options: Any) -> None:
        traces = [*options.get("trace_configs", ()), trace]
        begin(self, *args, **options | {"trace_configs": traces})

    return open_session


@contextlib.contextmanager
def looking(settings: Settings) -> Iterator[Stored]:
    """Look at a store."""
    with Redis.from_url(settings.redis_url, socket_timeout=5) as store:
        yield Stored(store, settings.queue_name)


async def settle(settings: Settings, history: History) -> None:
    """Let a worker bring every training that was acknowledged to its end.

    A fit that would not end within a second is one that its time limit ends.
    """
    short = msgspec.structs.replace(settings, training_timeout_s=1.0)
    link = Link(open_redis(short), short.store_timeout_s)
    trainings = Trainings(link, short, jobs.entry)

    try:
        async with asyncio.timeout(SETTLED_S):
            while await asyncio.to_thread(_is_open, short, history):
                await trainings.sweep()
                await work(short)
    except TimeoutError:
        history.wrong.append(f"not every training has ended after {SETTLED_S} s")
    finally:
        await link.close()


def _is_open(settings: Settings, history: History) -> bool:
    with looking(settings) as stored:
        return bool(stored.of(*OPEN) & history.accepted.keys())


def judge(settings: Settings, history: History) -> list[str]:
    """Return what is wrong with the ends of trainings, with models, and with the store."""
    with looking(settings) as stored:
        for model_id, body in history.accepted.items():
            state, problem = stored.end(model_id)
            history.judge(model_id, state, problem)
            if state == "ready" and (fit := oracle(body)) and stored.differs(model_id, fit):
                history.wrong.append(f"{model_id} is not what scikit-learn fits")
        return [*history.wrong, *history.lost, *history.compare(), *stored.disagreements()]


def _is_ours(process: "subprocess.Popen[str]") -> bool:
    """Tell whether a process is one of the service's, which ends in order."""
    assert isinstance(process.args, list | tuple)
    names = {"workers", "mlservice", "workers.settings.WorkerSettings"}
    return not names.isdisjoint(map(str, process.args))


def end_programs(started: "list[subprocess.Popen[str]]") -> list[str]:
    """Tell what runs of the service to stop; return what did not end in order."""
    running = [each for each in started if each.poll() is None and _is_ours(each)]
    for process in running:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    return [wrong for process in running if (wrong := _ended(process))]


def _ended(process: "subprocess.Popen[str]") -> str:
    try:
        code = process.wait(ENDED_S)
    except subprocess.TimeoutExpired:
        return f"{process.args!r} did not end within {ENDED_S} s"
    return f"{process.args!r} ended with {code}" if code else ""


def _end_others(started: "list[subprocess.Popen[str]]") -> None:
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(ENDED_S)


def left_behind(mark: str, variable: str = MARK) -> list[str]:
    """Return the processes with a mark in their environment that still run after a while."""
    deadline = time.monotonic() + ORPHANED_S
    while (found := _marked(mark, variable)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _marked(mark: str, variable: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == mark and not _is_python_s_own(process):
                found.append(f"{process.pid} is left behind: {process.cmdline()}")
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def _is_python_s_own(process: psutil.Process) -> bool:
    """Tell whether a process is this one's, or one that it forks others by as long as it lives."""
    own = psutil.Process()
    is_server = {"forkserver", "resource_tracker"}
    words = " ".join(process.cmdline())
    return process == own or (process.ppid() == own.pid and any(map(words.__contains__, is_server)))
