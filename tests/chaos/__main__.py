"""Random faults under load: `python -m tests.chaos --minutes 10 --seed 1`."""

import asyncio
import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.chaos.run import Report, run
from tests.chaos.stack import Stack

INTERRUPTED = 130


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long faults are injected.")
@click.option("--seed", default=1, show_default=True, help="Chooses the faults.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to keep the logs in.")
def main(minutes: float, seed: int, keep: Path | None) -> None:
    """Hurt a whole service at random, and print what was injected and what was kept."""
    with tempfile.TemporaryDirectory() as folder:
        place = keep or Path(folder)
        place.mkdir(exist_ok=True, parents=True)
        report, is_whole = asyncio.run(_run(Stack(place), seed, minutes * 60))
    click.echo(report)
    sys.exit(int(not report.is_good) if is_whole else INTERRUPTED)


async def _run(stack: Stack, seed: int, seconds: float) -> tuple[Report, bool]:
    """Run until the end, or until Ctrl-C or SIGTERM; tell which."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    report = await run(stack, seed=seed, seconds=seconds, stop=stop)
    return report, not stop.is_set()


if __name__ == "__main__":
    main()
