"""The service beside other servers of the same model: `python -m benchmarks.peers`.

Each peer is installed into an environment of its own below `build/peers`, and
measured in turn with the service, which has the same core. Ratios are medians
of the rounds: the peer's requests a second, or time of one batch, by the service's.
The floor, a handler of aiohttp that answers a constant, is loaded in turn with them: no
service on aiohttp reaches more than it does on this machine.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click
from sklearn.datasets import load_breast_cancer, load_iris

from benchmarks.batches import floor
from benchmarks.measure import ROOT, check_tools, fetch, free_port, load, running, service
from benchmarks.peers.catalogue import JSON, PEERS, Peer, Request, Rows, binary

APPS = Path(__file__).parent / "apps"
ENVIRONMENTS = ROOT / "build" / "peers"
CONNECTIONS = 32
BATCH = 10_000
# Pairs of batches in a round.
BATCHES = 5
WARM_UPS = 3
START_S = 120


def install(name: str, peer: Peer) -> Path:
    """Make the peer's environment if it is not there; return where its programs are."""
    folder = ENVIRONMENTS / name.removesuffix("-v2")
    if not (folder / "installed").exists():
        click.echo(f"installing {peer.packages}", err=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "scikit-learn"]
        subprocess.run([*pip, *peer.packages.split()], check=True)
        (folder / "installed").touch()
    return folder / "bin"


@contextmanager
def serving(peer: Peer, programs: Path, data: str) -> Iterator[str]:
    """Run a peer on core 0; yield its address once it predicts."""
    with tempfile.TemporaryDirectory() as folder:
        words = {
            "bin": str(programs),
            "apps": str(APPS),
            "folder": folder,
            "port": str(free_port()),
            "spare": str(free_port()),
            "another": str(free_port()),
        }
        variables = {
            "PEER_DATA": data,
            "PORT": words["port"],
            "PYTHONPATH": str(APPS),
            "PATH": f"{programs}:{os.environ['PATH']}",
            # Triton's backend looks for the interpreter's own library.
            "LD_LIBRARY_PATH": f"{sys.base_prefix}/lib",
        }
        for name, text in peer.files.items():
            Path(folder, name).write_text(_filled(text, words))
        if peer.before:
            command = _filled(peer.before, words).split()
            subprocess.run(command, check=True, env=os.environ | variables, capture_output=True)
        command = _filled(peer.command, words).split()
        quiet = ("sh", "-c", f'exec "$@" >{folder}/log 2>&1', "sh")
        with running(*quiet, *command, core=0, **variables):
            yield f"http://127.0.0.1:{words['port']}"


def _filled(text: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        text = text.replace("{" + name + "}", value)
    return text


def ask(url: str, request: Request) -> float:
    """Return the seconds that one request takes over a connection that is open."""
    parts, (body, headers) = urlsplit(url), request
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.connect()
    begun = time.perf_counter()
    connection.request("POST", parts.path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    taken = time.perf_counter() - begun
    connection.close()
    if answer.status >= 400:
        raise click.ClickException(f"{url}: {answer.status} {text[:200]!r}")
    return taken


def wait(url: str, request: Request) -> None:
    """Wait until a server predicts."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            ask(url, request)
        except (OSError, click.ClickException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def train(api: str, rows: Rows, classes: Sequence[int]) -> str:
    """Train a model of the service; return its id once it is ready."""
    columns = zip(*rows, strict=True)
    data = {f"x{place}": column for place, column in enumerate(columns)} | {"target": classes}
    params = {"solver": "newton-cholesky", "max_iter": 1000}
    request = {"data": data, "target": "target", "params": params, "evaluation": {"test_size": 0}}
    model = fetch(f"{api}/models", json.dumps(request).encode())["id"]
    while fetch(f"{api}/models/{model}")["state"] != "ready":
        time.sleep(0.01)
    return model


def compare_rows(
    own: str, floor_url: str, peer: str, body: bytes, *, rounds: int, seconds: int
) -> str:
    """Put load on each in turn; return the cells of requests a second, and the ratios."""
    found = [
        (
            load(own, connections=CONNECTIONS, seconds=seconds)[0],
            load(floor_url, connections=CONNECTIONS, seconds=seconds)[0],
            load(peer, connections=CONNECTIONS, seconds=seconds, body=body)[0],
        )
        for _ in range(rounds)
    ]
    ours, least = (statistics.median(each[place] / each[2] for each in found) for place in (0, 1))
    return f"{statistics.median(each[2] for each in found):,.0f} | {least:.1f} | {ours:.1f}"


def compare_batches(own: tuple[str, Request], peer: tuple[str, Request], *, rounds: int) -> str:
    """Send batches to both in turn; return the cells of milliseconds, and their ratio."""
    # The first ones take fresh memory, on either side.
    for warm_up in (own, peer) * WARM_UPS:
        ask(*warm_up)
    pairs = [(ask(*own), ask(*peer)) for _ in range(rounds)]
    ratio = statistics.median(b / a for a, b in pairs)
    return f"{statistics.median(pair[1] for pair in pairs) * 1e3:,.1f} | {ratio:.1f}"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(PEERS)))
@click.option("--rounds", default=5, show_default=True, help="Rounds of service and peer.")
@click.option("--seconds", default=3, show_default=True, help="Seconds of load in a round.")
def main(names: tuple[str, ...], rounds: int, seconds: int) -> None:
    """Measure the service beside each peer, or beside those that are named."""
    check_tools()
    iris, cancer = load_iris(), load_breast_cancer()
    row = iris.data[100].tolist()
    batch = (cancer.data.tolist() * (BATCH // len(cancer.data) + 1))[:BATCH]
    query = "&".join(f"x{place}={value}" for place, value in enumerate(row))
    columns = [f"x{place}" for place in range(len(batch[0]))]
    split = json.dumps({"columns": columns, "data": batch}).encode()
    with service() as (api, environ), floor() as below:
        with running(sys.executable, "-m", "workers", core=1, **environ):
            flowers = train(api, iris.data.tolist(), iris.target.tolist())
            tumours = train(api, cancer.data.tolist(), cancer.target.tolist())
        own_row = f"{api}/models/{flowers}?{query}"
        own_json = (f"{api}/models/{tumours}/predictions", (split, JSON))
        own_binary = (f"{api}/v2/models/{tumours}/infer", binary(batch))
        click.echo(
            "| peer | one row, requests/s | the floor by it | ours by it "
            "| JSON batch, ms | it by ours | binary batch, ms | it by ours |"
        )
        click.echo("|---|---|---|---|---|---|---|---|")
        for name in names or PEERS:
            peer, programs = PEERS[name], install(name, PEERS[name])
            click.echo(f"| {name} | ", nl=False)
            with serving(peer, programs, "iris") as address:
                body = peer.body([row])
                wait(address + peer.path, (body, JSON))
                url, constant = address + peer.path, f"{below}/models/x"
                cells = compare_rows(own_row, constant, url, body, rounds=rounds, seconds=seconds)
            with serving(peer, programs, "cancer") as address:
                url = address + peer.path
                wait(url, (peer.body(batch[:1]), JSON))
                cells += " | " + compare_batches(
                    own_json, (url, (peer.body(batch), JSON)), rounds=BATCHES * rounds
                )
                if peer.binary:
                    cells += " | " + compare_batches(
                        own_binary, (url, binary(batch)), rounds=BATCHES * rounds
                    )
            click.echo(f"{cells} |")


if __name__ == "__main__":
    main()
