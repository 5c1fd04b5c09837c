"""docs/faults.md: every row of the catalogue, and tests that there are."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "faults.md").read_text("utf-8")
ROWS = re.findall(r"^\| ([\d–]+) \|(.*)\|$", TEXT, re.MULTILINE)


def test_every_fault_of_the_catalogue_has_one_row() -> None:
    """None of the 66 is passed over, and each has tests."""
    numbers = [int(number) for number, _ in ROWS if "–" not in number]

    assert sorted(numbers) == list(range(1, 67))
    assert all("`test_" in row for _, row in ROWS)


def test_every_test_that_the_catalogue_names_is_there() -> None:
    """A test that was renamed or deleted is noticed here."""
    source = "".join(file.read_text("utf-8") for file in TESTS.glob("test_*.py"))
    named = {name for _, row in ROWS for name in re.findall(r"`(test_\w+)`", row)}

    assert [name for name in sorted(named) if f"def {name}(" not in source] == []


def test_what_make_test_leaves_out_is_marked() -> None:
    """A test under the marker `faults` has the sign that the document explains, no other has."""
    marked = set(re.findall(r"`(test_\w+)` ᶠ", TEXT))
    named = {name for _, row in ROWS for name in re.findall(r"`(test_\w+)`", row)}

    assert marked == {name for name in named if _is_left_out(name)}


def _is_left_out(name: str) -> bool:
    """Tell whether a test, or the whole of its file, is under the marker."""
    for file in TESTS.glob("test_*.py"):
        before, found, _ = file.read_text("utf-8").partition(f"def {name}(")
        if found:
            head = before.rpartition("\n\n\n")[2]
            whole = re.search(r"^pytestmark = .*mark\.faults", before, re.MULTILINE)
            return bool(whole) or "@pytest.mark.faults" in head
    return False
