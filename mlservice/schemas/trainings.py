"""What is asked of a training."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mlservice.catalogue import Params
from mlservice.evaluation import Evaluation
from mlservice.search import Search


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
