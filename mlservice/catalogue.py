"""The parameters of a fit: each declared once, for the check, OpenAPI and the catalogue."""

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

Solver = Literal["lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"]
Penalty = Literal["l1", "l2", "elasticnet"]


def _about(description: str, *, level: str = "basic", **schema: Any) -> Meta:
    """Describe a parameter, for OpenAPI and the catalogue; `solvers` are those it acts on."""
    extra = {"x-level": level} | {
        f"x-{name}" if name == "solvers" else name: value for name, value in schema.items()
    }
    return Meta(description=description, extra_json_schema=extra)


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of scikit-learn's `LogisticRegression`, those that have an effect."""

    C: Annotated[
        Annotated[float, Meta(gt=0)] | None | UnsetType,
        _about("Inverse of the regularisation strength; null: no penalty. Default 1.", default=1.0),
    ] = UNSET
    l1_ratio: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | UnsetType,
        _about(
            "Share of L1 in the penalty: 0 is L2, 1 is L1. Default 0.",
            default=0.0,
            solvers=["liblinear", "saga"],
        ),
    ] = UNSET
    penalty: Annotated[
        Penalty | None | UnsetType,
        _about(
            "The older spelling of C and l1_ratio; translated, never passed on.",
            level="advanced",
            default="l2",
        ),
    ] = UNSET
    solver: Annotated[
        Solver | Literal["auto"] | UnsetType,
        _about(
            "Algorithm that minimises the loss; auto: the fastest that fits. Default lbfgs.",
            default="lbfgs",
        ),
    ] = UNSET
    dual: Annotated[
        bool,
        _about(
            "Dual formulation; liblinear with L2 only.", level="advanced", solvers=["liblinear"]
        ),
    ] = False
    tol: Annotated[
        Annotated[float, Meta(ge=0)], _about("Tolerance of the stopping rule.", level="advanced")
    ] = 1e-4
    fit_intercept: Annotated[bool, _about("Whether to fit an intercept.")] = True
    intercept_scaling: Annotated[
        Annotated[float, Meta(gt=0)],
        _about("Scale of liblinear's intercept column.", level="advanced", solvers=["liblinear"]),
    ] = 1.0
    class_weight: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]] | Literal["balanced"] | None | UnsetType,
        _about(
            "Weight of each class by its label as JSON writes it, or `balanced`. Default null.",
            default=None,
        ),
    ] = UNSET
    random_state: Annotated[
        Annotated[int, Meta(ge=0, le=2**32 - 1)] | None,
        _about(
            "Seed of sag, saga and liblinear; null is 0.",
            level="advanced",
            solvers=["liblinear", "sag", "saga"],
        ),
    ] = None
    max_iter: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)], _about("Most iterations of the solver.")
    ] = 100


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Least and greatest number; `exclusive_minimum` is not itself allowed."""

    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter: `types` are JSON Schema's, `values` are those that a text may have."""

    name: str
    types: list[str]
    values: list[str] | None
    range: Range | None
    default: bool | int | float | str | None
    solvers: list[Solver]
    level: Literal["basic", "advanced"]
    description: str


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """Every parameter that `params` of a training takes."""

    params: list[CatalogueEntry]


def catalogue() -> Catalogue:
    """Return every parameter of a fit, in the order of its declaration."""
    _, components = msgspec.json.schema_components([Params])
    members = components["Params"]["properties"]
    return Catalogue(params=[_entry(name, schema) for name, schema in members.items()])


def _entry(name: str, schema: dict[str, Any]) -> CatalogueEntry:
    kinds = list(_alternatives(schema))
    values = [value for kind in kinds for value in kind.get("enum", ()) if value is not None]
    return CatalogueEntry(
        name=name,
        types=list(dict.fromkeys(each for kind in kinds for each in _types(kind))),
        values=values or None,
        range=_range(kinds),
        default=schema["default"],
        solvers=list(schema.get("x-solvers", get_args(Solver))),
        level=schema["x-level"],
        description=schema["description"],
    )


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    if "anyOf" not in schema:
        return [schema]
    return [kind for each in schema["anyOf"] for kind in _alternatives(each)]


def _types(kind: dict[str, Any]) -> list[str]:
    if "type" in kind:
        return [kind["type"]]
    return ["null" if value is None else "string" for value in kind["enum"]]


def _range(kinds: list[dict[str, Any]]) -> Range | None:
    numbers = [kind for kind in kinds if kind.get("type") in {"number", "integer"}]
    if not numbers:
        return None
    return Range(
        minimum=numbers[0].get("minimum"),
        exclusive_minimum=numbers[0].get("exclusiveMinimum"),
        maximum=numbers[0].get("maximum"),
    )
