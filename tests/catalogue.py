"""docs/faults.md, read: which tests hold which row."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "docs" / "faults.md").read_text("utf-8")
ROWS = re.findall(r"^\| ([\d–]+) \|(.*)\|$", TEXT, re.MULTILINE)


def named(text: str) -> set[str]:
    """Return the tests that a text names."""
    return set(re.findall(r"`(test_\w+)`", text))


def _section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


# Tests that break a worker, a process that fits, the store or the way to it.
CHECKED = named(_section("Workers and their children") + _section("The store and the way to it"))
