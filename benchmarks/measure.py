"""Programs on a core of their own, and the load on them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import click
import psutil

from mlservice.embedded import valkey

ROOT = Path(__file__).parent.parent
JSON = "application/json"
_TOGETHER_S = 5


@contextmanager
def running(*command: str, core: int | str, **variables: str) -> Iterator[int]:
    """Run a program on one core; yield its process's id. What it leaves behind is killed."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        env=os.environ | variables,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, body: bytes | None = None) -> dict[str, str]:
    """Return the JSON that an address answers with, once it does."""
    request = urllib.request.Request(url, body, {"Content-Type": JSON})
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


# Extras are taken away by saying that their packages have no module.
_WITHOUT = (
    "import sys; sys.modules |= dict.fromkeys({names}); from mlservice.__main__ import main; main()"
)


@contextmanager
def store() -> Iterator[str]:
    """Run the store on core 1; yield its address."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(*valkey.command(folder, appendfsync="everysec"), core=1):
            yield f"unix://{valkey.socket_path(folder)}"


@contextmanager
def service(*without: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Run the API on core 0 and its store on core 1; yield address and settings.

    Parameters
    ----------
    *without : str
        Modules that it does without.
    """
    with ExitStack() as stack:
        redis_url = stack.enter_context(store())
        environ = {"MLSERVICE_REDIS_URL": redis_url, "MLSERVICE_LOG_LEVEL": "warning"}
        port = free_port()
        program = ["-c", _WITHOUT.format(names=list(without))] if without else ["-m", "mlservice"]
        command = [sys.executable, *program, "serve", "--api-only", "--port", str(port)]
        stack.enter_context(running(*command, core=0, **environ))
        yield f"http://127.0.0.1:{port}", environ


def check_tools() -> None:
    """Refuse to begin without what puts load on a server, and programs on cores."""
    for tool in ("wrk", "taskset"):
        if not shutil.which(tool):
            raise click.ClickException(f"{tool} is needed: install the package that has it.")


def load(
    url: str, *, connections: int, seconds: int, body: bytes | None = None, key: str = ""
) -> tuple[float, float, float]:
    """Return requests a second, and the median and 99th percentile in ms.

    Parameters
    ----------
    body : bytes, optional
        JSON to POST; without it requests are GET.
    key : str
        What the service asks for, if it does.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-H", f"Authorization: Bearer {key}"] if key else []
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if body:
            script.write(_posting(body))
            script.flush()
            command += ["-s", script.name]
        output = subprocess.run(
            ["taskset", "-c", "1", *command, url], check=True, capture_output=True, text=True
        ).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise click.ClickException(output)
    per_s = float(re.findall(r"Requests/sec:\s+([\d.]+)", output)[0])
    median, p99 = (_ms(re.findall(rf"{share}%\s+([\d.]+)(\w+)", output)[0]) for share in (50, 99))
    return per_s, median, p99


def alternate(
    floor: str, service: str, *, rounds: int, connections: int, body: bytes | None = None
) -> list[tuple[tuple[float, float, float], ...]]:
    """Load both in turn, a second each; return what `load` does of each, by round.

    The speed of a shared machine changes from second to second by more than what is
    measured: many short rounds tell more than a few long ones.
    """
    urls = floor, service
    for url in urls:
        load(url, connections=connections, seconds=1, body=body)
    return [
        tuple(load(url, connections=connections, seconds=1, body=body) for url in urls)
        for _ in range(rounds)
    ]


def at_once(
    urls: Sequence[str], *, rounds: int, connections: int, body: bytes | None = None
) -> list[tuple[float, ...]]:
    """Load all together; return the µs of processor that a request takes of each, by round.

    Servers that share a core take turns of some milliseconds, so that what makes a shared
    machine slower for a while meets all of them alike: rounds differ by 2 %.
    """
    servers = [_listener(url) for url in urls]
    found = []
    for _ in range(rounds):
        before = [_processor_s(server) for server in servers]
        with ThreadPoolExecutor(len(urls)) as loads:
            told = loads.map(
                lambda url: load(url, connections=connections, seconds=_TOGETHER_S, body=body), urls
            )
            requests = [per_s * _TOGETHER_S for per_s, *_ in told]
        taken_s = [
            _processor_s(server) - begun for server, begun in zip(servers, before, strict=True)
        ]
        found.append(tuple(1e6 * s / count for s, count in zip(taken_s, requests, strict=True)))
    return found


def _listener(url: str) -> psutil.Process:
    """Return the process that an address of this machine belongs to."""
    port = urlsplit(url).port
    for each in psutil.net_connections("tcp"):
        is_here = each.laddr and (each.status, each.laddr.port) == (psutil.CONN_LISTEN, port)
        if is_here and each.pid:
            return psutil.Process(each.pid)
    raise click.ClickException(f"nothing listens at {url}")


def _processor_s(server: psutil.Process) -> float:
    taken = server.cpu_times()
    return float(taken.user + taken.system)


def _posting(body: bytes) -> str:
    return (
        f'wrk.method = "POST"\nwrk.body = [==[{body.decode()}]==]\n'
        f'wrk.headers["Content-Type"] = "{JSON}"\n'
    )


def _ms(parts: tuple[str, str]) -> float:
    return float(parts[0]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[parts[1]]
