"""The V1 protocol of KServe and TensorFlow Serving, under `/v1`."""

from typing import Any

from mlservice import errors
from mlservice.handlers.protocols import v1
from mlservice.openapi import Answer, Parameter
from mlservice.routes import examples
from mlservice.routes.open_inference import ID, UNREADABLE, UNREADY, versioned
from mlservice.routes.route import Route, route
from mlservice.tensors.metadata import ModelNames
from mlservice.v1 import Classified, ClassifyRequest, Explained, V1Predictions, V1Request

_LABEL = Parameter(
    name="label",
    place="path",
    description="`latest`, or `previous`: the model that the alias pointed at before.",
    schema={"enum": ["latest", "previous"]},
)
_V1: dict[str, Any] = {"scope": "predict", "tag": "v1"}


def labelled(method: str, path: str, handler: Any, **details: Any) -> tuple[Route, ...]:
    """Return a route of a model, of one of its versions, and of one of its labels."""
    by_label = path.replace("{id}", "{id}/labels/{label}")
    return (
        *versioned(method, path, handler, **details),
        route(method, by_label, handler, parameters=[ID, _LABEL], **details),
    )


def _told(description: str, body: Any) -> list[Answer]:
    return [Answer(status=200, description=description, body=body)]


_PROBLEMS = (*UNREADABLE, *UNREADY, errors.InvalidTable, errors.TableTooLarge)

ROUTES: tuple[Route, ...] = (
    *labelled(
        "POST",
        "/v1/models/{id}:predict",
        v1.predict,
        **_V1,
        body=V1Request,
        examples=examples.INSTANCES,
        answers=_told("`predictions` of rows, `outputs` of columns.", V1Predictions),
        problems=_PROBLEMS,
    ),
    *labelled(
        "POST",
        "/v1/models/{id}:classify",
        v1.classify,
        **_V1,
        body=ClassifyRequest,
        examples=examples.CLASSIFIED,
        answers=_told("For each example its classes and their probabilities.", Classified),
        problems=_PROBLEMS,
    ),
    *labelled(
        "POST",
        "/v1/models/{id}:explain",
        v1.explain,
        **_V1,
        body=V1Request,
        examples=examples.INSTANCES,
        answers=_told("The classes, and why.", Explained),
        problems=_PROBLEMS,
    ),
    route(
        "GET",
        "/v1/models",
        v1.names,
        **_V1,
        answers=_told("The names.", ModelNames),
        problems=[errors.StoreUnavailable],
    ),
    *labelled(
        "GET",
        "/v1/models/{id}",
        v1.status,
        **_V1,
        answers=_told("It can.", v1.ModelStatus),
        problems=UNREADY,
    ),
    *labelled(
        "GET",
        "/v1/models/{id}/metadata",
        v1.metadata,
        **_V1,
        answers=_told("The tensors.", v1.V1Metadata),
        problems=UNREADY,
    ),
)
