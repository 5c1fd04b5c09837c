"""Which peers there are: what they install, how they start, what they are asked."""

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Rows = Sequence[Sequence[float]]
Request = tuple[bytes, dict[str, str]]

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Peer:
    """A server of the same model.

    Attributes
    ----------
    packages : str
        What pip installs, scikit-learn beside it.
    command : str
        How it starts; `{bin}`, `{port}`, `{apps}` and `{folder}` stand for what they say.
    path : str
        Where it predicts.
    body : callable
        From rows to a JSON body.
    binary : bool
        Whether it takes a V2 tensor in binary at the same path.
    before : str
        A command that runs once before it starts.
    files : dict of str to str
        Files that it wants in its folder.
    """

    packages: str
    command: str
    path: str
    body: Callable[[Rows], bytes]
    binary: bool = False
    before: str = ""
    files: dict[str, str] = field(default_factory=dict)


def instances(rows: Rows) -> bytes:
    """Return `{"instances": rows}`."""
    return json.dumps({"instances": rows}).encode()


def tensor(rows: Rows) -> bytes:
    """Return a V2 request with the rows as JSON numbers."""
    flat = [value for row in rows for value in row]
    return json.dumps({"inputs": [_head(rows) | {"data": flat}]}).encode()


def binary(rows: Rows) -> Request:
    """Return a V2 request with the rows as bytes, and its headers."""
    flat = [value for row in rows for value in row]
    raw = struct.pack(f"<{len(flat)}d", *flat)
    head = _head(rows) | {"parameters": {"binary_data_size": len(raw)}}
    document = {"inputs": [head], "parameters": {"binary_data_output": True}}
    text = json.dumps(document).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(text)),
    }
    return text + raw, headers


def _head(rows: Rows) -> dict[str, object]:
    return {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP64"}


PEERS = {
    "fastapi": Peer(
        packages="fastapi uvicorn uvloop httptools",
        command="{bin}/uvicorn fastapi_app:app --app-dir={apps} --port={port}"
        " --loop=uvloop --http=httptools --no-access-log",
        path="/predict",
        body=instances,
    ),
    "mlserver": Peer(
        # With uvloop 0.22 its inference workers find no event loop.
        packages="mlserver uvloop<0.22",
        command="{bin}/mlserver start {folder}",
        path="/v2/models/model/infer",
        body=tensor,
        files={
            "model-settings.json": json.dumps(
                {"name": "model", "implementation": "mlserver_app.Classifier"}
            ),
            "settings.json": '{"parallel_workers": 0, "debug": false, "http_port": {port},'
            ' "grpc_port": {spare}, "metrics_port": {another}}',
        },
    ),
    "kserve": Peer(
        packages="kserve",
        command="{bin}/python {apps}/kserve_app.py",
        path="/v1/models/model:predict",
        body=instances,
    ),
    "kserve-v2": Peer(
        packages="kserve",
        command="{bin}/python {apps}/kserve_app.py",
        path="/v2/models/model/infer",
        body=tensor,
        binary=True,
    ),
    "bentoml": Peer(
        packages="bentoml",
        command="{bin}/bentoml serve bentoml_app:Classifier --working-dir={apps} --port={port}",
        path="/predict",
        body=lambda rows: json.dumps({"x": rows}).encode(),
    ),
    "mlflow": Peer(
        packages="mlflow",
        before="{bin}/python {apps}/mlflow_app.py {folder}/model",
        command="{bin}/mlflow models serve --model-uri={folder}/model --env-manager=local"
        " --workers=1 --port={port}",
        path="/invocations",
        body=lambda rows: json.dumps({"inputs": rows}).encode(),
    ),
    "litserve": Peer(
        packages="litserve",
        command="{bin}/python {apps}/litserve_app.py",
        path="/predict",
        body=instances,
    ),
    "ray": Peer(
        packages="ray[serve]",
        command="{bin}/python {apps}/ray_app.py",
        path="/predict",
        body=instances,
    ),
    "pytriton": Peer(
        packages="nvidia-pytriton",
        command="{bin}/python {apps}/triton_app.py",
        path="/v2/models/model/infer",
        body=tensor,
        binary=True,
    ),
}
