"""A short run of random faults under load; `make chaos` has the long one."""

from pathlib import Path

import pytest

from tests.chaos.run import run
from tests.chaos.stack import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Return a whole service that does not run yet."""
    return Stack(tmp_path)


@pytest.mark.processes
@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_nothing_that_was_acknowledged_is_lost_or_wrong(stack: Stack) -> None:
    """Every training ends as it must, every model predicts what scikit-learn does."""
    report = await run(stack, seed=1, seconds=15)
    assert report.is_good, report
    assert report.history.accepted, report
    assert report.faults.total() > 3, report
