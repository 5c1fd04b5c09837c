"""How long a training takes, from POST to ready: `python -m benchmarks.training`.

Starts the service in a folder of its own and trains the README's example, the
worker warm: by asking again every 5 ms, as a plain client does, and by
`Prefer: wait`.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from benchmarks.measure import ROOT, fetch, free_port

JSON = {"Content-Type": "application/json"}
ASK_EVERY_S = 0.005


class Client:
    """One connection to the API, kept open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        """Return the JSON document of an answer that is no problem."""
        status, document = self.ask_for(method, path, body, **headers)
        if status >= 400:
            raise click.ClickException(f"{method} {path}: {document}")
        return document

    def ask_for(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Return an answer's status and JSON document."""
        self._connection.request(method, path, body, JSON | headers)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


@contextmanager
def serving(**variables: str) -> Iterator[int]:
    """Run the whole service in a folder of its own; yield its port."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "mlservice", "serve"]
        process = subprocess.Popen(
            [*command, "--port", str(port), "--data-dir", folder],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            fetch(f"http://127.0.0.1:{port}/health/ready?for=training")
            yield port
        finally:
            process.terminate()
            process.wait(60)


def polled(client: Client, body: bytes) -> None:
    """Train, and ask until the model is ready."""
    path = f"/models/{client.ask('POST', '/models', body)['id']}"
    while client.ask("GET", path)["state"] != "ready":
        time.sleep(ASK_EVERY_S)


def awaited(client: Client, body: bytes) -> None:
    """Train, and wait for the answer."""
    document = client.ask("POST", "/models", body, Prefer="wait=30")
    if document["state"] != "ready":
        raise click.ClickException(f"the model is {document['state']}")


def durations_ms(
    train: Callable[[Client, bytes], None], client: Client, body: bytes, *, times: int
) -> list[float]:
    """Return how long each of some trainings took, one after the other."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        train(client, body)
        found.append((time.perf_counter() - begun) * 1e3)
        # The worker forks its next child meanwhile.
        time.sleep(0.1)
    return found


@click.command()
@click.option("--times", default=100, show_default=True, help="Trainings of each kind.")
def main(times: int) -> None:
    """Time trainings of iris."""
    example = json.loads((ROOT / "train.json").read_bytes())
    bodies = {
        "default": example,
        "test_size 0": example | {"evaluation": {"test_size": 0}},
    }
    click.echo("| POST to ready, iris, ms | least | p50 | p90 | most |")
    click.echo("|---|---|---|---|---|")
    with serving() as port:
        client = Client(port)
        for _ in range(10):
            awaited(client, json.dumps(example).encode())
        for name, document in bodies.items():
            for way in (polled, awaited):
                found = durations_ms(way, client, json.dumps(document).encode(), times=times)
                *_, p90 = statistics.quantiles(found, n=10)
                figures = (min(found), statistics.median(found), p90, max(found))
                cells = " | ".join(f"{each:.1f}" for each in figures)
                click.echo(f"| {name}, {way.__name__} | {cells} |")


if __name__ == "__main__":
    main()
