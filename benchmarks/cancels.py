"""Trainings that are cancelled at random moments: `python -m benchmarks.cancels`.

A quarter of them would run for hours and is cancelled, as is a third of the
others. Each must end in the state that was asked for, and the worker must have
the memory and the processes that it had before.
"""

import json
import random
import time
from collections import Counter
from typing import Any

import click
import numpy as np

from benchmarks.large import Memory, worker_of_this_process
from benchmarks.measure import ROOT
from benchmarks.training import Client, awaited, serving

MODEL_ENDED = 409
LONGEST_PAUSE_S = 0.05


def endless() -> bytes:
    """Return a training that would run for hours."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(2000, 20)).round(3)
    table: dict[str, Any] = {f"f{i}": X[:, i].tolist() for i in range(20)}
    table["y"] = (generator.random(2000) < 0.5).astype(int).tolist()
    params = {"solver": "saga", "tol": 0, "max_iter": 1_000_000}
    return json.dumps({"data": table, "target": "y", "params": params}).encode()


def cancel(client: Client, model: str) -> str:
    """Cancel a training; return the state in which it has to end."""
    path = f"/models/{model}/cancel"
    status, document = client.ask_for("POST", path)
    if status == MODEL_ENDED:
        # A problem names the state that stood against it.
        return str(document["state"])
    return "cancelled"


def until_ended(client: Client, model: str) -> str:
    """Return the state in which a training ends."""
    while True:
        state = client.ask("GET", f"/models/{model}", Prefer="wait=30")["state"]
        if state not in ("queued", "training"):
            return str(state)


def held(client: Client) -> tuple[float, int]:
    """Return the memory in MB and the processes of the worker, once it rests."""
    for _ in range(3):
        # Also an answer from it, so that its last child is gone.
        awaited(client, (ROOT / "train.json").read_bytes())
    time.sleep(2)
    worker = worker_of_this_process()
    return Memory(worker).idle_bytes / 1e6, 1 + len(worker.children(recursive=True))


@click.command()
@click.option("--trainings", default=200, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(trainings: int, seed: int) -> None:
    """Queue trainings, cancel half of them, and compare."""
    chance = random.Random(seed)  # noqa: S311  # moments, no secrets
    with serving(MLSERVICE_OPEN_TRAININGS_PER_TENANT=str(trainings + 10)) as port:
        client = Client(port)
        before = held(client)
        begun = time.perf_counter()
        bodies = [(ROOT / "train.json").read_bytes(), endless()]
        asked = [client.ask("POST", "/models", bodies[i % 4 == 0])["id"] for i in range(trainings)]
        others = [model for i, model in enumerate(asked) if i % 4]
        chosen = asked[::4] + chance.sample(others, len(others) // 3)
        chance.shuffle(chosen)
        wanted = dict.fromkeys(asked, "ready")
        for model in chosen:
            time.sleep(chance.uniform(0, LONGEST_PAUSE_S))
            wanted[model] = cancel(client, model)
        found = {model: until_ended(client, model) for model in asked}
        taken_s = time.perf_counter() - begun
        after = held(client)
    wrong = [model for model in asked if found[model] != wanted[model]]
    click.echo(f"{trainings} trainings in {taken_s:.0f} s: {dict(Counter(found.values()))}")
    click.echo(f"in another state than was asked for: {len(wrong)}")
    for name, (megabytes, processes) in (("before", before), ("after", after)):
        click.echo(f"worker {name}: {megabytes:.0f} MB in {processes} processes")


if __name__ == "__main__":
    main()
