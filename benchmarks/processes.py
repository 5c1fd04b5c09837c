"""One API process and two, the load beside them: `python -m benchmarks.processes`."""

import statistics
import sys
import tempfile

import click

from benchmarks.batches import NAMES, imported
from benchmarks.measure import check_tools, fetch, free_port, load, running


def per_second(processes: int, rounds: int, seconds: int) -> float:
    """Return the median of the requests a second that so many processes answer."""
    port = free_port()
    command = [sys.executable, "-m", "mlservice", "serve", "--processes", str(processes)]
    query = "&".join(f"{name}=1.25" for name in NAMES[:4])
    with (
        tempfile.TemporaryDirectory() as folder,
        running(
            *command, "--port", str(port), core="0,1",
            MLSERVICE_DATA_DIR=folder, MLSERVICE_LOG_LEVEL="warning",
        ),
    ):  # fmt: skip
        api = f"http://127.0.0.1:{port}"
        fetch(f"{api}/health/live")
        url = imported(api, 4).removesuffix("/predictions")
        loads = [load(f"{url}?{query}", connections=32, seconds=seconds)[0] for _ in range(rounds)]
    return statistics.median(loads)


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Measurements of each.")
@click.option("--seconds", default=3, show_default=True, help="Seconds of each measurement.")
def main(rounds: int, seconds: int) -> None:
    """Compare one API process with two; worker and store run as well."""
    check_tools()
    one, two = (per_second(processes, rounds, seconds) for processes in (1, 2))
    click.echo(f"one row, GET: 1 process {one:,.0f}/s, 2 processes {two:,.0f}/s: {two / one:.2f}")


if __name__ == "__main__":
    main()
