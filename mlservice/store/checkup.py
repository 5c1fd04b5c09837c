"""Whether the store keeps what it is given: what is wrong with it, in words, and by a name.

A process refuses to start on a store that would lose models, unless the setting
`accept_store_risks` names each risk. `mlservice doctor` and readiness tell the same.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlservice.errors import BadSetting, StoreUnavailable
from mlservice.settings import Settings
from mlservice.store.connections import open_redis
from mlservice.store.link import Link

MOST_SKEW_S = 2.0
FRESH_S = 10.0
OLDEST = {"valkey_version": (7, 2), "redis_version": (7, 0)}


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a store says of itself.

    Attributes
    ----------
    info : mapping
        Its `INFO`.
    appendfsync : str
        When it syncs its append-only file, or empty if it does not say.
    skew_s : float
        By how much its clock is ahead of this machine's, at the least.
    """

    info: Mapping[str, Any]
    appendfsync: str
    skew_s: float

    @property
    def version(self) -> tuple[str, str]:
        """The server's name, as in `OLDEST`, and its version."""
        name = "valkey_version" if "valkey_version" in self.info else "redis_version"
        return name, str(self.info.get(name, "0"))


@dataclass(frozen=True, kw_only=True)
class Risk:
    """One way in which a store may lose what it was given."""

    name: str
    detail: str


def _is_old(found: Findings) -> bool:
    name, version = found.version
    numbers = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    return tuple(numbers) < OLDEST[name]


# By name: when it holds, and what must be.
_RISKS: dict[str, tuple[Callable[[Findings], bool], str]] = {
    "replica": (
        lambda found: found.info.get("role") != "master",
        "The store must be a primary, it is a replica and takes no writes.",
    ),
    "cluster": (
        lambda found: bool(found.info.get("cluster_enabled")),
        "The store must not be a cluster, its keys would be on several nodes.",
    ),
    "old-version": (
        _is_old,
        "The store must be Valkey 7.2, Redis 7.0 or newer, it is older.",
    ),
    "eviction": (
        lambda found: found.info.get("maxmemory_policy") != "noeviction",
        "maxmemory-policy must be noeviction, another one throws models away when memory is short.",
    ),
    "no-aof": (
        lambda found: not found.info.get("aof_enabled"),
        "The store must keep an append-only file (appendonly yes), a restart loses models without.",
    ),
    "no-fsync": (
        lambda found: found.appendfsync == "no",
        "appendfsync must be everysec or always, it is no: a crash loses half a minute.",
    ),
    "aof-failing": (
        lambda found: found.info.get("aof_last_write_status", "ok") != "ok",
        "The store must write its append-only file, it fails to: look at its disk.",
    ),
    "no-memory-limit": (
        lambda found: not found.info.get("maxmemory"),
        "maxmemory must be set, a store without a limit takes all memory and is killed.",
    ),
    "clock": (
        lambda found: abs(found.skew_s) > MOST_SKEW_S,
        f"The store's clock and this machine's must agree to {MOST_SKEW_S:g} s, they do not.",
    ),
}
NAMES = tuple(_RISKS)


def risks(found: Findings) -> list[Risk]:
    """Return all that is wrong with a store."""
    return [Risk(name=name, detail=must) for name, (holds, must) in _RISKS.items() if holds(found)]


def accepted(settings: Settings) -> set[str]:
    """Return the names of the risks that the operator takes.

    Raises
    ------
    BadSetting
        If there is no such risk.
    """
    names = {name.strip() for name in settings.accept_store_risks.split(",") if name.strip()}
    if unknown := names - set(NAMES):
        raise BadSetting(
            f"MLSERVICE_ACCEPT_STORE_RISKS must be some of {', '.join(NAMES)}, "
            f"got {', '.join(sorted(unknown))}."
        )
    return names


async def examine(link: Link) -> Findings:
    """Ask the store about itself.

    Raises
    ------
    StoreUnavailable
        If it does not answer.
    """
    info = await link.call("INFO")
    try:
        said = await link.call("CONFIG", "GET", "appendfsync")
    except StoreUnavailable:
        if link.is_away:
            raise
        said = []  # The service's user need not have the right to ask.
    begun = time.time()
    seconds, microseconds = await link.call("TIME")
    ended = time.time()
    ahead_s = seconds + microseconds / 1e6 - (begun + ended) / 2
    # What the answer took may lie on either side of the reading.
    unsure_s = (ended - begun) / 2
    skew_s = max(abs(ahead_s) - unsure_s, 0.0) * (1 if ahead_s > 0 else -1)
    return Findings(info=info, appendfsync=_appendfsync(said), skew_s=skew_s)


def _appendfsync(said: list[bytes]) -> str:
    return said[1].decode() if said else ""


class Checkup:
    """What is wrong with the store and was not accepted, asked for at most every 10 s.

    Parameters
    ----------
    link : Link
        The store.
    settings : Settings
        The risks that the operator takes.
    """

    def __init__(self, link: Link, settings: Settings) -> None:
        self._link = link
        self._accepted = accepted(settings)
        self._asked_at = -math.inf
        self._found: list[Risk] = []

    async def risks(self) -> list[Risk]:
        """Return the risks, those of the last time while the store does not answer."""
        if time.monotonic() - self._asked_at > FRESH_S:
            with contextlib.suppress(StoreUnavailable):
                found = risks(await examine(self._link))
                self._found = [risk for risk in found if risk.name not in self._accepted]
                self._asked_at = time.monotonic()
        return self._found


async def refuse_risks(settings: Settings) -> None:
    """Refuse a store that may lose what it is given; one that is away is waited for elsewhere.

    Raises
    ------
    BadSetting
        With each risk that was not accepted, and how to accept it.
    """
    link = Link(open_redis(settings), settings.store_timeout_s)
    try:
        found = await Checkup(link, settings).risks()
    finally:
        await link.close()
    if found:
        names = ",".join(risk.name for risk in found)
        details = " ".join(risk.detail for risk in found)
        raise BadSetting(
            f"{details} Change the store, or take the risk: --accept-store-risks {names} "
            "(MLSERVICE_ACCEPT_STORE_RISKS)."
        )
