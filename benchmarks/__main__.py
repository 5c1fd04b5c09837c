"""Single-row prediction beside the floor, in one run: `python -m benchmarks`.

The service and the floor have core 0, wrk has core 1. Each round measures the
floor and the service in turn; the ratios are the medians of the rounds.
"""

import statistics
import sys
import time
from collections.abc import Sequence

import click

from benchmarks.measure import (
    alternate,
    at_once,
    check_tools,
    fetch,
    free_port,
    running,
    service,
    train,
)

ROW = "sepal_length=5.9&sepal_width=3.0&petal_length=5.1&petal_width=1.8"
CONNECTIONS = 32


def time_training(api: str, *, times: int, **members: object) -> str:
    """Return how long POST to ready takes for iris, the worker warm."""
    durations_ms = []
    for _ in range(times):
        begun = time.perf_counter()
        train(api, **members)
        durations_ms.append((time.perf_counter() - begun) * 1e3)
    p50, worst = statistics.median(durations_ms), max(durations_ms)
    return f"POST to ready, iris, {times} times: p50 {p50:.0f} ms, longest {worst:.0f} ms"


def compare(floor: str, service: str, *, rounds: int) -> str:
    """Measure both in turn; return the table."""
    lines = [
        "| one row, GET | floor | service | ratio (median, least, most) |",
        "|---|---|---|---|",
    ]
    for connections in (CONNECTIONS, 1):
        pairs = alternate(floor, service, rounds=rounds, connections=connections)
        names = ["requests/s"] if connections > 1 else ["p50, ms", "p99, ms"]
        for name in names:
            column = 0 if connections > 1 else 1 + names.index(name)
            lines.append(_line(f"{name}, {connections} connections", pairs, column))
    together = at_once((floor, service), rounds=max(rounds // 3, 1), connections=CONNECTIONS)
    taken = [tuple((us,) for us in both) for both in together]
    lines.append(_line("processor, µs, both loaded at once", taken, 0))
    return "\n".join(lines)


def _line(name: str, pairs: Sequence[tuple[tuple[float, ...], ...]], column: int) -> str:
    floors, services = ([pair[i][column] for pair in pairs] for i in (0, 1))
    ratios = [service / floor for floor, service in zip(floors, services, strict=True)]
    floor, service = statistics.median(floors), statistics.median(services)
    digits = 0 if floor > 1000 else 1 if floor > 10 else 3
    spread = f"{statistics.median(ratios):.2f}, {min(ratios):.2f}, {max(ratios):.2f}"
    return f"| {name} | {floor:,.{digits}f} | {service:,.{digits}f} | {spread} |"


@click.command()
@click.option("--rounds", default=15, show_default=True, help="Rounds of floor and service.")
def main(rounds: int) -> None:
    """Compare single-row prediction with a handler that returns a constant."""
    check_tools()
    floor_port = free_port()
    floor_command = [sys.executable, "-m", "benchmarks.floor", str(floor_port)]
    with service() as (api, environ), running(*floor_command, core=0):
        with running(sys.executable, "-m", "workers", core=1, **environ):
            url = train(api)
            click.echo(time_training(api, times=50))
            click.echo("without a held-out part, ", nl=False)
            click.echo(time_training(api, times=50, evaluation={"test_size": 0}) + "\n")
        floor = f"http://127.0.0.1:{floor_port}/models/x?{ROW}"
        fetch(floor)
        click.echo(compare(floor, f"{url}?{ROW}", rounds=rounds))


if __name__ == "__main__":
    main()
