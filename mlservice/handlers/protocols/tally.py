"""How often this process was asked by the Open Inference Protocol, and how long it took."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from aiohttp import web

MOST_MODELS = 10_000


@dataclass
class Count:
    """What was inferred by one model; times are in nanoseconds, the last one in milliseconds."""

    rows: int = 0
    answered: int = 0
    answered_ns: int = 0
    failed: int = 0
    failed_ns: int = 0
    last_ms: int = 0

    def add(self, rows: int, begun_ns: int) -> None:
        """Count an answer, or with no rows a failure, that began at a `perf_counter_ns`."""
        taken_ns = time.perf_counter_ns() - begun_ns
        if not rows:
            self.failed += 1
            self.failed_ns += taken_ns
            return
        self.rows += rows
        self.answered += 1
        self.answered_ns += taken_ns
        self.last_ms = time.time_ns() // 1_000_000


class Tally:
    """The counts of the models that were asked last, at most 10,000."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], Count] = OrderedDict()

    def of(self, tenant: str, model_id: str) -> Count:
        """Return a model's counts."""
        count = self._counts.get((tenant, model_id))
        if count is None:
            count = self._counts[tenant, model_id] = Count()
            if len(self._counts) > MOST_MODELS:
                self._counts.popitem(last=False)
        return count

    def of_tenant(self, tenant: str) -> list[tuple[str, Count]]:
        """Return the models of a tenant that were asked, and their counts."""
        return [(key[1], count) for key, count in self._counts.items() if key[0] == tenant]


TALLY = web.AppKey("tally", Tally)
