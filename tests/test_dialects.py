"""Failures as clients of other servers read them."""

import asyncio
import json

import pytest

from mlservice.dialects import document_of, status_of
from mlservice.errors import InvalidRow, ModelNotReady, StoreUnavailable, problems
from tests.support import Client


@pytest.mark.parametrize("path", ["/v2", "/v2/models/x/infer", "/v1", "/v1/models/x:predict"])
def test_every_problem_has_the_member_error_under_v2_and_v1(path: str) -> None:
    """The clients of those protocols read `error` only; they know no 422."""
    for kind in problems():
        document = document_of(kind("It must be so, it is not."), path)

        assert document["error"] == document["detail"] == "It must be so, it is not."
        assert document["status"] == status_of(kind, path) != 422


@pytest.mark.parametrize("path", ["/invocations", "/models/x/invocations"])
def test_every_problem_has_mlflows_members_under_invocations(path: str) -> None:
    """MLflow's clients read a code in words and a message."""
    assert document_of(InvalidRow("It is not."), path) == {
        "type": "/problems/invalid-row",
        "title": "The row does not fit the model",
        "status": 400,
        "detail": "It is not.",
        "error_code": "INVALID_PARAMETER_VALUE",
        "message": "It is not.",
    }
    assert document_of(StoreUnavailable("No."), path)["error_code"] == "TEMPORARILY_UNAVAILABLE"


@pytest.mark.parametrize("path", ["/v2x", "/v10", "/models/v2", "/invocations/x"])
def test_other_paths_keep_their_words(path: str) -> None:
    """A path that only looks alike answers as the native ones do."""
    assert document_of(InvalidRow("It is not."), path) == InvalidRow("It is not.").document()
    assert status_of(ModelNotReady, path) == 409


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/nothing", 404), ("DELETE", "/v2", 405), ("PUT", "/v1/x", 404)],
)
async def test_the_frameworks_own_failures_have_the_member_too(
    client: Client, method: str, path: str, status: int
) -> None:
    """A path that is not there is told as the rest is."""
    response = await client.request(method, path)

    document = await response.json()
    assert response.status == document["status"] == status
    assert document["error"] == document["detail"]
    assert "error_code" not in document


async def test_what_cannot_be_read_has_the_member_too(client: Client) -> None:
    """A request without a path that is known may be of any protocol."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /v2/models/x/infer HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n")

    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()

    assert b" 400 " in head.splitlines()[0]
    assert json.loads(body)["error"] == json.loads(body)["detail"]
