"""docs/faults.md: every row of the catalogue, and tests that there are."""

import re
from pathlib import Path

from tests.catalogue import ROWS, TEXT, named

TESTS = Path(__file__).parent
NAMED = {name for _, row in ROWS for name in named(row)}


def test_every_fault_of_the_catalogue_has_one_row() -> None:
    """None of the 66 is passed over, and each has tests."""
    numbers = [int(number) for number, _ in ROWS if "–" not in number]

    assert sorted(numbers) == list(range(1, 67))
    assert all("`test_" in row for _, row in ROWS)


def test_every_test_that_the_catalogue_names_is_there() -> None:
    """A test that was renamed or deleted is noticed here."""
    source = "".join(file.read_text("utf-8") for file in TESTS.glob("test_*.py"))

    assert [name for name in sorted(NAMED) if f"def {name}(" not in source] == []


def test_what_make_test_leaves_out_is_marked() -> None:
    """A test under the marker `faults` has the sign that the document explains, no other has."""
    marked = set(re.findall(r"`(test_\w+)` ᶠ", TEXT))

    assert marked == {name for name in NAMED if _is_left_out(name)}


def _is_left_out(name: str) -> bool:
    """Tell whether a test, or the whole of its file, is under the marker."""
    for file in TESTS.glob("test_*.py"):
        before, found, _ = file.read_text("utf-8").partition(f"def {name}(")
        if found:
            head = before.rpartition("\n\n\n")[2]
            whole = re.search(r"^pytestmark = .*mark\.faults", before, re.MULTILINE)
            return bool(whole) or "@pytest.mark.faults" in head
    return False
