"""Single-row prediction beside the floor, in one run: `python -m benchmarks`.

The service and the floor have core 0, wrk has core 1. Each round measures the
floor and the service in turn; the ratios are the medians of the rounds.
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from mlservice.embedded import valkey

ROOT = Path(__file__).parent.parent
ROW = "sepal_length=5.9&sepal_width=3.0&petal_length=5.1&petal_width=1.8"
CONNECTIONS = 32


@contextmanager
def running(*command: str, core: int, **variables: str) -> Iterator[None]:
    """Run a program on one core."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command], env=os.environ | variables, cwd=ROOT
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, body: bytes | None = None) -> dict[str, str]:
    """Return the JSON that an address answers with, once it does."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    for _ in range(200):
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                answer: dict[str, str] = json.load(response)
                return answer
        except OSError:
            time.sleep(0.05)
    raise click.ClickException(f"{url} does not answer")


def train(api: str, **members: object) -> str:
    """Train the README's example; return the address of its model once it is ready."""
    body = json.loads((ROOT / "train.json").read_bytes()) | members
    model = fetch(f"{api}/models", json.dumps(body).encode())["id"]
    url = f"{api}/models/{model}"
    while fetch(url)["state"] != "ready":
        time.sleep(0.005)
    return url


def time_training(api: str, *, times: int, **members: object) -> str:
    """Return how long POST to ready takes for iris, the worker warm."""
    durations_ms = []
    for _ in range(times):
        begun = time.perf_counter()
        train(api, **members)
        durations_ms.append((time.perf_counter() - begun) * 1e3)
    p50, worst = statistics.median(durations_ms), max(durations_ms)
    return f"POST to ready, iris, {times} times: p50 {p50:.0f} ms, longest {worst:.0f} ms"


def load(url: str, *, connections: int, seconds: int) -> tuple[float, float, float]:
    """Return requests a second, and the median and 99th percentile in ms."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    output = subprocess.run(
        ["taskset", "-c", "1", *command], check=True, capture_output=True, text=True
    ).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise click.ClickException(output)
    per_s = float(re.findall(r"Requests/sec:\s+([\d.]+)", output)[0])
    median, p99 = (_ms(re.findall(rf"{share}%\s+([\d.]+)(\w+)", output)[0]) for share in (50, 99))
    return per_s, median, p99


def _ms(parts: tuple[str, str]) -> float:
    return float(parts[0]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[parts[1]]


def compare(floor: str, service: str, *, rounds: int, seconds: int) -> str:
    """Measure both in turn; return the table."""
    lines = [
        "| one row, GET | floor | service | ratio (median, least, most) |",
        "|---|---|---|---|",
    ]
    for connections in (CONNECTIONS, 1):
        pairs = [
            [load(url, connections=connections, seconds=seconds) for url in (floor, service)]
            for _ in range(rounds)
        ]
        names = ["requests/s"] if connections > 1 else ["p50, ms", "p99, ms"]
        for name in names:
            column = 0 if connections > 1 else 1 + names.index(name)
            lines.append(_line(f"{name}, {connections} connections", pairs, column))
    return "\n".join(lines)


def _line(name: str, pairs: list[list[tuple[float, float, float]]], column: int) -> str:
    floors, services = ([pair[i][column] for pair in pairs] for i in (0, 1))
    ratios = [service / floor for floor, service in zip(floors, services, strict=True)]
    floor, service = statistics.median(floors), statistics.median(services)
    digits = 0 if floor > 1000 else 3
    spread = f"{statistics.median(ratios):.2f}, {min(ratios):.2f}, {max(ratios):.2f}"
    return f"| {name} | {floor:,.{digits}f} | {service:,.{digits}f} | {spread} |"


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds of floor and service.")
@click.option("--seconds", default=4, show_default=True, help="Seconds of each measurement.")
def main(rounds: int, seconds: int) -> None:
    """Compare single-row prediction with a handler that returns a constant."""
    for tool in ("wrk", "taskset"):
        if not shutil.which(tool):
            raise click.ClickException(f"{tool} is needed: install the package that has it.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = valkey.command(folder, appendfsync="everysec")
        stack.enter_context(running(*server, core=1))
        environ = {"MLSERVICE_REDIS_URL": f"unix://{valkey.socket_path(folder)}"}
        floor_port, port = free_port(), free_port()
        command = [sys.executable, "-m", "mlservice", "serve", "--api-only", "--port", str(port)]
        stack.enter_context(running(*command, core=0, **environ))
        floor_command = [sys.executable, "-m", "benchmarks.floor", str(floor_port)]
        stack.enter_context(running(*floor_command, core=0))
        api = f"http://127.0.0.1:{port}"
        with running(sys.executable, "-m", "workers", core=1, **environ):
            url = train(api)
            click.echo(time_training(api, times=50))
            click.echo("without a held-out part, ", nl=False)
            click.echo(time_training(api, times=50, evaluation={"test_size": 0}) + "\n")
        floor = f"http://127.0.0.1:{floor_port}/models/x?{ROW}"
        fetch(floor)
        click.echo(compare(floor, f"{url}?{ROW}", rounds=rounds, seconds=seconds))


if __name__ == "__main__":
    main()
