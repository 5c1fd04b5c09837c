"""A search with its fits side by side, and one after another: `python -m benchmarks.search`.

10 points on 5 folds of 20,000 x 30, each run in a worker's own child process;
the least of several runs of each kind, taken in turn. With two cores that are
free the first must be at least 1.5 times as fast.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import click
import msgpack
import msgspec
import numpy as np

from mlservice.sent import MSGPACK, Sent
from mlservice.settings import Settings
from workers.pool import Pool

ROWS, COLUMNS = 20_000, 30
POINTS = np.logspace(-4, 4, 10).tolist()


def body() -> bytes:
    """Return a training as the store has it: columns of different scales, and a search."""
    random = np.random.default_rng(0)
    X = random.normal(size=(ROWS, COLUMNS))
    y = X @ random.normal(size=COLUMNS) + random.logistic(size=ROWS) > 0
    X *= np.logspace(0, 1, COLUMNS)
    columns = {f"x{i}": {"dtype": "<f8", "data": X[:, i].tobytes()} for i in range(COLUMNS)}
    columns["y"] = {"dtype": "<i8", "data": y.astype("<i8").tobytes()}
    options = {"target": "y", "params": {"max_iter": 200}, "search": {"C": POINTS, "folds": 5}}
    sent = Sent(media_type=MSGPACK, body=msgpack.packb({"columns": columns} | options))
    return sent.header() + sent.body


async def seconds(pool: Pool, whole: bytes) -> tuple[float, int | None]:
    """Return how long a training takes, and which point was best."""

    async def pieces() -> AsyncIterator[bytes]:
        yield whole

    begun = time.perf_counter()
    answer = await pool.run(pieces())
    taken = time.perf_counter() - begun
    pool.restock()
    return taken, json.loads(answer["description"])["search"]["best_index"]


async def compare(runs: int) -> None:
    """Print the least time of each kind."""
    whole = body()
    found: dict[int, list[float]] = {0: [], 1: []}
    pools = {
        each: Pool(msgspec.structs.replace(Settings(), search_processes=each)) for each in found
    }
    for pool in pools.values():
        await pool.start()
    best = set()
    for _ in range(runs):
        for processes, pool in pools.items():
            taken, index = await seconds(pool, whole)
            found[processes].append(taken)
            best.add(index)
    for pool in pools.values():
        await pool.close()
    together, alone = min(found[0]), min(found[1])
    click.echo(
        f"one after another {alone:.2f} s, side by side {together:.2f} s: {alone / together:.2f}"
    )
    click.echo(f"the same point was best each time: {len(best) == 1}")


@click.command()
@click.option("--runs", default=5, show_default=True, help="Runs of each kind.")
def main(runs: int) -> None:
    """Compare a search side by side with one after another."""
    asyncio.run(compare(runs))


if __name__ == "__main__":
    main()
