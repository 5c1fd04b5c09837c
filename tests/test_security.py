"""SECURITY.md: its checklist names tests that there are; and what no other file's subject is."""

import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlservice.settings import Settings
from tests.support import Client, get, make_model, make_request, store_model

ROOT = Path(__file__).parent.parent
TESTS = set(
    re.findall(
        r"^(?:async )?def (test_\w+)",
        "".join(file.read_text("utf-8") for file in (ROOT / "tests").glob("*.py")),
        re.MULTILINE,
    )
)

# Calls by which a process would reach for something that a client named.
_REACHES = {"socket.connect", "socket.getaddrinfo", "open", "os.listdir", "subprocess.Popen"}
_watch: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch is not None and event in _REACHES:
        _watch.append(f"{event} {arguments}")


@functools.cache
def _listen() -> None:
    """Add the hook, once: it cannot be removed."""
    sys.addaudithook(_note)


@pytest.fixture
def reached() -> Iterator[list[str]]:
    """Return what this process reaches for during a test."""
    global _watch  # noqa: PLW0603  # the hook's, which is one for the whole process
    _listen()
    _watch = []
    yield _watch
    _watch = None


def _rows() -> dict[str, list[str]]:
    """Return each item of the checklist and the tests that it names."""
    lines = (ROOT / "SECURITY.md").read_text("utf-8").split("\n")
    rows = [line for line in lines if line.startswith("| API")]
    return {row.split()[1].rstrip(":"): re.findall(r"`(test_\w+)`", row) for row in rows}


def test_the_checklist_has_every_item_and_a_test_for_each() -> None:
    """The ten items of the OWASP API Security Top 10 of 2023, in order."""
    rows = _rows()

    assert list(rows) == [f"API{number}" for number in range(1, 11)]
    assert all(rows.values())


def test_each_promise_names_the_tests_that_hold_it() -> None:
    """A promise without a test is one without a proof."""
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    promised = text.partition("## What is promised\n")[2].partition("\n## ")[0]

    promises = re.split(r"^- ", promised, flags=re.MULTILINE)[1:]

    assert len(promises) == 10
    assert [each for each in promises if "`test_" not in each] == []


def test_the_checklist_and_the_promises_name_tests_that_there_are() -> None:
    """A test that was renamed or deleted is noticed here."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text("utf-8")))

    assert named - TESTS == set()


async def test_no_text_of_a_client_makes_the_service_reach_for_it(
    client: Client, settings: Settings, reached: list[str]
) -> None:
    """Names, labels, columns, options, aliases and headers are words, never addresses."""
    for url in ("http://canary.invalid/x", "file:///etc/canary", "//canary/x"):
        await _send_everywhere(client, await store_model(settings, make_model()), url)

    assert reached != []
    assert [each for each in reached if "canary" in each] == []


async def _send_everywhere(client: Client, model_id: str, url: str) -> None:
    request = make_request(name=url)
    request["data"][url] = [url] * 150
    async with client.post("/models", json=request) as response:
        assert response.status == 202
    options = {"target": url, "name": url, "warm_start_from": url, "params.solver": url}
    await client.post("/models", params=options, data=f"{url}\n{url}\n")
    await client.post("/models", json=url, headers={"Referer": url, "X-Forwarded-Host": url})
    await client.put("/aliases/x", json={"model": url})
    await client.get(f"/models/{model_id}", params={"a": url, "b": url})
    await client.get(f"/models/{model_id}/export", params={"format": url})


async def test_a_document_shows_nothing_of_the_stores_own(
    client: Client, settings: Settings
) -> None:
    """A record's tenant, claimant, digest and fencing token are nobody else's business."""
    model_id = await store_model(settings, make_model())

    document, listed = await get(client, f"/models/{model_id}"), await get(client, "/models")

    hidden = {"tenant", "attempt", "claimant", "sha256", "description", "body"}
    for told in (document, *listed["models"]):
        assert hidden & set(told) == set()


@pytest.mark.parametrize("member", ["state", "tenant", "id", "attempt", "created_at", "links"])
async def test_no_member_of_the_record_can_be_set_by_a_client(client: Client, member: str) -> None:
    """What is not asked for is refused by name, so nothing is assigned in passing."""
    async with client.post("/models", json=make_request(**{member: "ready"})) as response:
        assert response.status == 422
        assert member in (await response.json())["detail"]
