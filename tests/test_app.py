"""What the process that serves sets for itself."""

import gc
import sys
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mlservice.app import share_processor


@pytest.fixture
def _as_before() -> Iterator[None]:
    """Give the process back as it was."""
    interval = sys.getswitchinterval()
    with threadpool_limits(2):
        yield
    sys.setswitchinterval(interval)
    gc.unfreeze()


@pytest.mark.usefixtures("_as_before")
def test_tables_leave_the_processor_to_others() -> None:
    """BLAS has one thread, and a thread of Python gives way within half a millisecond."""
    share_processor()

    threads = {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}
    assert threads == {1}
    assert sys.getswitchinterval() == pytest.approx(0.0005)


@pytest.mark.usefixtures("_as_before")
def test_what_was_imported_is_not_looked_through_for_garbage() -> None:
    """A full collection of garbage stops every thread, so that it looks at little."""
    share_processor()

    assert len(gc.get_objects()) < 1_000 < gc.get_freeze_count()
