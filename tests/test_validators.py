"""`ETag` and `If-None-Match` on documents."""

import pytest

from mlservice.settings import Settings
from tests.support import Client, create, make_model, make_request, store_model, work


async def test_document_that_has_not_changed_is_304(client: Client, settings: Settings) -> None:
    """A client that has it is told so, without a body."""
    model_id = await store_model(settings, make_model())
    first = await client.get(f"/models/{model_id}")

    again = await client.get(
        f"/models/{model_id}", headers={"If-None-Match": first.headers["ETag"]}
    )

    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"


async def test_document_that_has_changed_is_answered(client: Client, settings: Settings) -> None:
    """A training's end makes another document of it."""
    model_id = await create(client, make_request())
    queued = await client.get(f"/models/{model_id}")
    await work(settings)

    ended = await client.get(
        f"/models/{model_id}", headers={"If-None-Match": queued.headers["ETag"]}
    )

    assert ended.status == 200
    assert (await ended.json())["state"] == "ready"
    assert ended.headers["ETag"] != queued.headers["ETag"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("*", 304),
        ('"x", {tag}', 304),
        ('"x",{tag}, "y"', 304),
        ("W/{tag}", 304),
        ('"x"', 200),
        ("", 200),
        ("x{bare}", 200),
    ],
)
async def test_header_is_read_as_rfc_9110_says(
    client: Client, settings: Settings, sent: str, status: int
) -> None:
    """A list of tags, weak ones too, or a star."""
    model_id = await store_model(settings, make_model())
    tag = (await client.get(f"/models/{model_id}")).headers["ETag"]

    header = sent.format(tag=tag, bare=tag.strip('"'))
    again = await client.get(f"/models/{model_id}", headers={"If-None-Match": header})

    assert again.status == status
