"""Random faults under load: `python -m tests.chaos --minutes 10 --seed 1`."""

import asyncio
import sys
import tempfile
from pathlib import Path

import click

from tests.chaos.run import run
from tests.chaos.stack import Stack


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long faults are injected.")
@click.option("--seed", default=1, show_default=True, help="Chooses the faults.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to keep the logs in.")
def main(minutes: float, seed: int, keep: Path | None) -> None:
    """Hurt a whole service at random, and print what was injected and what was kept."""
    with tempfile.TemporaryDirectory() as folder:
        place = keep or Path(folder)
        place.mkdir(exist_ok=True, parents=True)
        report = asyncio.run(run(Stack(place), seed=seed, seconds=minutes * 60))
    click.echo(report)
    sys.exit(not report.is_good)


if __name__ == "__main__":
    main()
