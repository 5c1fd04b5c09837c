"""Speed and memory of reading tables: `python -m benchmarks.tables`.

Each body is read in a process of its own, whose peak of memory, its imports
aside, is told in sizes of the body. The body itself is one of them.
"""

import io
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgpack
import numpy as np
from numpy.typing import NDArray

from mlservice.table import from_csv, from_msgpack, from_ndjson

COLUMNS = 20


def numbers(rows: int) -> NDArray[np.float64]:
    """Return a table of numbers."""
    return np.random.default_rng(0).normal(size=(rows, COLUMNS))


def csv_of(rows: int, cell: str, *, label: str = "") -> bytearray:
    """Return numbers as CSV, perhaps with a column of text behind."""
    names = [f"f{i}" for i in range(COLUMNS)] + (["label"] if label else [])
    line = ",".join([cell] * COLUMNS + ([label] if label else []))
    out = io.BytesIO()
    np.savetxt(out, numbers(rows), fmt=line, header=",".join(names), comments="")
    return bytearray(out.getbuffer())


def ndjson_of(rows: int) -> bytearray:
    """Return numbers as records."""
    members = ", ".join(f'"f{i}": %.6f' for i in range(COLUMNS))
    out = io.BytesIO()
    np.savetxt(out, numbers(rows), fmt="{" + members + "}")
    return bytearray(out.getbuffer())


def msgpack_of(rows: int) -> bytearray:
    """Return numbers as raw arrays."""
    columns = {
        f"f{i}": {"dtype": "<f8", "data": column.tobytes()}
        for i, column in enumerate(numbers(rows).T)
    }
    return bytearray(msgpack.packb({"columns": columns}))


CASES: dict[str, tuple[Callable[[int], bytearray], Callable[[bytearray], object]]] = {
    "CSV, 6 decimals": (lambda rows: csv_of(rows, "%.6f"), from_csv),
    "CSV, 17 digits": (lambda rows: csv_of(rows, "%.17g"), from_csv),
    "CSV, 6 decimals and a text": (lambda rows: csv_of(rows, "%.6f", label="setosa"), from_csv),
    "CSV, quoted": (lambda rows: csv_of(rows, '"%.6f"'), from_csv),
    "NDJSON": (ndjson_of, from_ndjson),
    "msgpack": (msgpack_of, from_msgpack),
}


def peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    # Not getrusage, whose peak outlives exec.
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure(name: str, path: str) -> str:
    """Read a body from a file; return speed and peak as a line."""
    _, read = CASES[name]
    before = peak_bytes()
    size = Path(path).stat().st_size
    body = bytearray(size)
    with Path(path).open("rb") as file:
        file.readinto(body)
    begun = time.perf_counter()
    table = read(body)
    taken_s = time.perf_counter() - begun
    held = (peak_bytes() - before) / size
    del table
    return f"{name:28} {size / 1e6:6.0f} MB {size / 1e6 / taken_s:6.0f} MB/s   peak {held:.1f}"


@click.command()
@click.option("--rows", default=300_000, show_default=True)
def main(rows: int) -> None:
    """Print a line for each format."""
    context = multiprocessing.get_context("spawn")
    for name, (make, _) in CASES.items():
        with tempfile.NamedTemporaryFile() as file:
            file.write(make(rows))
            file.flush()
            with context.Pool(1) as pool:
                click.echo(pool.apply(measure, (name, file.name)))


if __name__ == "__main__":
    main()
