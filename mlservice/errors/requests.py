"""Failures of a request, whatever it is about: its path, its form, its size."""

from mlservice.errors.problem import ClientProblem


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
    """The request is not valid HTTP.

    The connection is closed after this answer.
    """

    slug, title, status = "malformed-request", "The request is not valid HTTP", 400


class AddressTooLong(ClientProblem):
    """The path and query are longer than a request line may be.

    A row that is too long for a query fits in the body of `POST
    /models/{id}/predictions`, and options beside a JSON table in that of `POST /models`.
    """

    slug, title, status = "address-too-long", "The path and query are too long", 414


class HeaderTooLarge(ClientProblem):
    """A header of the request is larger than any may be. The detail says how large that is."""

    slug, title, status = "header-too-large", "A header is too large", 431


class NotFound(ClientProblem):
    """Nothing is served under this path. `/openapi.json` lists what is."""

    slug, title, status = "not-found", "There is nothing under this path", 404


class MethodNotAllowed(ClientProblem):
    """The path exists, but not with this method. `Allow` lists those it takes."""

    slug, title, status = "method-not-allowed", "This path does not take this method", 405


class NotAcceptable(ClientProblem):
    """`Accept` names no media type that this path answers in. The detail lists them."""

    slug, title, status = "not-acceptable", "No media type is acceptable", 406


class BodyTooLarge(ClientProblem):
    """The body is larger than the limit. The detail names the setting that holds it."""

    slug, title, status = "body-too-large", "The body is too large", 413


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


class InvalidParameter(ClientProblem):
    """A query parameter of this path is unknown or has a value it does not take.

    `errors` names the first 20; of more, `error_count` may say how many there are.
    """

    slug, title, status = "invalid-parameter", "A query parameter is wrong", 422


class MalformedIdempotencyKey(ClientProblem):
    """`Idempotency-Key` must be one header of 1 to 255 printable ASCII characters."""

    slug, title, status = "malformed-idempotency-key", "The idempotency key is malformed", 400


class IdempotencyKeyReused(ClientProblem):
    """The `Idempotency-Key` was sent before, with another body, media type or query.

    Send a new key with each new request, and the same key only to repeat one.
    """

    slug, title, status = "idempotency-key-reused", "The idempotency key was used before", 422
