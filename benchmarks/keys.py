"""What a key costs a prediction: `python -m benchmarks.keys`.

Two services over one store, one of which asks for keys, answer the same rows in turn.
"""

import statistics
import subprocess
import sys

import click

from benchmarks.__main__ import CONNECTIONS, ROW
from benchmarks.measure import check_tools, fetch, free_port, load, running, service, train


def make_key(environ: dict[str, str]) -> str:
    """Return a key that reaches what was made without one."""
    command = ["keys", "--redis-url", environ["MLSERVICE_REDIS_URL"], "create"]
    made = subprocess.run(
        [sys.executable, "-m", "mlservice", *command, "--tenant=anonymous", "--scope=predict"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return made.stdout.strip()


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds of both.")
@click.option("--seconds", default=4, show_default=True, help="Seconds of each measurement.")
def main(rounds: int, seconds: int) -> None:
    """Compare single-row prediction with and without keys."""
    check_tools()
    port = free_port()
    command = [sys.executable, "-m", "mlservice", "serve", "--api-only", "--port", str(port)]
    with service() as (api, environ):
        with running(sys.executable, "-m", "workers", core=1, **environ):
            url = f"{train(api)}?{ROW}"
        keyed, key = url.replace(api, f"http://127.0.0.1:{port}"), make_key(environ)
        with running(*command, "--require-keys", core=0, **environ):
            fetch(f"http://127.0.0.1:{port}/health/live")
            pairs = [
                [
                    load(each, connections=CONNECTIONS, seconds=seconds, key=sent)[0]
                    for each, sent in ((url, ""), (keyed, key))
                ]
                for _ in range(rounds)
            ]
    costs_us = [1e6 / with_key - 1e6 / without for without, with_key in pairs]
    without, with_key = (statistics.median(column) for column in zip(*pairs, strict=True))
    cost_us, least, most = statistics.median(costs_us), min(costs_us), max(costs_us)
    click.echo(f"requests/s without a key {without:,.0f}, with one {with_key:,.0f}")
    click.echo(f"a key costs {cost_us:.1f} us (least {least:.1f}, most {most:.1f})")


if __name__ == "__main__":
    main()
