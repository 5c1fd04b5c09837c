"""Aliases of models."""

from mlservice import errors
from mlservice.handlers import aliases
from mlservice.openapi import Answer, Parameter
from mlservice.routes.route import Route, route
from mlservice.schemas import AliasDocument, AliasList, AliasRequest

_ALIAS = Parameter(
    name="alias",
    place="path",
    description="The alias's name.",
    schema={"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
)
_IF_MATCH = Parameter(
    name="If-Match",
    place="header",
    description="An `ETag` of the alias: it is moved only if nobody has moved it since.",
    schema={"type": "string"},
)
_IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    place="header",
    description="`*`: it is made only if there is none.",
    schema={"type": "string"},
)


ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/aliases",
        aliases.list_all,
        scope="predict",
        tag="aliases",
        answers=[Answer(status=200, description="All of them.", body=AliasList)],
        problems=[errors.StoreUnavailable],
    ),
    route(
        "GET",
        "/aliases/{alias}",
        aliases.describe,
        scope="predict",
        tag="aliases",
        parameters=[_ALIAS],
        answers=[
            Answer(
                status=200, description="Where it points.", body=AliasDocument, headers=("ETag",)
            ),
            Answer(
                status=304, description="Where `If-None-Match` says that it is.", headers=("ETag",)
            ),
        ],
        problems=[errors.AliasNotFound, errors.StoreUnavailable],
    ),
    route(
        "PUT",
        "/aliases/{alias}",
        aliases.move,
        scope="train",
        tag="aliases",
        parameters=[_ALIAS, _IF_MATCH, _IF_NONE_MATCH],
        body=AliasRequest,
        answers=[Answer(status=200, description="Moved.", body=AliasDocument, headers=("ETag",))],
        problems=[
            errors.MalformedJson,
            errors.ModelNotFound,
            errors.ModelNotReady,
            errors.AliasMoved,
            errors.BodyTooLarge,
            errors.UnsupportedMediaType,
            errors.InvalidRequest,
            errors.InvalidAlias,
            errors.StoreUnavailable,
        ],
    ),
    route(
        "DELETE",
        "/aliases/{alias}",
        aliases.delete,
        scope="train",
        tag="aliases",
        parameters=[_ALIAS],
        answers=[Answer(status=204, description="Deleted.")],
        problems=[errors.AliasNotFound, errors.StoreUnavailable],
    ),
)
