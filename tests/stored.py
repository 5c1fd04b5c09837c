"""What stands in a store, and what of it does not agree: records, sets, sums, keys, entries."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from redis import Redis

from mlservice.model import decode
from mlservice.scoring import reconstruct
from mlservice.store import keys
from tests.oracle import Oracle

# Every kind of key that there is, by its document.
KINDS = set(re.findall(r"^``mls:([a-z]+)", keys.__doc__ or "", re.MULTILINE))
OPEN = ("queued", "training")
ENDS = {"ready", "failed", "cancelled"}


class Stored:
    """A store, as one look at it finds it.

    Parameters
    ----------
    store : Redis
        Nobody writes to it meanwhile.
    """

    def __init__(self, store: "Redis", queue: str = "arq:queue") -> None:
        self._store: Any = store
        self._queue = queue
        self.records = {
            key.rpartition(":")[2]: self._record(key) for key in self._keys("mls:model:*")
        }

    def _keys(self, pattern: str) -> list[str]:
        return [key.decode() for key in self._store.scan_iter(pattern, count=1000)]

    def _record(self, key: str) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self._store.hgetall(key).items()}

    def _members(self, key: str) -> set[str]:
        return {member.decode() for member in self._store.zrange(key, 0, -1)}

    def of(self, *states: str) -> set[str]:
        """Return ids of the models that are in one of some states."""
        return {each for each, record in self.records.items() if record["state"] in states}

    def end(self, model_id: str) -> tuple[str, str]:
        """Return a model's state, or that it is gone, and the slug of the problem it has."""
        record = self.records.get(model_id)
        if not record:
            return "gone", ""
        error = record.get("error")
        return record["state"], msgspec.json.decode(error)["type"].rpartition("/")[
            2
        ] if error else ""

    def differs(self, model_id: str, fit: Oracle) -> bool:
        """Tell whether a stored model predicts otherwise than an offline fit of its rows."""
        model = decode(self._artifact(model_id))
        order = [[each.name for each in model.features].index(name) for name in fit.features]
        rows = np.empty_like(fit.rows)
        rows[:, order] = fit.rows
        return fit.differs(fit.rows, reconstruct(model).predict_proba(rows).tolist())

    def _artifact(self, model_id: str) -> bytes:
        return b"".join(self._store.lrange(keys.artifact(model_id), 0, -1))

    def disagreements(self) -> list[str]:
        """Return what does not agree with the records, or belongs to none."""
        return [*chain(self._sets(), self._sums(), self._kept(), self._entries(), self._told(),
                       self._artifacts(), self._aliases(), self._unknown())]  # fmt: skip

    def _tenants(self) -> set[str]:
        listed = chain(self._keys("mls:models:*"), self._keys("mls:open:*"))
        told = {key.split(":", 2)[2] for key in listed}
        return told | {record["tenant"] for record in self.records.values()}

    def _sets(self) -> Iterator[str]:
        """Each set has exactly the models of its states."""
        is_open = self.of(*OPEN)
        expected = {
            "mls:open": is_open,
            keys.LEASES: self.of("training"),
            keys.DEADLINES: self.of("queued"),
            "mls:expiries": self.of("failed", "cancelled"),
        }
        for tenant in self._tenants():
            own = {each for each, record in self.records.items() if record["tenant"] == tenant}
            expected |= {keys.models(tenant): own, f"mls:open:{tenant}": own & is_open}
        for key, ids in expected.items():
            if (found := self._members(key)) != ids:
                yield f"{key} has {sorted(found - ids)} too many and lacks {sorted(ids - found)}"

    def _sums(self) -> Iterator[str]:
        """The bytes that are counted are those of what is open."""
        sizes: dict[str, int] = dict.fromkeys(self._keys("mls:bytes*"), 0)
        for each in self.of(*OPEN):
            record = self.records[each]
            for key in ("mls:bytes", f"mls:bytes:{record['tenant']}"):
                sizes[key] = sizes.get(key, 0) + int(record["bytes"])
        for key, size in sizes.items():
            if (found := int(self._store.get(key) or 0)) != size:
                yield f"{key} is {found}, not {size}"

    def _kept(self) -> Iterator[str]:
        """Bodies are kept of what is open, artifacts of what is ready, events of what there is."""
        is_open = self.of(*OPEN)
        training = {f"{each}:{self.records[each]['attempt']}" for each in self.of("training")}
        rules: Mapping[str, tuple[set[str], set[str]]] = {
            "data": (is_open, is_open),
            "artifact": (self.of("ready"), self.of("ready")),
            "staged": (set(), training),
            "events": (set(), set(self.records)),
        }
        for kind, (needed, allowed) in rules.items():
            prefix = f"mls:{kind}:"
            found = {key.removeprefix(prefix) for key in self._keys(f"{prefix}*")}
            yield from (f"{prefix}{each} is missing" for each in needed - found)
            yield from self._staying(f"{prefix}{each}" for each in found - allowed)

    def _staying(self, found: Iterator[str]) -> Iterator[str]:
        """Tell of keys that nothing needs; what expires was begun by who was killed or left."""
        for key in found:
            if self._store.ttl(key) == -1:
                yield f"{key} stays"

    def _entries(self) -> Iterator[str]:
        """The queue has one entry of each training that waits, and none of what has ended."""
        waits = {f"{each}:{int(self.records[each]['attempt']) + 1}" for each in self.of("queued")}
        runs = {f"{each}:{self.records[each]['attempt']}" for each in self.of("training")}
        found = self._members(self._queue)
        yield from (f"{entry} is not in the queue" for entry in waits - found)
        yield from (f"{entry} stays in the queue" for entry in found - waits - runs)
        for prefix in ("arq:job:", "arq:in-progress:", "arq:retry:"):
            entries = {key.removeprefix(prefix) for key in self._keys(f"{prefix}*")}
            yield from self._staying(f"{prefix}{each}" for each in entries - waits - runs)

    def _told(self) -> Iterator[str]:
        """A model ends once, and the last state that was told is its record's."""
        for model_id, record in self.records.items():
            events = [fields for _, fields in self._store.xrange(keys.events(model_id))]
            states = [
                msgspec.json.decode(each[b"data"])["state"]
                for each in events
                if each[b"kind"] == b"state"
            ]
            if len(ends := [state for state in states if state in ENDS]) > 1:
                yield f"{model_id} ended {len(ends)} times: {ends}"
            elif states and states[-1] != record["state"]:
                yield f"{model_id} is {record['state']} and was told to be {states[-1]}"

    def _artifacts(self) -> Iterator[str]:
        """The bytes of a model are those that were committed."""
        for model_id in self.of("ready"):
            digest = hashlib.sha256(self._artifact(model_id)).hexdigest()
            if digest != self.records[model_id].get("sha256"):
                yield f"{model_id} has other bytes than its digest's"

    def _aliases(self) -> Iterator[str]:
        """An alias points at a model that is ready, and both know of it."""
        named = {key: self._record(key) for key in self._keys("mls:alias:*")}
        for key, record in named.items():
            tenant, name = key.removeprefix("mls:alias:").split(":", 1)
            if record["model"] not in self.of("ready"):
                yield f"{key} points at {record['model']}, which is not ready"
            for known in (keys.aliases(tenant), f"mls:aliased:{record['model']}"):
                if not self._store.sismember(known, name):
                    yield f"{known} lacks {name}"
        for key in chain(self._keys("mls:aliases:*"), self._keys("mls:history:*")):
            tenant = key.split(":")[2]
            if not any(each.startswith(f"mls:alias:{tenant}:") for each in named):
                yield f"{key} stays"

    def _unknown(self) -> Iterator[str]:
        """There is no kind of key that the document does not know."""
        for key in self._keys("mls:*"):
            if key.split(":")[1] not in KINDS:
                yield f"{key} is of no kind that there is"
