"""Every key of the store that Python names; the scripts' prelude has the same.

===========================  =======  ==========================================
``mls:model:{id}``           hash     the record: the truth about a model
``mls:data:{id}``            list     the request's body, in pieces
``mls:artifact:{id}``        list     the stored model, in pieces
``mls:staged:{id}:{n}``      list     an attempt's artifact before its commit
``mls:open``                 zset     queued or training, by creation
``mls:open:{tenant}``        zset     the same of one tenant
``mls:models:{tenant}``      zset     all of one tenant, by sequence number
``mls:leases``               zset     training, by the end of its lease
``mls:deadlines``            zset     queued, by when it has waited too long
``mls:expiries``             zset     failed or cancelled, by when its record goes
``mls:sequence``             string   counter of models
``mls:workers``              zset     workers, by when they were last seen
``mls:changes``              channel  ids of models that changed
``arq:…``                             arq's own: queue, job, in-progress, retry
===========================  =======  ==========================================

Times are milliseconds of the server's clock.
"""

WORKERS = "mls:workers"
CHANGES = "mls:changes"


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


def models(tenant: str) -> str:
    """Return the key of a tenant's list of models."""
    return f"mls:models:{tenant}"
