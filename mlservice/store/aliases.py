"""Names that point at models and can be moved from one to another.

A process keeps where an alias points for a second, so that predictions by an
alias cost no round trip each; while the store is away it keeps that longer.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from mlservice.errors import AliasMoved, AliasNotFound, InvalidAlias, StoreUnavailable
from mlservice.store import keys
from mlservice.store.link import Link
from mlservice.store.records import not_found, time_of
from mlservice.store.refusals import is_id, not_ready

FRESH_S = 1.0
MOST_KEPT = 10_000
MOST_HISTORY = 100
# 10,000 in one round trip held up every other request for 1.1 s, and took the store too long soon.
READ_AT_ONCE = 100
# The model that an alias points at, when that was asked, and how often it was moved.
Kept = tuple[str, float, int]
_is_alias = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}").fullmatch


@dataclass(frozen=True, kw_only=True)
class Alias:
    """Where an alias points, and where it did before.

    Attributes
    ----------
    revision : int
        How often it was moved.
    tag : str
        No other state of an alias of this name had it; its `ETag`.
    targets : list of (model_id, moved_at)
        Newest first; the first is where it points.
    """

    name: str
    revision: int
    tag: str
    targets: list[tuple[str, str]]

    @property
    def model_id(self) -> str:
        """The model that it points at."""
        return self.targets[0][0]


class Aliases:
    """One tenant's aliases.

    Parameters
    ----------
    link : Link
        The store.
    tenant : str
        Whose aliases they are.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self, link: Link, tenant: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link = link
        self._tenant = tenant
        self._clock = clock
        self._kept: dict[str, Kept] = {}

    def known(self, name: str) -> str | None:
        """Return the id that an id or an alias means, if that needs no question to the store."""
        if is_id(name):
            return name
        kept = self._kept.get(name)
        return kept[0] if kept and self._clock() - kept[1] < FRESH_S else None

    async def resolve(self, name: str) -> str:
        """Return the id of the model that an id or an alias means.

        Raises
        ------
        ModelNotFound
            If the name is neither an id nor an alias.
        """
        return self.known(name) or (await self._current(name))[0]

    async def revision(self, name: str) -> int:
        """Return how often an alias was moved; it raises what `resolve` does."""
        return (await self._current(name))[2]

    async def _current(self, name: str) -> Kept:
        kept = self._kept.get(name)
        if kept and self.known(name):
            return kept
        if not _is_alias(name):
            raise not_found(name)
        try:
            return await self._look_up(name)
        except StoreUnavailable:
            if kept:
                return kept
            raise

    async def _look_up(self, name: str) -> Kept:
        begun = self._clock()
        key = keys.alias(self._tenant, name)
        model, revision = await self._link.call("HMGET", key, "model", "revision")
        self._kept.pop(name, None)
        if model is None:
            raise not_found(name)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        found = self._kept[name] = model.decode(), begun, int(revision)
        return found

    async def move(self, name: str, model_id: str, *, tags: str = "") -> Alias:
        """Point an alias at a ready model in one step.

        Parameters
        ----------
        tags : str
            Those of which it must have one, with commas between them; "0": it must not
            be there, "*": it must; empty: anything.

        Raises
        ------
        InvalidAlias
            If the name is not one that an alias can have.
        ModelNotFound, ModelNotReady
            If there is no such model, or it cannot predict.
        AliasMoved
            If the alias has another tag.
        """
        check_name(name)
        answer = await self._link.script("alias", self._tenant, name, model_id, tags, MOST_HISTORY)
        self._kept.pop(name, None)
        if answer == b"moved":
            raise AliasMoved("The alias must be as If-Match or If-None-Match says, it is not.")
        if answer == b"absent":
            raise not_found(model_id)
        if answer != b"ok":
            raise not_ready(answer.decode())
        return await self.get(name)

    async def get(self, name: str) -> Alias:
        """Return where an alias points, and its history.

        Raises
        ------
        AliasNotFound
            If there is none.
        """
        found = await self._read([name])
        if not found:
            raise AliasNotFound(f"There must be an alias {name[:64]!r}, there is none.")
        return found[0]

    async def all(self) -> list[Alias]:
        """Return every alias, by name."""
        members = await self._link.call("SMEMBERS", keys.aliases(self._tenant))
        names = sorted(member.decode() for member in members)
        found: list[Alias] = []
        for start in range(0, len(names), READ_AT_ONCE):
            found += await self._read(names[start : start + READ_AT_ONCE])
        return found

    async def _read(self, names: list[str]) -> list[Alias]:
        """Return those aliases that there are, in one round trip."""
        revisions = [("HGET", keys.alias(self._tenant, name), "revision") for name in names]
        histories = [("LRANGE", keys.history(self._tenant, name), 0, -1) for name in names]
        stored = await self._link.read([*revisions, *histories])
        return [
            _alias(name, revision, history)
            for name, revision, history in zip(
                names, stored[: len(names)], stored[len(names) :], strict=True
            )
            if revision is not None
        ]

    async def remove(self, name: str) -> None:
        """Remove an alias; the model that it pointed at stays.

        Raises
        ------
        AliasNotFound
            If there is none.
        """
        self._kept.pop(name, None)
        if not await self._link.script("unalias", self._tenant, name):
            raise AliasNotFound(f"There must be an alias {name[:64]!r}, there is none.")


def _alias(name: str, revision: bytes, history: list[bytes]) -> Alias:
    targets = [_target(each) for each in history]
    moved_ms = history[0].decode().split()[1]
    return Alias(
        name=name, revision=int(revision), tag=f"{int(revision)}-{moved_ms}", targets=targets
    )


def _target(stored: bytes) -> tuple[str, str]:
    model_id, moved = stored.decode().split()
    return model_id, time_of(int(moved))


def check_name(name: str) -> None:
    """Refuse what cannot be an alias.

    Raises
    ------
    InvalidAlias
        If it is not.
    """
    if not _is_alias(name) or is_id(name):
        raise InvalidAlias(
            "An alias must be 1 to 64 of a-z, 0-9, point, dash and underline, begin with a "
            f"letter or digit, and not be a UUID; it is {name[:80]!r}."
        )
