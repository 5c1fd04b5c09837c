"""Failures of models, the rows that they score, and their aliases."""

from mlservice.errors.problem import ClientProblem, ServerProblem


class ModelNotFound(ClientProblem):
    """No model has this id.

    Ids are the UUIDs that `POST /models` answered with. A model that was
    deleted, or a failed or cancelled one whose record has expired, is not found either.
    """

    slug, title, status = "model-not-found", "There is no such model", 404


class ModelNotReady(ClientProblem):
    """The model cannot predict in the state that it is in.

    While it is `queued` or `training`, `Retry-After` says when to ask again.
    A `failed` model never becomes ready: its document says why. Nor does a
    `cancelled` one.
    """

    slug, title, status = "model-not-ready", "The model is not ready", 409


class ModelEnded(ClientProblem):
    """The training cannot be cancelled, because it has ended.

    `state` says how: `ready`, `failed` or `cancelled`. `DELETE` removes the model
    in any state.
    """

    slug, title, status = "model-ended", "The training has ended", 409


class ModelAliased(ClientProblem):
    """The model cannot be deleted while an alias points at it.

    Move the alias to another model, or delete it first.
    """

    slug, title, status = "model-aliased", "An alias points at the model", 409


class InvalidModel(ClientProblem):
    """The file is not a model that can be imported.

    It was cut or changed, was written by a newer version of the service, or is
    larger than the limits allow. Nothing was stored.
    """

    slug, title, status = "invalid-model", "The file is not a model", 422


class InvalidRow(ClientProblem):
    """A row is not one that the model can score.

    Each feature must be given, a numeric one as a finite number, and nothing else
    but, in a table, the column that the model predicts. A query names each feature
    exactly once. A value may be empty where training had missing values. `errors`
    lists what is wrong, of a table the first 20 places; `error_count` counts all.
    """

    slug, title, status = "invalid-row", "The row does not fit the model", 422


class TooManyModels(ClientProblem):
    """As many models are stored as the limit allows. Delete some and try again."""

    slug, title, status = "too-many-models", "Too many models are stored", 429


class BrokenModel(ServerProblem):
    """What is stored for this model cannot be read.

    Its bytes were changed or cut, or a newer version of the service wrote them.
    Other models are not affected. Train it again.
    """

    slug, title, status = "broken-model", "The stored model cannot be read", 500


class AliasNotFound(ClientProblem):
    """No alias has this name. `GET /aliases` lists those that there are."""

    slug, title, status = "alias-not-found", "There is no such alias", 404


class AliasMoved(ClientProblem):
    """The alias is not where `If-Match` says.

    Somebody has moved it since. Read it again, and decide anew.
    """

    slug, title, status = "alias-moved", "The alias has been moved", 412


class InvalidAlias(ClientProblem):
    """The name is not one that an alias can have.

    It is 1 to 64 of the characters a-z, 0-9, point, dash and underline, begins
    with a letter or digit, and is not shaped like a model's id.
    """

    slug, title, status = "invalid-alias", "The name cannot be an alias", 422
