"""Stored models as files, through HTTP."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mlservice import load
from mlservice.model import encode
from mlservice.settings import Settings
from tests.support import Client, create, make_model, make_request, store_model


async def test_a_downloaded_file_is_the_stored_model(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    """The bytes are those that were stored, and `load` reads them."""
    model = make_model(coef=[[1.0, -2.0]], intercept=[0.5])
    model_id = await store_model(settings, model)

    response = await client.get(f"/models/{model_id}/artifact")

    body = await response.read()
    path = tmp_path / "a.model"
    path.write_bytes(body)
    assert response.status == 200
    assert response.content_type == "application/vnd.mlservice.model+msgpack"
    assert body == encode(model)
    loaded: Any = await asyncio.to_thread(load, path)
    assert loaded.coef_.tolist() == [[1.0, -2.0]]
    assert model_id in response.headers["Content-Disposition"]


async def test_a_file_that_the_client_has_is_not_sent_again(
    client: Client, settings: Settings
) -> None:
    """The same digest is 304, another one the file."""
    model_id = await store_model(settings, make_model())
    etag = (await client.get(f"/models/{model_id}/artifact")).headers["ETag"]

    same = await client.get(f"/models/{model_id}/artifact", headers={"If-None-Match": etag})
    other = await client.get(f"/models/{model_id}/artifact", headers={"If-None-Match": '"x"'})

    assert (same.status, await same.read()) == (304, b"")
    assert other.status == 200


@pytest.mark.parametrize("known", [True, False])
async def test_a_model_without_a_file_says_why(client: Client, *, known: bool) -> None:
    """A queued model is not ready, an unknown one not found."""
    model_id = await create(client, make_request()) if known else "nope"

    response = await client.get(f"/models/{model_id}/artifact")

    assert response.status == (409 if known else 404)
