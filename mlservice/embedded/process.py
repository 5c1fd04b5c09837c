"""A child process that is started again when it ends by itself.

On Linux the kernel sends SIGTERM to every child when this process dies,
however it dies.
"""

import asyncio
import contextlib
import ctypes
import logging
import signal
import sys
import time
from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_PR_SET_PDEATHSIG = 1


class Supervised:
    """A child process that is started again when it ends by itself.

    Parameters
    ----------
    name : str
        What the log calls it.
    command : sequence of str
        Program and arguments.
    environ : mapping
        The child's environment.
    descriptors : sequence of int
        Open files that the child keeps.

    Attributes
    ----------
    has_ended : bool
        Whether it has ever ended by itself.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.has_ended = False
        self._command = command
        self._environ = dict(environ)
        self._descriptors = tuple(descriptors)
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process, and watch it from now on."""
        self._process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self, patience_s: float) -> None:
        """Ask the process to stop, and kill it when it takes too long."""
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), patience_s)
        except TimeoutError:
            logger.warning("%s did not stop in %g s and is killed", self.name, patience_s)
            self._process.kill()
            await self._process.wait()

    async def _keep(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while self._process:
            begun = time.monotonic()
            code = await self._process.wait()
            self.has_ended = True
            if time.monotonic() - begun > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            logger.error("%s ended with code %d; next start in %g s", self.name, code, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            try:
                self._process = await self._spawn()
            except OSError as error:
                # Too many processes or too little memory, for now.
                logger.warning("%s cannot be started: %s", self.name, error.strerror)

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=self._descriptors,
            # Ctrl-C reaches this process only, which then stops its children in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
