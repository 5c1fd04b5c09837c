"""What a fit's own process does beside the fit."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec

from tests.support import make_request
from workers.frames import LENGTH, MOST

ROOT = Path(__file__).parents[1]
NOISY = """
import os, socket, sys, warnings
from mlservice.settings import Settings
from workers import child

def noisy(*arguments, train=child.train):
    for _ in range(1000):
        print("x" * 1000)
        warnings.warn("y" * 1000, stacklevel=1)
        os.write(2, b"z" * 1000)
    return train(*arguments)

child.train = noisy
child.run(socket.socket(fileno=int(sys.argv[1])), Settings())
"""


def test_what_a_fit_prints_goes_nowhere() -> None:
    """Megabytes of it are in no log, and a pipe that nobody reads holds up no fit."""
    ours, theirs = socket.socketpair()
    body = msgspec.json.encode(make_request())
    command = [sys.executable, "-c", NOISY, str(theirs.fileno())]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    ours.settimeout(60)
    with (
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env=environ,
        ) as process,
        # Closed first, it ends the process also where something goes wrong.
        ours,
    ):
        theirs.close()
        ours.sendall(MOST.pack(0) + LENGTH.pack(len(body)) + body + LENGTH.pack(0))
        frames = list(_frames(ours))
        said = process.communicate(timeout=20)

    assert "artifact" in frames[-1]
    assert said == (b"", b"")


def _frames(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield what a child sends, until it has ended."""
    with connection.makefile("rb") as stream:
        while length := stream.read(4):
            yield msgpack.unpackb(stream.read(int.from_bytes(length)))
