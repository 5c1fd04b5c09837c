"""The OpenAPI document as a page for people; nothing of it is fetched or run."""

import base64
import hashlib
import html
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0}"
    "td{border-top:1px solid #8886;padding:.25rem .75rem .25rem 0;vertical-align:top}"
    "summary{cursor:pointer;margin:.25rem 0}details>*:not(summary){margin-left:1rem}"
    ":root{color-scheme:light dark}"
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# What a browser may do with the page: apply its own style.
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"

_BOUNDS = (
    "minimum", "exclusiveMinimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
)  # fmt: skip
_PROBLEM = "application/problem+json"
_quoted = re.compile(r"`([^`]+)`")

Schema = Mapping[str, Any]


def page(document: dict[str, Any]) -> str:
    """Return every operation and every schema of an OpenAPI document as HTML.

    Parameters
    ----------
    document : dict
        What `openapi.document` makes.
    """
    info = document["info"]
    title = html.escape(f"{info['title']} {info['version']}")
    described = [
        (operation["tags"][0], _operation(method, path, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    return "".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>",
            f"<p>{_words(info['summary'])} For programs: ",
            '<a href="/openapi.json">/openapi.json</a>.',
            *_sections(described),
            "<h2>schemas</h2>",
            *(_schema(name, schemas[name]) for name in sorted(schemas)),
            "</html>\n",
        ]
    )


def _sections(described: Sequence[tuple[str, str]]) -> Iterable[str]:
    # A tag's operations stand together, the tags in the order of their first.
    tags = list(dict.fromkeys(tag for tag, _ in described))
    by_tag = sorted(described, key=lambda pair: tags.index(pair[0]))
    for tag, pairs in itertools.groupby(by_tag, key=lambda pair: pair[0]):
        yield f"<h2>{html.escape(tag)}</h2>"
        yield from (text for _, text in pairs)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    head = f"<code>{method.upper()} {html.escape(path)}</code> {_words(operation['summary'])}."
    scopes = [scope for each in operation["security"] for scope in each["key"]]
    parts = [f"<p>Scope: {', '.join(scopes) or 'open'}.</p>"]
    parameters = [_parameter(each) for each in operation.get("parameters", ())]
    if parameters:
        parts.append(_table(parameters))
    if body := operation.get("requestBody"):
        parts.append(f"<p>Body: {_content(body['content'])}</p>")
    parts.append(_table([_response(*pair) for pair in operation["responses"].items()]))
    return f"<details><summary>{head}</summary>{''.join(parts)}</details>"


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"<code>{html.escape(parameter['name'])}</code>",
        parameter["in"],
        _kind(parameter["schema"]),
        _words(parameter["description"]),
    )


def _response(status: str, response: Mapping[str, Any]) -> tuple[str, ...]:
    content = response.get("content", {})
    if _PROBLEM not in content:
        return status, _words(response["description"]), _content(content)
    slugs = response["description"].split(", ")
    links = (f'<a href="/problems/{slug}">{slug}</a>' for slug in slugs)
    return status, ", ".join(links), _content(content)


def _content(content: Mapping[str, Any]) -> str:
    """Tell media types, each with its schema where it has one."""
    told = [
        f"<code>{html.escape(media_type)}</code> {_kind(each['schema']) if each else ''}".strip()
        for media_type, each in content.items()
    ]
    return ", ".join(told)


def _schema(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    members = [
        (
            f"<code>{html.escape(member)}</code>",
            _kind(each) + _default(each) + (", required" if member in required else ""),
            _words(each.get("description", "")),
        )
        for member, each in schema.get("properties", {}).items()
    ]
    words = _words(schema.get("description", "")) or _kind(schema)
    return (
        f'<details id="{html.escape(name)}"><summary><code>{html.escape(name)}</code></summary>'
        f"<p>{words}</p>{_table(members)}</details>"
    )


def _kind(schema: Schema) -> str:
    """Return what a JSON Schema allows in a few words."""
    if reference := schema.get("$ref"):
        name = html.escape(reference.rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "enum" in schema:
        return " | ".join(_literal(each) for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    kinds = schema.get("type", "any")
    words = kinds if isinstance(kinds, str) else " or ".join(kinds)
    parts = schema.get("items") or schema.get("additionalProperties")
    if parts and isinstance(parts, Mapping):
        words += f" of {_kind(parts)}"
    bounds = [f"{bound} {schema[bound]}" for bound in _BOUNDS if bound in schema]
    return f"{words} ({', '.join(bounds)})" if bounds else words


def _default(schema: Schema) -> str:
    has_one = "default" in schema and not isinstance(schema["default"], dict)
    return f", default {_literal(schema['default'])}" if has_one else ""


def _literal(value: object) -> str:
    return f"<code>{html.escape(json.dumps(value, ensure_ascii=False))}</code>"


def _table(rows: Iterable[Iterable[str]]) -> str:
    lines = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>" if lines else ""


def _words(text: str) -> str:
    return _quoted.sub(r"<code>\1</code>", html.escape(text))
