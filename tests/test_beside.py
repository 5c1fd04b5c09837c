"""Work in a process beside a fit: the same result, however it is done."""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest

from mlservice.settings import Settings
from tests.support import make_request
from workers import training
from workers.beside import beside
from workers.crew import cores


def whose() -> bytes:
    """Return the id of the process that does the work."""
    return str(os.getpid()).encode()


def test_large_work_is_done_in_a_process_of_its_own() -> None:
    """It is another one where there is a core for it, and gone once the block ends."""
    with beside(whose, is_large=True) as work:
        pid = int(work())

    assert (pid == os.getpid()) == (cores() < 2)
    assert pid == os.getpid() or not psutil.pid_exists(pid)


def test_small_work_is_done_where_it_is_asked_for() -> None:
    """A process would take longer."""
    with beside(whose, is_large=False) as work:
        assert int(work()) == os.getpid()


def test_result_may_be_larger_than_a_pipe_holds() -> None:
    """The process waits until its result is taken."""
    with beside(lambda: b"x" * 1_000_000, is_large=True) as work:
        assert work() == b"x" * 1_000_000


@pytest.mark.parametrize("said", [b"", b"\0\0\0\0\0\0\0\5hel"])
def test_work_whose_process_dies_is_done_here(said: bytes) -> None:
    """What it had written by then does not count."""
    here = os.getpid()

    def dies() -> bytes:
        if os.getpid() != here:
            # Beside the standard ones it has its end of the pipe.
            for descriptor in range(3, 64):
                with contextlib.suppress(OSError):
                    os.write(descriptor, said)
            os.kill(os.getpid(), signal.SIGKILL)
        return b"done"

    with beside(dies, is_large=True) as work:
        assert work() == b"done"


@pytest.fixture
def limited() -> Iterator[None]:
    """Leave this process 800 MiB that it may still take."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    used = psutil.Process().memory_info().data
    resource.setrlimit(resource.RLIMIT_DATA, (used + (800 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


@pytest.mark.skipif(sys.platform != "linux" or cores() < 2, reason="there is no second process")
@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(("megabytes", "is_other"), [(50, True), (300, False)])
def test_second_process_has_a_quarter_of_the_memory(megabytes: int, is_other: bool) -> None:
    """What needs more is done here."""

    def work() -> bytes:
        return whose() if bytearray(megabytes << 20) else b""

    with beside(work, is_large=True) as asked:
        assert (int(asked()) != os.getpid()) == is_other


def test_nothing_is_left_open_where_nobody_asks_for_the_result() -> None:
    """A fit that fails ends what runs beside it."""
    process = psutil.Process()
    before = process.num_fds(), len(process.children())

    with pytest.raises(KeyError), beside(lambda: b"x" * 1_000_000, is_large=True):
        raise KeyError

    assert (process.num_fds(), len(process.children())) == before


def test_model_is_the_same_whether_its_rows_are_looked_at_beside_the_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Digest, profile, coefficients and warnings do not depend on the size that makes a process."""
    body = json.dumps(make_request(params={"max_iter": 3})).encode()
    alone = training.train(body, Settings())

    monkeypatch.setattr(training, "_LARGE", 0)
    together = training.train(body, Settings())

    assert together.model.provenance == alone.model.provenance
    assert together.model.profile == alone.model.profile
    assert together.model.coef.tobytes() == alone.model.coef.tobytes()
    assert together.description.warnings == alone.description.warnings
