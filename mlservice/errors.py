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

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec


class MlserviceError(Exception):
    """Base of all errors that this project raises on purpose."""


class BadSetting(MlserviceError):
    """A setting, flag or environment variable is wrong."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wrong place in what a client sent."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None


def escape(token: str) -> str:
    """Return a member's name as it stands in an RFC 6901 pointer."""
    return token.replace("~", "~0").replace("/", "~1")


class Problem(MlserviceError):
    """A failure that is told to the client as a problem document."""

    slug: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def document(self) -> dict[str, object]:
        """Return the problem document, without the request's own members."""
        document: dict[str, object] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        if self.errors:
            document["errors"] = msgspec.to_builtins(self.errors)
        return document


class ClientProblem(Problem):
    """What the client sent cannot be done."""


class ServerProblem(Problem):
    """The service could not do what was asked."""


class TrainingProblem(Problem):
    """A training ended without a model."""


class MalformedJson(ClientProblem):
    """The body is not valid JSON as RFC 8259 defines it.

    `NaN`, `Infinity`, bytes that are not UTF-8, lone surrogates and nesting too
    deep to be read are refused as well. The detail says where reading stopped.
    """

    slug, title, status = "malformed-json", "The body is not valid JSON", 400


class MalformedBody(ClientProblem):
    """The body is not what its media type says.

    It was cut, or changed, or is of another media type. The detail says what is
    wrong with it.
    """

    slug, title, status = "malformed-body", "The body is not of its media type", 400


class MalformedQuery(ClientProblem):
    """The query string cannot be decoded.

    Names and values must be UTF-8, percent-encoded as RFC 3986 says.
    """

    slug, title, status = "malformed-query", "The query string cannot be decoded", 400


class MalformedRequest(ClientProblem):
    """The request is not valid HTTP, or a header or the request line is too long.

    The connection is closed after this answer.
    """

    slug, title, status = "malformed-request", "The request is not valid HTTP", 400


class NotFound(ClientProblem):
    """Nothing is served under this path. `/openapi.json` lists what is."""

    slug, title, status = "not-found", "There is nothing under this path", 404


class ModelNotFound(ClientProblem):
    """No model has this id.

    Ids are the UUIDs that `POST /models` answered with. A model that was
    deleted, or a failed or cancelled one whose record has expired, is not found either.
    """

    slug, title, status = "model-not-found", "There is no such model", 404


class AliasNotFound(ClientProblem):
    """No alias has this name. `GET /aliases` lists those that there are."""

    slug, title, status = "alias-not-found", "There is no such alias", 404


class MethodNotAllowed(ClientProblem):
    """The path exists, but not with this method. `Allow` lists those it takes."""

    slug, title, status = "method-not-allowed", "This path does not take this method", 405


class NotAcceptable(ClientProblem):
    """`Accept` names no media type that this path answers in. The detail lists them."""

    slug, title, status = "not-acceptable", "No media type is acceptable", 406


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


class AliasMoved(ClientProblem):
    """The alias is not where `If-Match` says.

    Somebody has moved it since. Read it again, and decide anew.
    """

    slug, title, status = "alias-moved", "The alias has been moved", 412


class BodyTooLarge(ClientProblem):
    """The body is larger than the limit. The detail names the setting that holds it."""

    slug, title, status = "body-too-large", "The body is too large", 413


class DryRunTooLarge(ClientProblem):
    """A dry run takes less than 1 MiB, so that it holds up no other request.

    Send the first rows of the table, or train on it: a worker checks it then.
    """

    slug, title, status = "dry-run-too-large", "The body is too large for a dry run", 413


class RequestTooSlow(ClientProblem):
    """The body did not come in time.

    The connection is closed. The detail names the settings: what must come in a
    second, and how long a client may lag behind that.
    """

    slug, title, status = "request-too-slow", "The body came too slowly", 408


class UnsupportedMediaType(ClientProblem):
    """The body's `Content-Type` or `Content-Encoding` is not one that this path reads.

    `Accept-Post` lists the media types that it does read, `Accept-Encoding` the
    codings. Text is UTF-8.
    """

    slug, title, status = "unsupported-media-type", "The media type is not supported", 415


class InvalidRequest(ClientProblem):
    """The JSON is well formed, but not what this path takes.

    A member is missing, unknown, or has the wrong type, or a number is too large
    for float64. `errors` points at it.
    """

    slug, title, status = "invalid-request", "The request is not what this path takes", 422


class MalformedIdempotencyKey(ClientProblem):
    """`Idempotency-Key` must be one header of 1 to 255 printable ASCII characters."""

    slug, title, status = "malformed-idempotency-key", "The idempotency key is malformed", 400


class IdempotencyKeyReused(ClientProblem):
    """The `Idempotency-Key` was sent before, with another body, media type or query.

    Send a new key with each new request, and the same key only to repeat one.
    """

    slug, title, status = "idempotency-key-reused", "The idempotency key was used before", 422


class InvalidTable(ClientProblem):
    """The table cannot be trained on.

    A column is ragged, mixes numbers and text, has no value or one of the wrong
    type, or the target is absent or has missing values. `errors` lists the first 20 places;
    `error_count` says how many there are in all.
    """

    slug, title, status = "invalid-table", "The table cannot be used", 422


class InvalidSearch(ClientProblem):
    """The search for parameters cannot be made.

    What is searched also stands in `params`, there are too many points, the rows
    cannot make the folds, or a point has parameters that do not go together; the
    detail names the point. A model that failed with this was checked by its worker.
    """

    slug, title, status = "invalid-search", "The search is wrong", 422


