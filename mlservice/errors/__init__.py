"""Every failure a caller can see.

::

    MlserviceError
    ├── BadSetting               an operator's mistake, told at start
    └── Problem                  an RFC 9457 problem type: slug, title, status
        ├── ClientProblem        what a client sent (4xx)
        ├── ServerProblem        what the service could not do (5xx)
        └── TrainingProblem      why a training ended as failed

A class's docstring is the text that `/problems/{slug}` shows.
"""

from mlservice.errors.access import (
    HostNotAllowed,
    KeyMissing,
    KeyRefused,
    OriginNotAllowed,
    ScopeMissing,
    TooManyRefusedKeys,
    TooManyRequests,
)
from mlservice.errors.models import (
    AliasMoved,
    AliasNotFound,
    BrokenModel,
    InvalidAlias,
    InvalidModel,
    InvalidRow,
    ModelAliased,
    ModelEnded,
    ModelNotFound,
    ModelNotReady,
    TooManyModels,
)
from mlservice.errors.problem import (
    BadSetting,
    ClientProblem,
    Fault,
    MlserviceError,
    Problem,
    ServerProblem,
    TrainingProblem,
    escape,
    explanation,
    problems,
)
from mlservice.errors.requests import (
    BodyTooLarge,
    IdempotencyKeyReused,
    InvalidParameter,
    InvalidRequest,
    MalformedBody,
    MalformedIdempotencyKey,
    MalformedJson,
    MalformedQuery,
    MalformedRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    RequestTooSlow,
    UnsupportedMediaType,
)
from mlservice.errors.service import (
    InternalError,
    Overloaded,
    QueueFull,
    StoreFull,
    StoreUnavailable,
)
from mlservice.errors.tables import (
    DryRunTooLarge,
    InvalidEvaluation,
    InvalidParams,
    InvalidSearch,
    InvalidTable,
    InvalidWarmStart,
    SingleClass,
    TableTooLarge,
)
from mlservice.errors.trainings import (
    DataLost,
    NumericalFailure,
    QueueTimeout,
    TooManyTrainings,
    TrainerKilled,
    TrainingMemory,
    TrainingTimeout,
    WorkerLost,
)

__all__ = [
    "AliasMoved",
    "AliasNotFound",
    "BadSetting",
    "BodyTooLarge",
    "BrokenModel",
    "ClientProblem",
    "DataLost",
    "DryRunTooLarge",
    "Fault",
    "HostNotAllowed",
    "IdempotencyKeyReused",
    "InternalError",
    "InvalidAlias",
    "InvalidEvaluation",
    "InvalidModel",
    "InvalidParameter",
    "InvalidParams",
    "InvalidRequest",
    "InvalidRow",
    "InvalidSearch",
    "InvalidTable",
    "InvalidWarmStart",
    "KeyMissing",
    "KeyRefused",
    "MalformedBody",
    "MalformedIdempotencyKey",
    "MalformedJson",
    "MalformedQuery",
    "MalformedRequest",
    "MethodNotAllowed",
    "MlserviceError",
    "ModelAliased",
    "ModelEnded",
    "ModelNotFound",
    "ModelNotReady",
    "NotAcceptable",
    "NotFound",
    "NumericalFailure",
    "OriginNotAllowed",
    "Overloaded",
    "Problem",
    "QueueFull",
    "QueueTimeout",
    "RequestTooSlow",
    "ScopeMissing",
    "ServerProblem",
    "SingleClass",
    "StoreFull",
    "StoreUnavailable",
    "TableTooLarge",
    "TooManyModels",
    "TooManyRefusedKeys",
    "TooManyRequests",
    "TooManyTrainings",
    "TrainerKilled",
    "TrainingMemory",
    "TrainingProblem",
    "TrainingTimeout",
    "UnsupportedMediaType",
    "WorkerLost",
    "escape",
    "explanation",
    "problems",
]
