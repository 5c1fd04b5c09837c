"""The API as a page for people: Swagger UI, which reads the OpenAPI document."""

from pathlib import Path

from aiohttp import web
from swagger_ui_bundle import swagger_ui_path

from mlservice.errors import NotFound

# All is of this origin, but pictures that stand in Swagger UI's style as data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
# Addresses are relative, so that a proxy may serve the page below a path of its own.
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>mlservice</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<div id="page"></div>
<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> does not.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
_FILES = {
    "favicon-32x32.png": "image/png",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
}


async def page(_: web.Request) -> web.Response:
    """Show every route as a page on which it can be tried."""
    return web.Response(text=_PAGE, content_type="text/html", headers=_HEADERS)


async def part(request: web.Request) -> web.StreamResponse:
    """Give a file of that page."""
    name = request.match_info["file"]
    if name == "start.js":
        return web.Response(text=_START, content_type="text/javascript")
    if name not in _FILES:
        known = ", ".join(sorted([*_FILES, "start.js"]))
        raise NotFound(f"The file must be one of {known}, it is {name[:64]!r}.")
    path = Path(str(swagger_ui_path), name)
    return web.FileResponse(path, headers={"Content-Type": _FILES[name]})
