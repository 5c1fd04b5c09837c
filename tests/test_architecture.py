"""The documents are true: what they say of the code is what the code has."""

import configparser
import re
from importlib import resources
from pathlib import Path

import pytest

import mlservice
from mlservice import errors
from mlservice.routes import ROUTES
from mlservice.settings import FIELDS, variable
from mlservice.store import keys
from tests import documents
from tests.documents import ROOT

DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")})
KEY = re.compile(r"mls:[a-z]+:?")


def read(path: str) -> str:
    """Return a file of the repository."""
    return (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("path", documents.PARTS)
def test_document_has_what_the_code_has(path: str) -> None:
    """Tables of modules, settings, parameters and problems are those of the code.

    `python -m tests.documents` writes them anew.
    """
    assert read(path) == documents.written(path)


def test_every_module_says_what_it_is_in_one_sentence() -> None:
    """Each module has a docstring that begins with one sentence."""
    unfinished = [name for name, said in documents.modules() if not re.search(r"[.:]$", said)]

    assert unfinished == []


def test_every_module_of_the_service_has_a_floor() -> None:
    """The layers of the import contracts name each room of both packages, and no other."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    rooms = {
        ".".join(parts[:2]) for name, _ in documents.modules() if len(parts := name.split(".")) > 1
    }

    layers = {
        f"{package}.{room}"
        for package, contract in (("mlservice", "service"), ("workers", "workers"))
        for room in re.findall(r"\w+", parser[f"importlinter:contract:{contract}"]["layers"])
    }

    assert layers == rooms


def test_api_document_has_every_route_and_no_other() -> None:
    """The headings of the API document are the routes."""
    headings = re.findall(r"^### `([A-Z]+ /\S*)`$", read("docs/api.md"), re.MULTILINE)

    assert sorted(headings) == sorted(f"{route.method} {route.path}" for route in ROUTES)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_document_names_settings_that_exist(path: Path) -> None:
    """A variable that a document names is one of the settings."""
    named = set(re.findall(r"MLSERVICE_[A-Z_]*[A-Z]", path.read_text("utf-8")))

    assert named <= {variable(field) for field in FIELDS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_document_links_to_files_that_exist(path: Path) -> None:
    """A link to a file of the repository finds it."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8"))

    assert [link for link in links if not (path.parent / link).exists()] == []
    # Where the tests run in a container the packages are installed, and not beside the documents.
    assert [link for link in links if {"mlservice", "workers"} & set(Path(link).parts)] == []


def test_problem_has_one_slug_of_its_own() -> None:
    """No two problem types share a slug or a title, and each has words of its own."""
    kinds = list(errors.problems())

    assert len({kind.slug for kind in kinds}) == len(kinds)
    assert len({kind.title for kind in kinds}) == len(kinds)
    assert len({errors.explanation(kind) for kind in kinds}) == len(kinds)


def test_changelog_begins_with_this_version() -> None:
    """The first version of the changelog is the package's."""
    first = re.search(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)

    assert first
    assert first[1] == mlservice.__version__


def test_keys_of_the_table_are_those_of_scripts_and_python() -> None:
    """The table of keys has each key that a script or a function names, and no other."""
    scripts = resources.files("mlservice.store") / "scripts"
    lua = "".join(file.read_text("utf-8") for file in scripts.iterdir())
    made = (
        keys.WORKERS,
        keys.UPLOADS,
        keys.record("{id}"),
        keys.data("{id}"),
        keys.artifact("{id}"),
        keys.staged("{id}", 1),
        keys.events("{id}"),
        keys.models("{tenant}"),
        keys.alias("{tenant}", "x"),
        keys.history("{tenant}", "x"),
        keys.aliases("{tenant}"),
        keys.GRANTS,
        keys.grant("{id}"),
    )

    table = set(re.findall(r"^``(mls:[a-z]+:?)", keys.__doc__ or "", re.MULTILINE))

    assert table == set(KEY.findall(lua)) | {found for key in made for found in KEY.findall(key)}


def test_keys_of_python_are_those_of_the_scripts() -> None:
    """A key that Python makes from an id is one that the scripts' prelude makes."""
    prelude = (resources.files("mlservice.store") / "scripts" / "prelude.lua").read_text("utf-8")
    made = {
        "record_of": keys.record("{id}"),
        "data_of": keys.data("{id}"),
        "artifact_of": keys.artifact("{id}"),
        "events_of": keys.events("{id}"),
        "models_of": keys.models("{tenant}"),
        "aliases_of": keys.aliases("{tenant}"),
        "grant_of": keys.grant("{id}"),
    }

    for function, key in made.items():
        prefix, name = key.rstrip("}").split("{")
        assert f"function {function}({name}) return '{prefix}' .. {name} end" in prelude


def test_readme_is_short() -> None:
    """The README has fewer than 900 words."""
    assert len(read("README.md").split()) < 900


def test_compose_files_start_the_commands_that_exist() -> None:
    """The containers run the service without its store, and the worker by arq's command line."""
    compose, image = read("docker-compose.yml"), read("Dockerfile")

    assert "[mlservice, serve, --api-only, --host, 0.0.0.0, --allow-anonymous]" in compose
    assert "[arq, workers.settings.WorkerSettings]" in compose
    assert "127.0.0.1:8000:8000" in compose
    assert image.rstrip().rpartition("\nFROM ")[2].startswith("base AS run\n")
