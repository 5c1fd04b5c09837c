"""From the route table to an OpenAPI 3.1 document.

A route tells what it takes and answers by the schemas' own types; their
JSON Schemas are msgspec's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mlservice import dialects
from mlservice.errors import Problem
from mlservice.schemas import ProblemDocument
from mlservice.scopes import Scope

REF = "#/components/schemas/{name}"
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bytes: {"type": "string", "format": "binary"},
    dict: {"type": "object"},
}
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key, where the operator asks for keys; an operation names the scope "
    "that it must have.",
}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a route, in the path, the query or a header."""

    name: str
    place: str
    description: str
    schema: dict[str, Any]
    style: dict[str, Any] | None = None
    example: Any = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of a route: its status, and its body's type or types."""

    status: int
    description: str
    body: type | tuple[type, ...] = ()
    media_type: str = "application/json"
    others: Mapping[str, type] = field(default_factory=dict)  # in other media types
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path, as clients see it."""

    method: str
    path: str
    summary: str
    scope: Scope
    answers: Sequence[Answer]
    parameters: Sequence[Parameter] = ()
    body: type | None = None
    media_types: Sequence[str] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)  # bodies by media type
    problems: Sequence[type[Problem]] = ()
    tag: str = "models"


def document(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """Return the OpenAPI document of all operations.

    Parameters
    ----------
    operations : sequence of Operation
        Each route once; method and path are its identity.
    version : str
        Version of the service.
    """
    bodies: set[type] = {ProblemDocument}
    types = sorted(bodies.union(*map(_bodies, operations)) - set(_PLAIN), key=str)
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    of = _PLAIN | dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, of)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "mlservice",
            "version": version,
            "summary": "Train logistic regressions over HTTP and get predictions with a GET.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": _KEY}},
    }


def _bodies(operation: Operation) -> set[type]:
    sent = {operation.body} if operation.body else set()
    answered = ((*_types(answer), *answer.others.values()) for answer in operation.answers)
    return sent.union(*answered)


def _types(answer: Answer) -> tuple[type, ...]:
    return answer.body if isinstance(answer.body, tuple) else (answer.body,)


def _operation(operation: Operation, of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [] if operation.scope == "open" else [{"key": [operation.scope]}],
        "responses": {
            **{str(answer.status): _answer(answer, of) for answer in operation.answers},
            **_problems(operation, of),
        },
    }
    if operation.parameters:
        described["parameters"] = [_parameter(each) for each in operation.parameters]
    if operation.body:
        content: dict[str, Any] = {"application/json": {"schema": of[operation.body]}}
        # What is not JSON has no schema; the keys say that it is taken.
        content |= {media_type: {} for media_type in operation.media_types}
        for media_type, example in operation.examples.items():
            content[media_type]["example"] = example
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": parameter.schema,
        **(parameter.style or {}),
        **({} if parameter.example is None else {"example": parameter.example}),
    }


def _answer(answer: Answer, of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if schemas := [of[each] for each in _types(answer)]:
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        described["content"] = {answer.media_type: {"schema": schema}}
    for media_type, body in answer.others.items():
        described["content"][media_type] = {"schema": of[body]}
    if answer.headers:
        described["headers"] = {name: {"schema": {"type": "string"}} for name in answer.headers}
    return described


def _problems(operation: Operation, of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """Return one response a status; it names every problem type that has it."""
    slugs: dict[int, list[str]] = {}
    for kind in operation.problems:
        status = dialects.status_of(kind, operation.path)
        slugs.setdefault(status, []).append(kind.slug)
    content = {"application/problem+json": {"schema": of[ProblemDocument]}}
    return {
        str(status): {"description": ", ".join(sorted(names)), "content": content}
        for status, names in sorted(slugs.items())
    }