class InvalidWarmStart(ClientProblem):
    """The fit cannot start from the model that `warm_start_from` names.

    That model has other features, categories or classes, the solver is liblinear, or a
    large body has the member that must stand in the query then.
    """

    slug, title, status = "invalid-warm-start", "The fit cannot start from that model", 422


class SingleClass(ClientProblem):
    """The target column holds one class only, and a classifier needs two."""

    slug, title, status = "single-class", "The target has one class only", 422


class TableTooLarge(ClientProblem):
    """The table has more features, categories, classes or cells than the service takes.

    The detail names the setting that holds the limit.
    """

    slug, title, status = "table-too-large", "The table is too large", 422


class InvalidParams(ClientProblem):
    """The parameters of the logistic regression are wrong, or contradict each other.

    The rules are scikit-learn's: each solver takes some penalties only, and
    `liblinear` takes two classes only.
    """

    slug, title, status = "invalid-params", "The parameters do not fit together", 422


class InvalidEvaluation(ClientProblem):
    """The rows cannot be parted as the evaluation asks.

    A class has too few rows for the parts, or a column that parts the rows is
    absent or has gaps. Ask for a smaller part, fewer folds, or none.
    """

    slug, title, status = "invalid-evaluation", "The evaluation does not fit the table", 422


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


class InvalidParameter(ClientProblem):
    """A query parameter of this path is unknown or has a value it does not take."""

    slug, title, status = "invalid-parameter", "A query parameter is wrong", 422


class InvalidAlias(ClientProblem):
    """The name is not one that an alias can have.

    It is 1 to 64 of the characters a-z, 0-9, point, dash and underline, begins
    with a letter or digit, and is not shaped like a model's id.
    """

    slug, title, status = "invalid-alias", "The name cannot be an alias", 422


class TooManyTrainings(ClientProblem):
    """As many of one's trainings, or bytes of them, are open as the limit allows.

    `Retry-After` is about the time until those that wait have been trained; the
    detail names the limit.
    """

    slug, title, status = "too-many-trainings", "Too many trainings are open", 429


class TooManyModels(ClientProblem):
    """As many models are stored as the limit allows. Delete some and try again."""

    slug, title, status = "too-many-models", "Too many models are stored", 429


class InternalError(ServerProblem):
    """The service has a bug. Its log has the details under the request's id."""

    slug, title, status = "internal-error", "The service failed", 500


class BrokenModel(ServerProblem):
    """What is stored for this model cannot be read.

    Its bytes were changed or cut, or a newer version of the service wrote them.
    Other models are not affected. Train it again.
    """

    slug, title, status = "broken-model", "The stored model cannot be read", 500


class StoreUnavailable(ServerProblem):
    """The store (Redis or Valkey) does not answer, or refuses to write.

    Models that this process has in memory go on predicting. Try again after
    `Retry-After` seconds.
    """

    slug, title, status = "store-unavailable", "The store is not available", 503


class StoreFull(ServerProblem):
    """The store has no room for new work.

    What is under way can finish, and models go on predicting. Delete models, give the store more
    memory, or try again after `Retry-After` seconds.
    """

    slug, title, status = "store-full", "The store is full", 503


class QueueFull(ServerProblem):
    """As many trainings, or bytes of them, are open in all as the limit allows.

    `Retry-After` is about the time until those that wait have been trained; the
    detail names the limit.
    """

    slug, title, status = "queue-full", "Too many trainings are open in all", 503


class Overloaded(ServerProblem):
    """The service has as many connections or requests as it takes at a time.

    `Retry-After` says when to try again. Health checks are still answered.
    """

    slug, title, status = "overloaded", "The service is busy", 503


class NumericalFailure(TrainingProblem):
    """The solver found no finite coefficients.

    The numbers of the table are too large or too different in size.
    Bring the columns to similar scales and train again.
    """

    slug, title, status = "numerical-failure", "The solver found no finite coefficients", 422


class TrainingTimeout(TrainingProblem):
    """The training took longer than its limit and was stopped."""

    slug, title, status = "training-timeout", "The training took too long", 422


class TrainingMemory(TrainingProblem):
    """The training needed more memory than its limit and was stopped."""

    slug, title, status = "training-memory", "The training needed too much memory", 422


class TrainerKilled(TrainingProblem):
    """The process that fitted the model was killed from outside.

    Most often the system had no memory left. Other trainings are not affected.
    """

    slug, title, status = "trainer-killed", "The training's process was killed", 500


class WorkerLost(TrainingProblem):
    """The workers that took the training died each time, and no attempt is left."""

    slug, title, status = "worker-lost", "The training's workers died", 500


class QueueTimeout(TrainingProblem):
    """No worker took the training in time. Check that a worker runs."""

    slug, title, status = "queue-timeout", "No worker took the training", 503


class DataLost(TrainingProblem):
    """The training's data were gone before it began. Send them again."""

    slug, title, status = "data-lost", "The training's data were lost", 500


def problems() -> Iterator[type[Problem]]:
    """Yield every problem type that a client can meet, in the order of its status."""

    def leaves(kind: type[Problem]) -> Iterator[type[Problem]]:
        for child in kind.__subclasses__():
            if "slug" in vars(child):
                yield child
            yield from leaves(child)

    yield from sorted(leaves(Problem), key=lambda kind: (kind.status, kind.slug))


def explanation(kind: type[Problem]) -> str:
    """Return the words that explain a problem type."""
    return inspect.cleandoc(kind.__doc__ or "")
