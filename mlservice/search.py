"""What a client may ask of a search for parameters, and the document of what was found."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.catalogue import Solver

Strategy = Literal["grid", "random"]
Scoring = Literal[
    "neg_log_loss",
    "neg_brier_score",
    "accuracy",
    "balanced_accuracy",
    "matthews_corrcoef",
    "roc_auc",
    "roc_auc_ovr",
    "average_precision",
    "precision",
    "precision_macro",
    "precision_weighted",
    "recall",
    "recall_macro",
    "recall_weighted",
    "f1",
    "f1_macro",
    "f1_weighted",
]
SEARCHED = ("C", "class_weight", "l1_ratio", "solver")
N_ITER = 10

_Strength = Annotated[float, Meta(gt=0)]
_Ratio = Annotated[float, Meta(ge=0, le=1)]
_Weights = dict[str, Annotated[float, Meta(ge=0)]] | Literal["balanced"] | None


class StrengthRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers that are drawn so that their logarithms are uniform."""

    low: _Strength
    high: _Strength


class RatioRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers that are drawn uniformly."""

    low: _Ratio
    high: _Ratio


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters to choose from, by their score on folds that a fit had not seen."""

    C: Annotated[
        Annotated[list[_Strength | None], Meta(min_length=1)] | StrengthRange | UnsetType,
        Meta(description="Values of `C`, null for no penalty; or `low` and `high` to draw from."),
    ] = UNSET
    l1_ratio: Annotated[
        Annotated[list[_Ratio], Meta(min_length=1)] | RatioRange | UnsetType,
        Meta(description="Values of `l1_ratio`; or `low` and `high` to draw from."),
    ] = UNSET
    solver: Annotated[
        Annotated[list[Solver], Meta(min_length=1)] | UnsetType,
        Meta(description="Values of `solver`."),
    ] = UNSET
    class_weight: Annotated[
        Annotated[list[_Weights], Meta(min_length=1)] | UnsetType,
        Meta(description="Values of `class_weight`."),
    ] = UNSET
    strategy: Annotated[
        Strategy, Meta(description="`grid`: every combination; `random`: `n_iter` of them.")
    ] = "grid"
    n_iter: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType,
        Meta(description="Points of the random strategy. Default 10."),
    ] = UNSET
    folds: Annotated[int, Meta(ge=2, le=20, description="Folds that score each point.")] = 5
    scoring: Annotated[
        Scoring, Meta(description="Score by scikit-learn's name, the greater the better.")
    ] = "neg_log_loss"
    random_state: Annotated[
        int, Meta(ge=0, le=2**32 - 1, description="Seed of the random strategy.")
    ] = 0


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a search: its scores by fold, null where there is none."""

    params: dict[str, Any]
    mean: Annotated[float | None, Meta(description="null where a fold has no score.")]
    std: float | None
    scores: list[float | None]
    n_iter: Annotated[list[int | None], Meta(description="Iterations of the solver, by fold.")]
    converged: Annotated[bool, Meta(description="Whether the solver converged in each fold.")]
    error: Annotated[str | None, Meta(description="Why a fold has no score.")]


class SearchDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a search and, once it is done, every point and the best one."""

    asked: Search
    scoring: Scoring
    fits: Annotated[int, Meta(description="Fits that it takes: points times folds.")]
    best_index: int | None = None
    best_params: dict[str, Any] | None = None
    best_score: float | None = None
    points: list[Tried] | None = None
