"""The page of the API: Swagger UI, and nothing that is not the service's own."""

import re

import pytest

from tests.support import Client

KINDS = {"css": "text/css", "js": "text/javascript", "png": "image/png"}


async def _page(client: Client) -> str:
    async with client.get("/docs") as response:
        assert (response.status, response.content_type) == (200, "text/html")
        return await response.text()


async def test_the_page_loads_what_the_service_has(client: Client) -> None:
    """Each file that it names is there, in its media type, and so is the document that it shows."""
    named = re.findall(r'(?:href|src)="([^"]+)"', await _page(client))

    assert len(named) == 5
    for path in named:
        async with client.get(f"/{path}") as response:
            assert response.status == 200
            known = KINDS.get(path.rpartition(".")[2], "application/json")
            assert response.content_type == known
            assert await response.read()
    async with client.get("/docs/start.js") as response:
        assert '"openapi.json"' in await response.text()


async def test_the_page_reaches_for_nothing_elsewhere(client: Client) -> None:
    """Its policy lets a browser load and ask this origin only; it names no other."""
    async with client.get("/docs") as response:
        policy = response.headers["Content-Security-Policy"]
        shown = await response.text()

    sources = {word for rule in policy.split("; ") for word in rule.split()[1:]}
    assert sources == {"'none'", "'self'", "data:"}
    assert "script-src 'self';" in policy
    assert not re.search(r"https?:|<script>|<style|\bstyle=|\bon\w+=", shown)


@pytest.mark.parametrize("name", ["index.html", "swagger-ui.js", "..%2F__init__.py", "%00"])
async def test_no_other_file_is_given(client: Client, name: str) -> None:
    """What the page does not name is not found, whatever the package has."""
    async with client.get(f"/docs/{name}") as response:
        assert response.status == 404
        assert (await response.json())["type"] == "/problems/not-found"
