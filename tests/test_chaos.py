"""A short run of random faults under load; `make chaos` has the long one."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.chaos.run import run
from tests.chaos.stack import Stack
from tests.conftest import Spawn
from tests.support import until


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Return a whole service that does not run yet."""
    return Stack(tmp_path)


@pytest.mark.processes
@pytest.mark.alone
@pytest.mark.unchecked("store", reason="the run has a store of its own, and ends with the checker")
@pytest.mark.timeout(180)
async def test_nothing_that_was_acknowledged_is_lost_or_wrong(stack: Stack) -> None:
    """Every training ends as it must, every model predicts what scikit-learn does."""
    report = await run(stack, seed=1, seconds=15)
    assert report.is_good, report
    assert report.history.accepted, report
    assert report.faults.total() > 3, report


@pytest.mark.faults
@pytest.mark.processes
@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_run_that_is_interrupted_leaves_no_process_behind(
    spawn: Spawn, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C ends the whole service, tells what was found and exits with 130.

    Fails when the signal is left to Python, which SIGTERM ends at once.
    """
    logs = tmp_path / "logs"
    command = [sys.executable, "-m", "tests.chaos", "--minutes", "5", "--keep", str(logs)]
    chaos = spawn(*command, PYTHONPATH=str(Path(__file__).parents[1]))

    async def runs() -> bool:
        return all((logs / f"{name}.log").exists() for name in ("api1", "worker1", "store"))

    await until(runs, within_s=20)

    chaos.send_signal(number)

    assert await asyncio.to_thread(chaos.wait, 40) == 130
