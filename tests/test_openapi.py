"""The OpenAPI document, made from the routes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

import mlservice
from mlservice import __version__, dialects
from mlservice.errors import BodyTooLarge, NotFound, TableTooLarge, problems
from mlservice.handlers.operations import DOCUMENT
from mlservice.openapi import Answer, Operation, Parameter, document
from mlservice.routes import ROUTES, add_routes
from mlservice.schemas import Liveness, Readiness, TrainingRequest

SLUGS = {kind.slug for kind in problems()}


@pytest.fixture(scope="module")
def router() -> web.Application:
    """Return an application with the routes and nothing behind them."""
    app = web.Application()
    add_routes(app, version=__version__)
    return app


@pytest.fixture(scope="module")
def described(router: web.Application) -> Any:
    """Return the document as a client reads it."""
    return json.loads(json.dumps(router[DOCUMENT]))


def operations(described: Any) -> list[tuple[str, str, Any]]:
    """Return method, path and description of each operation."""
    return [
        (method.upper(), path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def test_document_is_valid(described: Any) -> None:
    """The document is OpenAPI 3.1."""
    errors = list(OpenAPIV31SpecValidator(described).iter_errors())

    assert errors == []
    assert described["openapi"].startswith("3.1.")
    assert described["info"]["version"] == __version__


def test_validator_finds_a_fault(described: Any) -> None:
    """The check above fails for a document that is wrong."""
    broken = described | {"paths": {"/models": {"get": {"responses": {"200": {}}}}}}

    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_routes_and_document_are_the_same(router: web.Application, described: Any) -> None:
    """Every route of the router is in the document, and the other way round."""
    served = {
        (route.method, route.resource.canonical)
        for route in router.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }

    assert {(method, path) for method, path, _ in operations(described)} == served


def test_every_get_answers_head(router: web.Application) -> None:
    """RFC 9110 asks for HEAD wherever there is GET."""
    by_method = {
        method: {
            route.resource.canonical
            for route in router.router.routes()
            if route.resource is not None and route.method == method
        }
        for method in ("GET", "HEAD")
    }

    assert by_method["HEAD"] == by_method["GET"]


def test_every_named_problem_is_a_real_one(described: Any) -> None:
    """The descriptions of failures name slugs that have a page."""
    named = {
        slug
        for _, _, operation in operations(described)
        for response in operation["responses"].values()
        if "application/problem+json" in response.get("content", {})
        for slug in response["description"].split(", ")
    }

    assert named
    assert named <= SLUGS


def test_problem_stands_under_its_status(described: Any) -> None:
    """A slug is listed under the status that it answers with under that path."""
    kinds = {kind.slug: kind for kind in problems()}

    wrong = [
        (path, status, slug)
        for _, path, operation in operations(described)
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
        for slug in response["description"].split(", ")
        if str(dialects.status_of(kinds[slug], path)) != status
    ]

    assert wrong == []


def test_members_of_problems_are_described(described: Any) -> None:
    """What the code adds to a problem document stands in its schema."""
    code = "".join(
        file.read_text("utf-8") for file in Path(mlservice.__file__).parent.rglob("*.py")
    )

    added = set(re.findall(r'members=\{"(\w+)"', code))

    assert {"state", "scope", "error_count"} <= added
    assert added <= set(described["components"]["schemas"]["ProblemDocument"]["properties"])


def test_pages_of_problems_are_all_listed(described: Any) -> None:
    """The path of a problem's page takes every slug and no other."""
    [parameter] = described["paths"]["/problems/{slug}"]["get"]["parameters"]

    assert set(parameter["schema"]["enum"]) == SLUGS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_operation_has_a_summary_and_its_path_parameters(route: Any) -> None:
    """A summary is the handler's sentence; each part of the path that varies is described."""
    operation = route.operation()

    assert operation.summary
    assert "\n" not in operation.summary
    in_path = {each.name for each in operation.parameters if each.place == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", route.path))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_operation_says_which_scope_a_key_must_have(described: Any, route: Any) -> None:
    """Each operation asks for a key of its row's scope, or says that it asks for none."""
    operation = described["paths"][route.path][route.method.lower()]

    wanted = [] if route.scope == "open" else [{"key": [route.scope]}]
    assert operation["security"] == wanted
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_every_schema_is_referred_to(described: Any) -> None:
    """No schema is in the document for nothing, and no reference leads nowhere."""
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))

    assert references == set(described["components"]["schemas"])


def test_request_members_are_described(described: Any) -> None:
    """Each parameter of a training has a sentence."""
    properties = described["components"]["schemas"]["Params"]["properties"]

    assert all(member["description"].endswith(".") for member in properties.values())


def test_operation_becomes_its_description() -> None:
    """Body, parameters, answers, headers and problems all stand in the document."""
    operation = Operation(
        method="POST",
        path="/x/{id}",
        summary="Do x",
        scope="train",
        body=TrainingRequest,
        parameters=[
            Parameter(name="id", place="path", description="Id.", schema={"type": "string"})
        ],
        answers=[
            Answer(status=200, description="Done.", body=(Liveness, Readiness), headers=("Link",)),
            Answer(status=204, description="Gone."),
        ],
        problems=[TableTooLarge, BodyTooLarge, NotFound],
    )

    described = document([operation], version="1")["paths"]["/x/{id}"]["post"]

    assert described["security"] == [{"key": ["train"]}]
    assert described["requestBody"]["required"] is True
    assert described["parameters"][0]["required"] is True
    assert list(described["responses"]) == ["200", "204", "404", "413", "422"]
    schema = described["responses"]["200"]["content"]["application/json"]["schema"]
    assert [part["$ref"].rpartition("/")[2] for part in schema["anyOf"]] == [
        "Liveness",
        "Readiness",
    ]
    assert "content" not in described["responses"]["204"]
    assert described["responses"]["200"]["headers"].keys() == {"Link"}


def test_problems_of_one_status_share_a_response() -> None:
    """OpenAPI has one response a status; it names all that may come."""
    operation = Operation(
        method="GET",
        path="/x",
        summary="Do x",
        scope="train",
        answers=[Answer(status=204, description="Gone.")],
        problems=[kind for kind in problems() if kind.status == 422],
    )

    responses = document([operation], version="1")["paths"]["/x"]["get"]["responses"]

    slugs = sorted(kind.slug for kind in problems() if kind.status == 422)
    assert responses["422"]["description"].split(", ") == slugs
