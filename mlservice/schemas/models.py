"""A model, before, during and after its training."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.catalogue import Solver
from mlservice.evaluation import Evaluation, Measured
from mlservice.inference import Estimate, Likelihood
from mlservice.schemas.trainings import Preprocessing
from mlservice.search import SearchDocument

Label = str | int | bool
State = Literal["queued", "training", "ready", "failed", "cancelled"]


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column that the model reads, and what was learnt of it for its preparation."""

    name: str
    kind: Literal["number", "text"] = "number"
    missing: Annotated[
        bool, Meta(description="Whether it had missing values, and may be left empty.")
    ] = False
    fill: Annotated[float | UnsetType, Meta(description="What a missing number counts as.")] = UNSET
    mean: Annotated[
        float | UnsetType, Meta(description="Subtracted from a number that is standardised.")
    ] = UNSET
    scale: Annotated[
        float | UnsetType, Meta(description="Divides a number that is standardised, then.")
    ] = UNSET
    categories: Annotated[
        tuple[str, ...] | UnsetType, Meta(description="The texts that were seen, ascending.")
    ] = UNSET
    reference: Annotated[
        str | UnsetType,
        Meta(description="The first text: it has no column, the others are compared with it."),
    ] = UNSET


class FitWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a fit that its owner should know."""

    code: str
    detail: str


class SolverChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What `auto` picked, and why."""

    asked: Literal["auto"]
    picked: Solver
    reason: str


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where the model is found, and what is told and asked of it."""

    self: str
    events: str
    predictions: str
    artifact: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a list."""

    id: str
    name: str | None
    state: State
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempts: int
    links: Links


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model: little before its training, the rest after."""

    rows: int | None = None
    features: list[Feature] | None = None
    target: str | None = None
    classes: list[Label] | None = None
    params: dict[str, Any] | None = None
    preprocessing: Preprocessing | None = None
    evaluation: Evaluation | None = None
    sample_weight: str | None = None
    search: SearchDocument | None = None
    solver_choice: SolverChoice | None = None
    metrics: Measured | None = None
    inference: dict[str, dict[str, Estimate]] | None = None
    likelihood: Likelihood | None = None
    coefficients: dict[str, dict[str, float]] | None = None
    intercept: dict[str, float] | None = None
    n_iter: list[int] | None = None
    converged: bool | None = None
    warnings: list[FitWarning] = []
    provenance: dict[str, Any] | None = None


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a training would be: its table and its options, all defaults filled in."""

    name: str | None
    rows: int
    features: list[Feature]
    target: str
    classes: list[Label]
    params: dict[str, Any]
    preprocessing: Preprocessing
    evaluation: Evaluation
    search: SearchDocument | None
    fits: Annotated[int, Meta(description="Fits that it takes, of the search and all parts.")]
    warnings: list[FitWarning]
    memory_bytes: Annotated[
        int,
        Meta(description="About what its process takes, within a factor of two."),
    ]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a fit is; the solver lbfgs tells its iterations, a search its fits.

    The loss is the mean log loss of the rows that are fitted on, of a moment ago.
    """

    phase: Literal["reading", "search", "fitting", "evaluating", "storing"]
    iteration: int | None = None
    max_iter: int | None = None
    loss: float | None = None
    fit: int | None = None
    fits: int | None = None


class ModelDocument(Summary, frozen=True, kw_only=True):
    """A model: what was asked for, how far it is, and what was learnt."""

    rows: int | None
    features: list[Feature] | None
    target: str | None
    classes: list[Label] | None
    params: dict[str, Any] | None
    preprocessing: Preprocessing | None
    evaluation: Evaluation | None
    sample_weight: str | None
    search: SearchDocument | None
    solver_choice: SolverChoice | None
    metrics: Measured | None
    inference: dict[str, dict[str, Estimate]] | None
    likelihood: Likelihood | None
    coefficients: dict[str, dict[str, float]] | None
    intercept: dict[str, float] | None
    n_iter: list[int] | None
    converged: bool | None
    warnings: list[FitWarning]
    progress: Progress | None
    error: dict[str, Any] | None
    provenance: dict[str, Any] | None


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of models, newest first."""

    models: list[Summary]
    next: Annotated[str | None, Meta(description="Cursor of the next page, if there is one.")]


def label_name(label: Label) -> str:
    """Return a label as JSON writes it, which is its name as a member."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label)
