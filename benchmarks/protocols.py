"""The Open Inference Protocol beside the floor: `python -m benchmarks.protocols`.

The service and the floor have core 0, the client has core 1. Each round measures
the floor and the service in turn; a ratio is the median of the rounds' ratios.
The floor of one row reads the body and answers a constant; that of many parses
JSON with simdjson, multiplies and dumps with orjson. It needs the extras fast
and bench.
"""

import json
import statistics
from collections.abc import Iterator

import click
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.batches import COLUMNS, NAMES, ROWS, Asker, floor, imported
from benchmarks.measure import JSON, alternate, check_tools, fetch, service

LENGTH = "Inference-Header-Content-Length"
OCTETS = "application/octet-stream"
CONNECTIONS = 32


def asked(X: NDArray[np.float64], **members: object) -> bytes:
    """Return the JSON of an inference of a matrix, without its values or with `data`."""
    tensor = {"name": "input", "shape": list(X.shape), "datatype": "FP64"} | members
    return json.dumps({"inputs": [tensor]}).encode()


def in_bytes(X: NDArray[np.float64]) -> tuple[bytes, dict[str, str]]:
    """Return a matrix behind the JSON, bytes asked for in return; and the header."""
    data = X.tobytes()
    tensor = {
        "name": "input",
        "shape": list(X.shape),
        "datatype": "FP64",
        "parameters": {"binary_data_size": len(data)},
    }
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return text + data, {LENGTH: str(len(text))}


def inference(api: str, columns: int) -> str:
    """Import a model; return the address of its inferences."""
    model_id = imported(api, columns).rsplit("/", 2)[1]
    return f"{api}/v2/models/{model_id}/infer"


def one_row(below: str, url: str, rounds: int) -> str:
    """Return the ratio of requests a second of one row."""
    body = asked(np.ones((1, 4)), data=[5.9, 3.0, 5.1, 1.8])
    found = alternate(below, url, rounds=rounds, connections=CONNECTIONS, body=body)
    pairs = [(low[0], high[0]) for low, high in found]
    floors, services = zip(*pairs, strict=True)
    ratio = statistics.median(b / a for a, b in pairs)
    return (
        f"one row, V2 JSON, {CONNECTIONS} connections: floor {statistics.median(floors):,.0f}/s, "
        f"service {statistics.median(services):,.0f}/s, ratio {ratio:.2f}"
    )


def many_rows(below: str, url: str, rounds: int) -> Iterator[str]:
    """Yield a line for JSON, flat and nested, and for bytes both ways."""
    X = np.random.default_rng(0).normal(size=(ROWS, COLUMNS))
    split = json.dumps({"columns": NAMES, "data": X.tolist()}).encode()
    binary, headers = in_bytes(X)
    forms = {
        "JSON, flat": (JSON, asked(X, data=X.ravel().tolist()), {}),
        "JSON, nested": (JSON, asked(X, data=X.tolist()), {}),
        "bytes": (OCTETS, binary, headers),
    }
    base = Asker(below)
    for name, (media_type, body, own) in forms.items():
        ours = Asker(url, own)
        pairs = [(base.median(JSON, split), ours.median(media_type, body)) for _ in range(rounds)]
        floors, services = zip(*pairs, strict=True)
        ratio = statistics.median(b / a for a, b in pairs)
        yield (
            f"| {name} | {statistics.median(floors):.1f} | {statistics.median(services):.1f} "
            f"| {ratio:.2f} |"
        )


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds of floor and service.")
@click.option("--seconds", default=15, show_default=True, help="Rounds of a second, one row.")
def main(rounds: int, seconds: int) -> None:
    """Compare the Open Inference Protocol with the floor."""
    check_tools()
    psutil.Process().cpu_affinity([1])
    with floor() as below, service() as (api, _):
        fetch(f"{api}/health/live")
        click.echo(one_row(f"{below}/models/x/predictions", inference(api, 4), seconds))
        click.echo(f"\n| {ROWS:,} x {COLUMNS}, V2 | floor in JSON, ms | service, ms | ratio |")
        click.echo("|---|---|---|---|")
        for line in many_rows(f"{below}/multiply", inference(api, COLUMNS), rounds):
            click.echo(line)


if __name__ == "__main__":
    main()
