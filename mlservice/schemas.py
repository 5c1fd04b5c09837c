"""The JSON documents that clients send and receive.

A declaration here is at once the check of a request, its part of the OpenAPI
document, and the description of each member.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.catalogue import Params, Solver
from mlservice.errors import Fault, InvalidRequest, MalformedJson
from mlservice.evaluation import Evaluation, Measured
from mlservice.inference import Estimate, Likelihood
from mlservice.search import Search, SearchDocument

T = TypeVar("T")
Readable = bytes | bytearray | memoryview | msgspec.Raw

Label = str | int | bool
State = Literal["queued", "training", "ready", "failed", "cancelled"]


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How columns become the numbers of a fit; what is learnt for it stays with the model."""

    impute: Annotated[
        Literal["median", "mean", "zero", "error"],
        Meta(description="What a missing number counts as; `error` refuses it."),
    ] = "median"
    encode: Annotated[
        Literal["one-hot", "reference", "error"],
        Meta(
            description="How text is read: one column a category; `reference`: none for the "
            "first, which the others are compared with; or refused."
        ),
    ] = "one-hot"
    scale: Annotated[
        Literal["none", "standard"],
        Meta(description="`standard`: numbers are fitted with mean 0 and variance 1."),
    ] = "none"


class TrainingRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /models`."""

    data: Annotated[
        dict[str, Any] | list[dict[str, Any]],
        Meta(
            description="The table: columns, records, or split (`columns` and `data`).",
            examples=[{"length": [1.4, 4.7], "species": ["setosa", "versicolor"]}],
        ),
    ]
    target: Annotated[str, Meta(description="The column to predict.")]
    name: Annotated[
        Annotated[str, Meta(max_length=200)] | None, Meta(description="A name for people.")
    ] = None
    params: Params = Params()
    sample_weight: Annotated[
        str | None, Meta(description="A column of weights, 0 or more; it is no feature.")
    ] = None
    preprocessing: Preprocessing = Preprocessing()
    evaluation: Evaluation = Evaluation()
    search: Search | None = None
    warm_start_from: Annotated[
        str | None,
        Meta(description="A ready model, by id or alias, whose coefficients the fit starts from."),
    ] = None


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


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: Annotated[str | UnsetType, Meta(description="The request's id.")] = UNSET
    errors: list[Fault] | UnsetType = UNSET
    error: Annotated[
        str | UnsetType, Meta(description="The detail, for clients of `/v2` and `/v1`.")
    ] = UNSET
    error_code: Annotated[str | UnsetType, Meta(description="For MLflow's clients.")] = UNSET
    message: Annotated[str | UnsetType, Meta(description="The detail, for MLflow's clients.")] = (
        UNSET
    )


class SolverChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What `auto` picked, and why."""

    asked: Literal["auto"]
    picked: Solver
    reason: str


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where the model is found."""

    self: str


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


class ModelDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A model: what was asked for, how far it is, and what was learnt."""

    id: str
    name: str | None
    state: State
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempts: int
    links: Links
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


class RowWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a row that its sender should know."""

    code: str
    detail: str
    parameter: str


class TableWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a table's column that its sender should know."""

    code: str
    detail: str
    column: str
    rows: Annotated[int, Meta(description="How many rows it is about.")]
    first: Annotated[int, Meta(description="The first of them, counted from 0.")]


class AliasRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /aliases/{alias}`."""

    model: Annotated[str, Meta(description="Id of the model to point at; it must be ready.")]


class AliasTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A model that an alias pointed at, and since when."""

    model: str
    moved_at: str


class AliasDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alias points, and where it did before."""

    alias: str
    model: str
    moved_at: str
    previous: Annotated[str | None, Meta(description="The model that it pointed at before.")]
    history: Annotated[list[AliasTarget], Meta(description="Newest first, at most 100.")]
    warnings: list[str] = []


class AliasList(msgspec.Struct, frozen=True, kw_only=True):
    """All aliases, by name."""

    aliases: list[AliasDocument]


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The class of one row, and the probability of each class."""

    model: str
    prediction: Label
    probabilities: dict[str, float]
    warnings: Annotated[
        list[RowWarning] | UnsetType, Meta(description="Left out where there is nothing to say.")
    ] = UNSET


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    live: bool = True


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process can predict, and whether the store and workers are there."""

    live: bool
    ready: bool
    store: bool
    workers: int
    risks: list[str]


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, for a person with curl."""

    status: Literal["alive"]
    name: str
    version: str
    links: dict[str, str]


def label_name(label: Label) -> str:
    """Return a label as JSON writes it, which is its name as a member."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label)


_training = msgspec.json.Decoder(TrainingRequest)
_alias = msgspec.json.Decoder(AliasRequest)


def read_training(body: bytes | bytearray) -> TrainingRequest:
    """Read the body of `POST /models`, without judging the table's cells.

    Raises
    ------
    MalformedJson
        If the body is not JSON, or nested too deeply to be read.
    InvalidRequest
        If a member is missing, unknown, out of range or of the wrong type.
    """
    return read_json(_training, body)


def read_alias(body: bytes) -> AliasRequest:
    """Read the body of `PUT /aliases/{alias}`; it raises what `read_training` does."""
    return read_json(_alias, body)


def read_json(decoder: "msgspec.json.Decoder[T]", body: Readable) -> T:
    """Read JSON as the decoder's type; it raises what `read_training` does."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_member(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"The body must be JSON, it is not: {error}.") from error
    except RecursionError as error:
        raise MalformedJson("The body must not be nested this deeply.") from error


def check_members(members: dict[str, Any]) -> None:
    """Refuse options that stand beside a table which is not JSON.

    Raises
    ------
    InvalidRequest
        If a member is unknown, out of range or of the wrong type.
    """
    if "data" in members:
        detail = "data must not stand beside another form of the table."
        raise InvalidRequest(detail, errors=[Fault(pointer="/data", detail=detail)])
    try:
        msgspec.convert({"target": "", **members, "data": {}}, TrainingRequest)
    except msgspec.ValidationError as error:
        raise _wrong_member(error) from error


def _wrong_member(error: msgspec.ValidationError) -> InvalidRequest:
    said, _, path = str(error).partition(" - at ")
    pointer = _pointer(path)
    where = pointer or "the top of the body"
    return InvalidRequest(
        f"What was sent is wrong at {where}: {said}.",
        errors=[Fault(pointer=pointer, detail=said)],
    )


def _pointer(path: str) -> str:
    # msgspec writes `$.data[3].name`; after `[...]`, any member of a mapping, it is lost.
    known = path.strip("`").rpartition("$")[2].partition("[...]")[0]
    return re.sub(r"\[(\d+)\]", r"/\1", known).replace(".", "/")
