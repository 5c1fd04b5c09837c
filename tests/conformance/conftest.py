"""A running service with models, and what it answers in its own words."""

import contextlib
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

ROOT = Path(__file__).parent.parent.parent
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ROWS = [[5.1, 3.5, 1.4, 0.2], [5.9, 3.0, 5.1, 1.8], [6.0, 2.2, 4.0, 1.0], [7.7, 2.6, 6.9, 2.3]]
MIXED: dict[str, list[Any]] = {
    "length": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 1.0, 7.0],
    "colour": ["red", "blue", "red", "green", "blue", "green", "red", "blue"],
    "count": [0, 0, 0, 7, 7, 7, 0, 7],
}


def ask(url: str, body: Any = None, method: str | None = None) -> Any:
    """Return the JSON that a path answers with."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Prefer": "wait=60"}
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  # ours
    with urllib.request.urlopen(request, timeout=90) as response:  # noqa: S310
        return json.load(response)


class Service:
    """A running service; `iris` is the alias of a model of numbers, `mixed` of one with text."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.address = url.removeprefix("http://")
        self.iris = self._train("iris", json.loads((ROOT / "train.json").read_bytes()))
        self.mixed = self._train("mixed", {"data": MIXED, "target": "count"})
        ask(f"{url}/aliases/default", {"model": self.iris}, "PUT")

    def _train(self, alias: str, body: dict[str, Any]) -> str:
        document = ask(f"{self.url}/models", body)
        assert document["state"] == "ready", document
        ask(f"{self.url}/aliases/{alias}", {"model": document["id"]}, "PUT")
        return str(document["id"])

    def native(self, model: str, rows: list[dict[str, Any]]) -> list[tuple[Any, list[float]]]:
        """Return the service's own answers: each row's class, and its probabilities."""
        answers = [ask(f"{self.url}/models/{model}?{urlencode(row)}") for row in rows]
        return [(each["prediction"], list(each["probabilities"].values())) for each in answers]

    @property
    def labels(self) -> list[Any]:
        """The classes of `ROWS`."""
        return [label for label, _ in self.of_rows]

    @property
    def probabilities(self) -> list[list[float]]:
        """The probabilities of `ROWS`."""
        return [shares for _, shares in self.of_rows]

    @property
    def of_rows(self) -> list[tuple[Any, list[float]]]:
        """The service's own answers to `ROWS`."""
        rows = [dict(zip(FEATURES, row, strict=True)) for row in ROWS]
        return self.native("iris", rows)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service in its own environment, with two models."""
    python = os.environ.get("SERVICE_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
    folder = tmp_path_factory.mktemp("data")
    command = [python, "-m", "mlservice", "serve", "--port", "0", "--data-dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout
        url = process.stdout.readline().split(" at ")[1].split(" ", maxsplit=1)[0].strip()
        yield Service(url)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=30)
        process.kill()
