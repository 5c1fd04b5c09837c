"""Fits on folds side by side, and one after another: `python -m benchmarks.search`.

A search of 10 points on 5 folds of 20,000 x 30, and an evaluation by 5 folds of
200,000 x 20, each run in a worker's own child process; the least of several runs of
each kind, taken in turn. With two cores that are free the search must be at least 1.5
times as fast side by side.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import click
import msgpack
import msgspec
import numpy as np

from mlservice.sent import MSGPACK, Sent
from mlservice.settings import Settings
from workers.pool import Pool

POINTS = np.logspace(-4, 4, 10).tolist()
SEARCH: dict[str, Any] = {"search": {"C": POINTS, "folds": 5}}
FOLDS: dict[str, Any] = {"evaluation": {"test_size": 0, "folds": 5}}
TRAININGS = {"search": (20_000, 30, SEARCH), "evaluation": (200_000, 20, FOLDS)}


def body(rows: int, width: int, members: dict[str, Any]) -> bytes:
    """Return a training as the store has it: columns of different scales, and what is asked."""
    random = np.random.default_rng(0)
    X = random.normal(size=(rows, width))
    y = X @ random.normal(size=width) + random.logistic(size=rows) > 0
    X *= np.logspace(0, 1, width)
    columns = {f"x{i}": {"dtype": "<f8", "data": X[:, i].tobytes()} for i in range(width)}
    columns["y"] = {"dtype": "<i8", "data": y.astype("<i8").tobytes()}
    options = {"target": "y", "params": {"max_iter": 200}} | members
    sent = Sent(media_type=MSGPACK, body=msgpack.packb({"columns": columns} | options))
    return sent.header() + sent.body


async def seconds(pool: Pool, whole: bytes) -> tuple[float, str]:
    """Return how long a training takes, and what was found."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield whole

    begun = time.perf_counter()
    answer = await pool.run(pieces)
    taken = time.perf_counter() - begun
    pool.restock()
    found = json.loads(answer["description"])
    return taken, json.dumps([found["search"], found["metrics"]])


async def compare(name: str, whole: bytes, runs: int) -> None:
    """Print the least time of each kind."""
    found: dict[int, list[float]] = {0: [], 1: []}
    pools = {
        each: Pool(msgspec.structs.replace(Settings(), search_processes=each)) for each in found
    }
    for pool in pools.values():
        await pool.start()
    answers = set()
    for _ in range(runs):
        for processes, pool in pools.items():
            taken, answer = await seconds(pool, whole)
            found[processes].append(taken)
            answers.add(answer)
    for pool in pools.values():
        await pool.close()
    together, alone = min(found[0]), min(found[1])
    click.echo(
        f"{name}: one after another {alone:.2f} s, side by side {together:.2f} s: "
        f"{alone / together:.2f}; the same numbers each time: {len(answers) == 1}"
    )


@click.command()
@click.option("--runs", default=5, show_default=True, help="Runs of each kind.")
def main(runs: int) -> None:
    """Compare fits side by side with one after another."""
    for name, training in TRAININGS.items():
        asyncio.run(compare(name, body(*training), runs))


if __name__ == "__main__":
    main()
