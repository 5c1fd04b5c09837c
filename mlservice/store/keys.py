"""Every key of the store that Python names; the scripts' prelude has the same.

===============================  =======  ============================================
``mls:model:{id}``               hash     the record: the truth about a model
``mls:data:{id}``                list     the request's body, in pieces
``mls:artifact:{id}``            list     the stored model, in pieces
``mls:staged:{id}:{n}``          list     an attempt's artifact before its commit
``mls:events:{id}``              stream   what happened, for readers that follow
``mls:open``                     zset     queued or training, by creation
``mls:open:{tenant}``            zset     the same of one tenant
``mls:models:{tenant}``          zset     all of one tenant, by sequence number
``mls:leases``                   zset     training, by the end of its lease
``mls:deadlines``                zset     queued, by when it has waited too long
``mls:expiries``                 zset     failed or cancelled, by when its record goes
``mls:alias:{tenant}:{name}``    hash     a model's name: its id, and a revision
``mls:history:{tenant}:{name}``  list     what the alias pointed at, newest first
``mls:aliases:{tenant}``         set      names of all of one tenant's aliases
``mls:aliased:{id}``             set      names of the aliases that point at a model
``mls:idempotent:{tenant}:{key}``string   a repeatable request's body and its model
``mls:grant:{id}``               hash     a client's key: its digest, tenant, scope
``mls:grants``                   set      ids of all clients' keys
``mls:rate:{tenant}``            string   when the tenant's next request would be due
``mls:sequence``                 string   counter of models
``mls:bytes``                    string   bytes of all that is open
``mls:bytes:{tenant}``           string   the same of one tenant
``mls:pace``                     string   how long a training takes, of late
``mls:workers``                  zset     workers, by when they were last seen
``mls:changes``                  channel  ids of models that changed
``mls:queued``                   channel  entries that were put into the queue
``mls:uploads``                  channel  large bodies whose upload runs: id, size
``arq:…``                                 arq's own: queue, job, in-progress, retry
===============================  =======  ============================================

Times are milliseconds of the server's clock.
"""

WORKERS = "mls:workers"
LEASES = "mls:leases"
DEADLINES = "mls:deadlines"
CHANGES = "mls:changes"
QUEUED = "mls:queued"
UPLOADS = "mls:uploads"
GRANTS = "mls:grants"

# Whose models they are while the service asks for no keys.
ANONYMOUS = "anonymous"


def record(model_id: str) -> str:
    """Return the key of a model's record."""
    return f"mls:model:{model_id}"


def data(model_id: str) -> str:
    """Return the key of a training's body."""
    return f"mls:data:{model_id}"


def artifact(model_id: str) -> str:
    """Return the key of a stored model."""
    return f"mls:artifact:{model_id}"


def staged(model_id: str, attempt: int) -> str:
    """Return the key of an attempt's artifact before it is committed."""
    return f"mls:staged:{model_id}:{attempt}"


def events(model_id: str) -> str:
    """Return the key of a model's events."""
    return f"mls:events:{model_id}"


def models(tenant: str) -> str:
    """Return the key of a tenant's list of models."""
    return f"mls:models:{tenant}"


def alias(tenant: str, name: str) -> str:
    """Return the key of an alias."""
    return f"mls:alias:{tenant}:{name}"


def history(tenant: str, name: str) -> str:
    """Return the key of what an alias pointed at."""
    return f"mls:history:{tenant}:{name}"


def aliases(tenant: str) -> str:
    """Return the key of a tenant's aliases' names."""
    return f"mls:aliases:{tenant}"


def grant(grant_id: str) -> str:
    """Return the key of what a client's key allows."""
    return f"mls:grant:{grant_id}"
