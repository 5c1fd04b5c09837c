"""The OpenAPI document as a page for people."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from mlservice import manual
from mlservice.errors import problems
from mlservice.handlers.operations import DOCUMENT
from mlservice.routes import ROUTES
from tests.support import Client


@pytest.fixture
async def shown(client: Client) -> str:
    """Return the page as a browser gets it."""
    response = await client.get("/docs")
    assert (response.status, response.content_type) == (200, "text/html")
    return await response.text()


class _Places(HTMLParser):
    """Collects what a page links to and what can be linked to, and checks that elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link, an id, and an element that must be closed."""
        named = dict(attrs)
        self.links |= {named["href"] or ""} if "href" in named else set()
        self.ids += [named["id"] or ""] if "id" in named else []
        if tag not in ("meta", "p"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note that an element is closed, the innermost first."""
        if tag != "p":
            assert self.open.pop() == tag


def _places(shown: str) -> _Places:
    found = _Places()
    found.feed(shown)
    return found


async def test_the_page_has_every_route_and_schema(client: Client, shown: str) -> None:
    """It is made from the document, and leaves nothing of it out."""
    document: Any = client.app[DOCUMENT]

    shown_routes = set(re.findall(r"<code>([A-Z]+ /[^<]*)</code>", shown))

    assert shown_routes == {f"{route.method} {route.path}" for route in ROUTES}
    assert set(_places(shown).ids) == set(document["components"]["schemas"])


async def test_the_page_links_to_what_there_is(shown: str) -> None:
    """Each link leads to a schema of the page, a problem's page or the document."""
    places = _places(shown)

    targets = {f"#{each}" for each in places.ids}
    pages = {f"/problems/{kind.slug}" for kind in problems()}
    assert places.open == []
    assert places.links <= targets | pages | {"/openapi.json"}
    assert len(places.links & pages) > 20


async def test_a_browser_fetches_and_runs_nothing_of_the_page(client: Client, shown: str) -> None:
    """Its style is the one that the policy names by digest; scripts and images there are none."""
    response = await client.get("/docs")

    assert response.headers["Content-Security-Policy"] == manual.POLICY
    assert "default-src 'none'" in manual.POLICY
    assert not re.search(r"<(script|link|img|iframe)|\bstyle=|\bon\w+=|https?://", shown)


def test_what_a_document_says_stands_in_the_page_as_text() -> None:
    """Names and descriptions are words, whatever they are made of; backquotes become code."""
    schema = {"type": "object", "description": "<b> & `x<y`", "properties": {}}
    document = {
        "info": {"title": "<t>", "version": "1", "summary": "s"},
        "paths": {},
        "components": {"schemas": {"S": schema}},
    }

    shown = manual.page(document)

    assert "&lt;b&gt; &amp; <code>x&lt;y</code>" in shown
    assert "<title>&lt;t&gt; 1</title>" in shown
    assert "<b>" not in shown


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any"),
        ({"type": "array", "items": {"type": "string"}}, "array of string"),
        ({"anyOf": [{"type": "number", "minimum": 0}, {}]}, "number (minimum 0) or any"),
        ({"type": ["number", "string"]}, "number or string"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({"enum": ["a", None]}, "<code>&quot;a&quot;</code> | <code>null</code>"),
    ],
)
def test_a_schema_is_told_in_a_few_words(schema: dict[str, Any], words: str) -> None:
    """What a member may be is read without knowing JSON Schema."""
    document = {
        "info": {"title": "t", "version": "1", "summary": "s"},
        "paths": {},
        "components": {"schemas": {"S": {"properties": {"x": schema}}}},
    }

    assert f"<td>{words}</td>" in manual.page(document)
