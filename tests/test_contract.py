"""The live service keeps to its OpenAPI document, whatever schemathesis sends."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import hypothesis
import pytest
import schemathesis
from aiohttp import web
from redis import Redis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mlservice import __version__
from mlservice.handlers.operations import DOCUMENT
from mlservice.routes import add_routes
from mlservice.settings import Settings
from tests.checker import looking
from tests.support import make_model, store_model, until

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.timeout(120)]
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# OpenAPI 3.1 has no schema for the events of a stream, only for all of it as a text.
STREAM = "/models/{id}/events"
# Where 503 is the answer itself: ready or not, there is no worker here.
TELLING = re.compile(r"/health/ready|/v2/health/ready|/ready$")


def _document() -> Any:
    app = web.Application()
    add_routes(app, version=__version__)
    return json.loads(json.dumps(app[DOCUMENT]))


schema = schemathesis.openapi.from_dict(_document())


@pytest.fixture(scope="module")
def url(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a service without workers; return its address."""
    with Redis.from_url(valkey) as redis:
        redis.flushall()
    log = tmp_path_factory.mktemp("contract") / "log.txt"
    command = [sys.executable, "-m", "mlservice", "serve", "--api-only", "--port", "0"]
    environ = {"MLSERVICE_REDIS_URL": valkey, "PYTHONPATH": str(Path(__file__).parents[1])}
    with log.open("wb") as out:
        process = Popen(command, env=environ, stdout=out, stderr=out)

    async def listens() -> str | None:
        found = re.search(r"listening at (http://[\d.:]+)", log.read_text())
        return found[1] if found else None

    yield asyncio.run(until(listens, within_s=30))
    process.terminate()
    assert process.wait(20) == 0
    assert "Traceback" not in log.read_text()
    with looking(Settings(redis_url=valkey)) as stored:
        assert stored.disagreements() == []


@pytest.fixture(scope="module")
def model_id(url: str, valkey: str) -> str:  # noqa: ARG001  # emptied first
    """Return a model that is ready."""
    return asyncio.run(store_model(Settings(redis_url=valkey), make_model()))


# What has no generator here is the subject of test_packed, test_arrow and test_bounds.
@pytest.mark.filterwarnings("ignore:Skipped test cases with unsupported payload media types")
@schema.parametrize()
@hypothesis.settings(
    max_examples=20,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_operation_answers_as_its_document_says(case: Any, url: str, model_id: str) -> None:
    """No 5xx; status, media type and members are those that are told, of ready models too.

    Fails when an answer's media type is left out of the document, as that of tensors in bytes was.
    """
    if case.method != "DELETE" and "id" in case.path_parameters:
        case.path_parameters["id"] = model_id
    checks = CHECKS if TELLING.search(case.path) else [not_a_server_error, *CHECKS]
    checks = checks[:-1] if case.path == STREAM else checks

    case.call_and_validate(base_url=url, checks=checks)
