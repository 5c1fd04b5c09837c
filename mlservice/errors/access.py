"""Failures of access: who calls, from where, and how often."""

from mlservice.errors.problem import ClientProblem


class HostNotAllowed(ClientProblem):
    """The request's `Host` is none of the names that the service answers to.

    Without keys a service on a loopback address answers to loopback's names only,
    so that a page whose own name leads to this machine (DNS rebinding) gets
    nothing. `MLSERVICE_ALLOWED_HOSTS` adds names.
    """

    slug, title, status = "host-not-allowed", "The service has another name", 403


class OriginNotAllowed(ClientProblem):
    """A page of another site sent the request.

    Without keys a browser on the same machine would let any page use the service.
    `MLSERVICE_ALLOWED_ORIGINS` names pages that may.
    """

    slug, title, status = "origin-not-allowed", "Pages of this origin may not call", 403


class KeyMissing(ClientProblem):
    """The service asks for a key, and the request has none.

    Send `Authorization: Bearer mls_…`. An operator makes keys with
    `mlservice keys create`.
    """

    slug, title, status = "key-missing", "A key is needed", 401


class KeyRefused(ClientProblem):
    """The key is not one that works.

    It is unknown, has expired or was revoked; which of these is not told.
    """

    slug, title, status = "key-refused", "The key does not work", 401


class ScopeMissing(ClientProblem):
    """The key works, but not for this: it has a narrower scope.

    `scope` is the one that is needed: `train` holds `predict`, and `admin` holds
    both. Each operation of `/openapi.json` names its own.
    """

    slug, title, status = "scope-missing", "The key has not this scope", 403


class TooManyRefusedKeys(ClientProblem):
    """Too many keys that do not work were tried from this address.

    Keys that worked a moment ago go on working. `Retry-After` says how long to wait.
    """

    slug, title, status = "too-many-refused-keys", "Too many keys were tried", 429


class TooManyRequests(ClientProblem):
    """The tenant has sent more requests than the operator allows.

    `Retry-After` says how long to wait; `RateLimit-Policy` and `RateLimit` tell of
    each answer how many are allowed, and how many are left.
    """

    slug, title, status = "too-many-requests", "Too many requests", 429


# What any request may meet, and what one that needs a key may meet too.
EVERYWHERE = (HostNotAllowed, OriginNotAllowed)
KEYED = (
    *EVERYWHERE,
    KeyMissing,
    KeyRefused,
    ScopeMissing,
    TooManyRefusedKeys,
    TooManyRequests,
)
