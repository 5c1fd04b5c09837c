"""What a stalled store costs: `python -m benchmarks.outage`.

Stops a Valkey (SIGSTOP) under a service and a worker, and times the first answer, those
that follow while it is known, and how long after SIGCONT trainings go through again.
"""

import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import click

from benchmarks.measure import fetch, free_port, running, train
from mlservice.embedded import valkey


def ask(url: str) -> tuple[int, float]:
    """Return the status of an answer, and how long it took, in ms."""
    begun = time.perf_counter()
    try:
        with urlopen(url, timeout=30) as response:  # our own service
            status = response.status
    except HTTPError as error:
        status = error.code
    return status, (time.perf_counter() - begun) * 1e3


def stall(api: str, store: int, known: int) -> tuple[float, list[float], float]:
    """Return the times of the first answer and of those that follow, and of the recovery, in ms."""
    os.kill(store, signal.SIGSTOP)
    try:
        answers = [ask(f"{api}/models") for _ in range(known + 1)]
    finally:
        os.kill(store, signal.SIGCONT)
    begun = time.perf_counter()
    if {status for status, _ in answers} != {503}:
        raise click.ClickException("A store that is stopped must be told with 503.")
    while ask(f"{api}/models")[0] != 200:
        time.sleep(0.01)
    train(api)
    return answers[0][1], [took for _, took in answers[1:]], (time.perf_counter() - begun) * 1e3


@click.command()
@click.option("--times", default=5, show_default=True, help="How often the store is stopped.")
def main(times: int) -> None:
    """Time what clients see of a store that stalls."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = valkey.command(folder, appendfsync="everysec")
        store = stack.enter_context(running(*command, core=1))
        environ = {"MLSERVICE_REDIS_URL": f"unix://{valkey.socket_path(folder)}"}
        environ |= {"MLSERVICE_LOG_LEVEL": "error"}
        port = free_port()
        serve = [sys.executable, "-m", "mlservice", "serve", "--api-only", "--port", f"{port}"]
        stack.enter_context(running(*serve, core=0, **environ))
        stack.enter_context(running(sys.executable, "-m", "workers", core=1, **environ))
        api = f"http://127.0.0.1:{port}"
        fetch(f"{api}/health/ready")
        train(api)
        outages = [stall(api, store, known=50) for _ in range(times)]
    first, known, back = zip(*outages, strict=True)
    click.echo(f"first answer      {max(first):8.1f} ms at most")
    each = [took for some in known for took in some]
    click.echo(f"while it is known {statistics.median(each):8.1f} ms, {max(each):.1f} ms at most")
    click.echo(f"trained after     {max(back):8.1f} ms at most")


if __name__ == "__main__":
    main()
