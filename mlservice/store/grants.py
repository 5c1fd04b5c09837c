"""Clients' keys: whose they are and what they allow; of the key itself only a digest is kept."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field, replace

from mlservice.errors import BadSetting
from mlservice.rates import Standing
from mlservice.scopes import SCOPES, Scope
from mlservice.store import keys
from mlservice.store.link import Link

# An id, which logs may hold, and 256 random bits: too many to guess, so a plain digest will do.
PREFIX = "mls"
_parts = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_[A-Za-z0-9_-]{{43}}").fullmatch
# Names stand in keys of the store, where a colon separates.
_is_tenant = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}").fullmatch
MOST_LABEL = 200


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one key allows.

    Attributes
    ----------
    id : str
        The part of the key that is no secret.
    digest : str
        SHA-256 of the whole key.
    label : str
        What people call it.
    expires_ms, used_ms : int
        When it ends to work, 0: never; when it was used last, to a minute, 0: never.
    """

    id: str
    tenant: str
    scope: Scope
    created_ms: int
    digest: str = field(repr=False)
    label: str = ""
    expires_ms: int = 0
    used_ms: int = 0

    @classmethod
    def read(cls, grant_id: str, stored: dict[bytes, bytes]) -> "Grant":
        """Build a grant from the store's hash."""
        fields = {name.decode(): value.decode() for name, value in stored.items()}
        return cls(
            id=grant_id,
            tenant=fields["tenant"],
            scope=fields["scope"],  # type: ignore[arg-type]  # only `create` writes it
            label=fields["label"],
            digest=fields["digest"],
            created_ms=int(fields["created"]),
            expires_ms=int(fields["expires"]),
            used_ms=int(fields["used"]),
        )


def id_of(token: str) -> str | None:
    """Return the id in a key, or nothing if it has not the form of one."""
    found = _parts(token)
    return found[1] if found else None


def digest_of(token: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(token.encode()).hexdigest()


class Grants:
    """All tenants' keys in the store.

    Parameters
    ----------
    link : Link
        The store.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def create(
        self, *, tenant: str, scope: Scope, label: str = "", days: float = 0
    ) -> tuple[str, Grant]:
        """Make a key.

        Parameters
        ----------
        tenant : str
            Whose it is: 1 to 64 of a-z, 0-9, point, dash and underline.
        days : float
            How long it works; 0: until it is revoked.

        Returns
        -------
        token : str
            The key, which is not kept and cannot be told again.
        grant : Grant

        Raises
        ------
        BadSetting
            If the tenant, the scope or the label cannot be one.
        """
        _check(tenant, scope, label)
        grant_id = secrets.token_hex(6)
        token = f"{PREFIX}_{grant_id}_{secrets.token_urlsafe(32)}"
        seconds, microseconds = await self._link.call("TIME")
        created_ms = int(seconds) * 1000 + int(microseconds) // 1000
        grant = Grant(
            id=grant_id, tenant=tenant, scope=scope, label=label, digest=digest_of(token),
            created_ms=created_ms, expires_ms=created_ms + int(days * 86_400_000) if days else 0,
        )  # fmt: skip
        await self._link.batch(
            [
                (
                    "HSET", keys.grant(grant_id), "tenant", tenant, "scope", scope, "label", label,
                    "digest", grant.digest, "created", created_ms,
                    "expires", grant.expires_ms, "used", 0,
                ),
                ("SADD", keys.GRANTS, grant_id),
            ]
        )  # fmt: skip
        return token, grant

    async def get(self, grant_id: str) -> Grant | None:
        """Return what a key allows, or nothing if there is no such key."""
        stored = await self._link.call("HGETALL", keys.grant(grant_id))
        return Grant.read(grant_id, stored) if stored else None

    async def all(self) -> list[Grant]:
        """Return every key's grant, the oldest first."""
        ids = [each.decode() for each in await self._link.call("SMEMBERS", keys.GRANTS)]
        stored = await self._link.batch([("HGETALL", keys.grant(each)) for each in ids])
        found = [Grant.read(*pair) for pair in zip(ids, stored, strict=True) if pair[1]]
        return sorted(found, key=lambda grant: grant.created_ms)

    async def revoke(self, grant_id: str) -> bool:
        """Take a key away; return whether there was one."""
        gone, _ = await self._link.batch(
            [("UNLINK", keys.grant(grant_id)), ("SREM", keys.GRANTS, grant_id)]
        )
        return bool(gone)

    async def note_use(self, grant: Grant, now_ms: int) -> Grant:
        """Note that a key was used, and return the grant that says so."""
        await self._link.script("used", grant.id)
        return replace(grant, used_ms=now_ms)

    async def take(self, tenant: str, most: int, period_s: int) -> Standing:
        """Count one of a tenant's requests in all processes, unless it is one too many."""
        period_ms = period_s * 1000
        left, wait_ms = await self._link.script("rate", tenant, period_ms / most, period_ms)
        return Standing(left=left, wait_s=wait_ms / 1000)


def _check(tenant: str, scope: str, label: str) -> None:
    if not _is_tenant(tenant):
        raise BadSetting(
            "A tenant must be 1 to 64 of a-z, 0-9, point, dash and underline, and begin with a "
            f"letter or digit; it is {tenant[:80]!r}."
        )
    if scope not in SCOPES:
        raise BadSetting(f"A scope must be one of {', '.join(SCOPES)}, it is {scope[:64]!r}.")
    if len(label) > MOST_LABEL or not (label.isprintable() or not label):
        raise BadSetting(f"A label must have at most {MOST_LABEL} printable characters.")
