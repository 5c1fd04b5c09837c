"""What the process that serves sets for itself."""

import ctypes
import gc
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mlservice.app import share_processor

_libc = ctypes.CDLL(None)
_TABLE_BYTES = 7 << 20
# malloc.h's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD, as glibc has them where nothing is said.
_AS_IT_COMES = [(-1, 128 << 10), (-3, 128 << 10)]


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


# How many pages some tables take anew, one after the other, in a process of its own: what free
# pieces there are in this one's heap depends on the tests before.
_TABLES = f"""
import ctypes, resource, sys
from mlservice.app import keep_memory
for option, value in {_AS_IT_COMES}:
    ctypes.CDLL(None).mallopt(option, value)
if sys.argv[1] == "kept":
    keep_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytearray({_TABLE_BYTES})
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(_libc, "mallopt"), reason="the C library is not glibc")
def test_memory_of_a_table_is_used_for_the_next_one() -> None:
    """Ten tables take the pages of one; left to itself the C library takes those of each."""
    kept, left = (
        int(subprocess.check_output([sys.executable, "-c", _TABLES, how], text=True))
        for how in ("kept", "left")
    )

    pages = _TABLE_BYTES // resource.getpagesize()
    # The kernel may map several pages at one fault.
    assert kept < 2 * pages <= left
