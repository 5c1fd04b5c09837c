"""All that is promised of the speed of predictions, as one table: `python -m benchmarks.all`.

It runs the other benchmarks one after the other, which takes some five minutes on two
cores with nothing else running, shows what they print, and then each promise with
what was measured. What other servers reach is measured by `benchmarks.peers`.
"""

import operator
import re
import subprocess
import sys
from dataclasses import dataclass

import click

from benchmarks.measure import ROOT, check_tools

MODULES = {
    "rows": ("benchmarks",),
    "tables": ("benchmarks.batches",),
    "tensors": ("benchmarks.protocols",),
    "crowds": ("benchmarks.crowds",),
    "processes": ("benchmarks.processes",),
}
# The second half of what `benchmarks.batches` prints.
WITHOUT = r"(?s)without extras.*?"
_HOLDS = {"≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True)
class Promise:
    """What must be reached, and where it is told.

    Attributes
    ----------
    work : str
        What is done.
    bound : str
        A sign, a number and its unit; without a sign it is told as measured.
    module : str
        Whose output tells it.
    pattern : str
        Its first group is the figure.
    """

    work: str
    bound: str
    module: str
    pattern: str

    def row(self, output: str) -> str:
        """Return the line of the table."""
        found = re.search(self.pattern, output)
        if not found:
            raise click.ClickException(f"{self.work} is not told by {MODULES[self.module][0]}.")
        measured = found[1]
        sign, _, number = self.bound.partition(" ")
        if sign not in _HOLDS:
            return f"| {self.work} | {self.bound} | {measured} | |"
        holds = _HOLDS[sign](_number(measured), _number(number.split()[0]))
        return f"| {self.work} | {self.bound} | {measured} | {'yes' if holds else 'no'} |"


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _cell(name: str, column: int) -> str:
    """Return the pattern of a cell of a table, by the name of its row."""
    return rf"\| {name} (?:\|[^|]*){{{column - 1}}}\| ([\d.]+)"


BATCH = "10,000 × 30 as JSON"
PROMISES = (
    Promise("one row by GET, 32 connections, to the floor", "≥ 0.70", "rows",
            _cell("requests/s, 32 connections", 3)),
    Promise("its p50 at one connection, to the floor's", "≤ 1.3", "rows",
            _cell("p50, ms, 1 connections", 3)),
    Promise("its p99", "≤ 1.5", "rows", _cell("p99, ms, 1 connections", 3)),
    Promise("one row by POST", "≥ 0.70", "tables", r"one row, POST.*ratio ([\d.]+)"),
    Promise("one row in V2's JSON", "≥ 0.60", "tensors", r"one row, V2.*ratio ([\d.]+)"),
    Promise(f"{BATCH}, split, to the floor", "≤ 1.4", "tables", _cell("JSON, split", 3)),
    Promise(f"{BATCH}, columns", "≤ 1.4", "tables", _cell("JSON, columns", 3)),
    Promise(f"{BATCH}, records", "as measured", "tables", _cell("JSON, records", 3)),
    Promise(f"{BATCH}, split, without extras", "≤ 2.5", "tables",
            WITHOUT + _cell("JSON, split", 3)),
    Promise("the same in V2's bytes", "≤ 4 ms", "tensors", _cell("bytes", 2)),
    Promise("in msgpack", "≤ 4 ms", "tables", _cell("msgpack", 2)),
    Promise("in an Arrow stream", "≤ 4 ms", "tables", _cell("Arrow", 2)),
    Promise("CSV in and out, 1,000,000 × 20", "≥ 150,000 rows/s", "tables",
            r"CSV in and out.*: ([\d,]+) rows/s"),
    Promise("its memory above idle", "≤ 64 MiB", "tables", r"CSV in and out.*, (\d+) MiB"),
    Promise("the same without extras", "≥ 60,000 rows/s", "tables",
            WITHOUT + r"CSV in and out[^\n]*: ([\d,]+) rows/s"),
    Promise("single rows beside such tables, p99", "≤ 25 ms", "tables",
            r"beside \d+ tables/s.* p99 ([\d.]+)"),
    Promise("a model that is not in memory, above one that is", "≤ 1.5 ms", "crowds",
            r"([\d.]+) ms above"),
    Promise("1,000 models in turn, a tenth in memory: memory before and after", "flat", "crowds",
            r"memory (\d+ MB, after three more rounds \d+ MB)"),
    Promise("two processes to one, the load beside them", "as measured", "processes",
            r": ([\d.]+)\s*$"),
)  # fmt: skip


def measured(module: str) -> str:
    """Run a benchmark, show what it prints, and return it."""
    command = [sys.executable, "-m", *MODULES[module]]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout or ():
            click.echo(line, nl=False, err=True)
            lines.append(line)
    if running.returncode:
        raise click.ClickException(f"{' '.join(MODULES[module])} failed.")
    return "".join(lines)


@click.command()
@click.argument("modules", nargs=-1, type=click.Choice(list(MODULES)))
def main(modules: tuple[str, ...]) -> None:
    """Measure all, or what is named, and print each promise beside what was measured."""
    check_tools()
    outputs = {module: measured(module) for module in modules or MODULES}
    click.echo("| work | must reach | measured | held |\n|---|---|---|---|")
    for promise in PROMISES:
        if promise.module in outputs:
            click.echo(promise.row(outputs[promise.module]))


if __name__ == "__main__":
    main()
