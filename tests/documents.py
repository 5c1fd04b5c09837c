"""The parts of the documents that are made from the code.

`python -m tests.documents` writes them anew, between the lines
`<!-- begin: name -->` and `<!-- end: name -->`; a test compares them.
"""

import ast
import configparser
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec

import mlservice
import workers
from mlservice import errors
from mlservice.catalogue import Params
from mlservice.evaluation import Evaluation
from mlservice.search import Search
from mlservice.settings import FIELDS, Settings, variable

ROOT = Path(__file__).parent.parent
PACKAGES = (mlservice, workers)

MAIN_SETTINGS = (
    "host",
    "port",
    "redis_url",
    "allow_anonymous",
    "worker_slots",
    "training_timeout_s",
    "training_memory_bytes",
)
LIMITS = (
    "training_body_bytes",
    "model_bytes",
    "prediction_body_bytes",
    "max_features",
    "max_categories",
    "max_columns",
    "max_classes",
    "max_cells",
    "max_coefficients",
    "max_search_points",
    "prediction_cells",
    "prediction_idle_s",
    "open_trainings",
    "open_trainings_per_tenant",
    "open_bytes",
    "open_bytes_per_tenant",
    "models_per_tenant",
    "training_timeout_s",
    "training_memory_bytes",
    "queue_timeout_s",
    "training_attempts",
    "retention_s",
)


def modules() -> Iterator[tuple[str, str]]:
    """Yield each module of both packages, and the first sentence of its docstring."""
    for package in PACKAGES:
        folder = Path(package.__path__[0])
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder.parent).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
            yield name, docstring.partition("\n\n")[0].replace("\n", " ")


def rooms() -> str:
    """Return the table of modules."""
    return _table(("room", "what it is"), ((f"`{name}`", said) for name, said in modules()))


def floors() -> str:
    """Return the layers that the import contracts name, the highest first."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    drawn = []
    for package, contract in (("mlservice", "service"), ("workers", "workers")):
        layers = parser[f"importlinter:contract:{contract}"]["layers"].split("\n")[1:]
        count = len(layers)
        drawn += [package]
        drawn += [f"{count - 1 - i:>3}  {layer.strip()}" for i, layer in enumerate(layers)]
    return "\n".join(["```", *drawn, "```"])


def settings(names: tuple[str, ...] = FIELDS) -> str:
    """Return the table of settings: variable, default, meaning."""
    hints = get_type_hints(Settings, include_extras=True)
    defaults = Settings()
    rows = (
        (f"`{variable(name)}`", _default(name, getattr(defaults, name)), _description(hints[name]))
        for name in names
    )
    return _table(("variable", "default", "meaning"), rows)


def _description(hint: object) -> str:
    assert get_origin(hint) is Annotated
    return next(
        each.description
        for each in get_args(hint)
        if isinstance(each, msgspec.Meta) and each.description
    )


def _default(name: str, value: object) -> str:
    if value == "":
        return "empty"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if name.endswith("_bytes") and isinstance(value, int):
        return f"`{value}` ({value // 1024**2} MiB)"
    return f"`{value:g}`" if isinstance(value, float) and value < 1e6 else f"`{value}`"


def members(kind: type[msgspec.Struct]) -> str:
    """Return the table of what may be sent: name, default, meaning."""
    hints = get_type_hints(kind, include_extras=True)
    rows = (
        (f"`{field.encode_name}`", _json(field.default), _description(hints[field.name]))
        for field in msgspec.structs.fields(kind)
    )
    return _table(("parameter", "default", "meaning"), rows)


def _json(value: object) -> str:
    return "left out" if value is msgspec.UNSET else f"`{msgspec.json.encode(value).decode()}`"


def problems() -> str:
    """Return a section for each problem type."""
    return "\n\n".join(
        f"### `{kind.slug}`\n\n{kind.status}: {kind.title}.\n\n{errors.explanation(kind)}"
        for kind in errors.problems()
    )


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/architecture.md": {"floors": floors, "rooms": rooms},
    "docs/operating.md": {"settings": settings},
    "docs/problems.md": {"problems": problems},
    "docs/api.md": {
        "params": lambda: members(Params),
        "evaluation": lambda: members(Evaluation),
        "search": lambda: members(Search),
        "limits": lambda: settings(LIMITS),
    },
    "README.md": {"settings": lambda: settings(MAIN_SETTINGS)},
}


def written(path: str) -> str:
    """Return a document with its made parts as the code has them now."""
    text = (ROOT / path).read_text("utf-8")
    for name, make in PARTS[path].items():
        begin, end = f"<!-- begin: {name} -->\n", f"\n<!-- end: {name} -->"
        before, found, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        assert found, f"{path} must have a line {begin!r}"
        assert found_end, f"{path} must have a line {end!r}"
        text = before + begin + make() + end + after
    return text


if __name__ == "__main__":
    for document in PARTS:
        (ROOT / document).write_text(written(document), "utf-8")
