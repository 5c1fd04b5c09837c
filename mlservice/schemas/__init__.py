"""The JSON documents that clients send and receive.

A declaration here is at once the check of a request, its part of the OpenAPI
document, and the description of each member.
"""

from mlservice.schemas.aliases import AliasDocument, AliasList, AliasRequest, AliasTarget
from mlservice.schemas.choices import choices, unknown_member
from mlservice.schemas.models import (
    Description,
    DryRun,
    Feature,
    FitWarning,
    Label,
    Links,
    ModelDocument,
    ModelList,
    Progress,
    SolverChoice,
    State,
    Summary,
    label_name,
)
from mlservice.schemas.operations import Index, Liveness, ProblemDocument, Readiness
from mlservice.schemas.predictions import Line, LineWarning, Prediction, RowWarning, TableWarning
from mlservice.schemas.reading import (
    Readable,
    check_members,
    read_alias,
    read_cells,
    read_json,
    read_training,
)
from mlservice.schemas.trainings import Preprocessing, TrainingRequest

__all__ = [
    "AliasDocument",
    "AliasList",
    "AliasRequest",
    "AliasTarget",
    "Description",
    "DryRun",
    "Feature",
    "FitWarning",
    "Index",
    "Label",
    "Line",
    "LineWarning",
    "Links",
    "Liveness",
    "ModelDocument",
    "ModelList",
    "Prediction",
    "Preprocessing",
    "ProblemDocument",
    "Progress",
    "Readable",
    "Readiness",
    "RowWarning",
    "SolverChoice",
    "State",
    "Summary",
    "TableWarning",
    "TrainingRequest",
    "check_members",
    "choices",
    "label_name",
    "read_alias",
    "read_cells",
    "read_json",
    "read_training",
    "unknown_member",
]
