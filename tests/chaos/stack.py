"""A whole service of real processes that can be hurt: store, proxy, APIs, workers."""

import asyncio
import os
import re
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from subprocess import Popen

import psutil

from mlservice.embedded import valkey
from mlservice.settings import Settings
from tests.proxy import Proxy
from tests.support import until

START_S = 60.0
_url = re.compile(r"listening at (http://[^\"\s]+)")


class Program:
    """One process, started again as often as it is wanted."""

    def __init__(self, command: Sequence[str], environ: dict[str, str], log: Path) -> None:
        self._command = command
        self._environ = environ
        self.log = log
        self.process: Popen[bytes] | None = None
        self._begun_at = 0

    def start(self) -> None:
        """Start it, with its words at the end of its log."""
        with self.log.open("ab") as log:
            self._begun_at = log.tell()
            # Ctrl-C is for the run, which ends its processes in order.
            self.process = Popen(
                self._command, env=self._environ, stdout=log, stderr=log, start_new_session=True
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process
        self.process.send_signal(number)

    async def end(self, number: signal.Signals) -> int:
        """End it by a signal, though it may stand still; return its exit code."""
        assert self.process
        for each in (number, signal.SIGCONT):
            self.process.send_signal(each)
        return await asyncio.to_thread(self.process.wait, START_S)

    def said(self) -> str:
        """Return what it has said since it was started last."""
        with self.log.open("rb") as log:
            log.seek(self._begun_at)
            return log.read().decode(errors="replace")

    def children(self) -> list[psutil.Process]:
        """Return the processes below it."""
        assert self.process
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


class Stack:
    """A store behind a proxy, two APIs and two workers, in a folder of their own.

    Attributes
    ----------
    store_url : str
        The store without the proxy, for those who check.
    settings : Settings
        Where that is.
    """

    def __init__(self, folder: Path, *, apis: int = 2, workers: int = 2) -> None:
        self.mark = str(uuid.uuid4())
        self.store_url = f"unix://{valkey.socket_path(folder)}"
        self.settings = Settings(redis_url=self.store_url)
        self.proxy = Proxy(self.store_url)
        self._folder = folder
        self._counts = apis, workers
        self.store = Program(
            valkey.command(folder, appendfsync="always"), self._environ(), folder / "store.log"
        )
        self.apis: list[Program] = []
        self.workers: list[Program] = []

    def _environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if "MLSERVICE" not in name}
        return own | {
            "MLSERVICE_LEASE_S": "3",
            "MLSERVICE_SWEEP_S": "0.5",
            "MLSERVICE_LOG_FORMAT": "json",
            "PYTHONFAULTHANDLER": "1",
        }

    def _program(self, name: str, *command: str) -> Program:
        environ = self._environ() | {"MLSERVICE_REDIS_URL": self.proxy.url}
        argv = [sys.executable, "-m", *command]
        # Seen in the command's environment by whoever looks for orphans.
        return Program(argv, environ | {"CHAOS_RUN": self.mark}, self._folder / f"{name}.log")

    async def start(self) -> None:
        """Start all of it, and wait until it can train."""
        await self.proxy.__aenter__()
        self.store.start()
        apis, workers = self._counts
        serve = ("mlservice", "serve", "--api-only", "--port", "0")
        self.apis = [self._program(f"api{i}", *serve) for i in range(apis)]
        self.workers = [self._program(f"worker{i}", "workers") for i in range(workers)]
        for program in (*self.apis, *self.workers):
            program.start()
        await until(self._all_listen, within_s=START_S)

    async def _all_listen(self) -> bool:
        return all(self.url(number) for number in range(len(self.apis)))

    def url(self, number: int) -> str | None:
        """Return an API's address, or None while it has none."""
        found = _url.findall(self.apis[number].said())
        return str(found[-1]) if found else None

    async def stop(self) -> list[int]:
        """End APIs and workers in order; return their exit codes."""
        programs = (*self.apis, *self.workers)
        return [await each.end(signal.SIGTERM) for each in programs if each.process]

    async def close(self) -> None:
        """End the way to the store, and the store."""
        await self.proxy.__aexit__(None, None, None)
        if self.store.process:
            await self.store.end(signal.SIGTERM)

    def logs(self) -> str:
        """Return all that APIs and workers have said."""
        programs = (*self.apis, *self.workers)
        return "".join(program.log.read_text(errors="replace") for program in programs)
