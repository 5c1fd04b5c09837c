"""What the process that serves sets for itself."""

import ctypes
import gc
import resource
import sys
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mlservice.app import keep_memory, share_processor

_libc = ctypes.CDLL(None)
# More than tests before may have left free in the midst of the heap.
_TABLE_BYTES = 7 << 20
# What malloc.h calls them, and what glibc has where nothing is said.
_AS_IT_COMES = {"M_TRIM_THRESHOLD": (-1, 128 << 10), "M_MMAP_THRESHOLD": (-3, 128 << 10)}


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


@pytest.fixture
def _malloc_as_it_comes() -> Iterator[None]:
    """Have memory go back to the kernel soon; what comes after may be faster."""
    for option, value in _AS_IT_COMES.values():
        _libc.mallopt(option, value)
    _libc.malloc_trim(0)
    yield
    keep_memory()


def _faults_of_tables() -> int:
    """Return how many pages were taken anew for some tables, one after the other."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(10):
        bytearray(_TABLE_BYTES)
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


@pytest.mark.skipif(not hasattr(_libc, "mallopt"), reason="the C library is not glibc")
@pytest.mark.usefixtures("_malloc_as_it_comes")
@pytest.mark.parametrize("is_kept", [True, False])
def test_memory_of_a_table_is_used_for_the_next_one(is_kept: bool) -> None:
    """Ten tables take the pages of one; left to itself the C library takes those of each."""
    if is_kept:
        keep_memory()

    pages = _TABLE_BYTES // resource.getpagesize()
    assert (_faults_of_tables() < 2 * pages) == is_kept
