"""One run: faults under load for a while, then peace, then the checker."""

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass
from random import Random

from redis import Redis

from tests.chaos.clients import Caller, live, predict
from tests.chaos.faults import FAULTS
from tests.chaos.history import History, leftovers, tasks
from tests.chaos.stack import Stack
from tests.support import until

# From the last fault on: a lease, a sweep, the waiting that a lost connection costs, the fits.
SETTLED_S = 60.0
# What a process that has ended may leave to end by itself.
ORPHANED_S = 3.0


@dataclass
class Report:
    """What was done, what was promised, and what was wrong."""

    faults: Counter[str]
    history: History
    ends: Counter[str]
    processes: int
    log_lines: int
    wrong: list[str]

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, and nothing wrong."""
        return not self.wrong and not self.history.lost

    def __str__(self) -> str:
        """Return the lines of a report."""
        history = self.history
        told = ", ".join(f"{count} × {status}" for status, count in sorted(history.answers.items()))
        lines = [
            f"faults injected      {self.faults.total()}",
            *(f"  {name:<22}{count}" for name, count in sorted(self.faults.items())),
            f"requests             {history.answers.total()} ({told}; 0: no answer)",
            f"trainings accepted   {len(history.accepted)}, of which ended",
            *(f"  {state:<22}{count}" for state, count in sorted(self.ends.items())),
            f"cancels acknowledged {len(history.cancelled)}",
            f"deletes acknowledged {len(history.deleted)}",
            f"predictions compared {history.predictions}",
            f"ready and predicting {self.ends['ready']}",
            f"processes            {self.processes} ended in order when told to",
            f"lines of log read    {self.log_lines}",
            f"lost                 {len(history.lost)}",
            *(f"  {each}" for each in history.lost),
            f"wrong                {len(self.wrong)}",
            *(f"  {each}" for each in self.wrong),
        ]
        return "\n".join(lines)


async def run(stack: Stack, *, seed: int, seconds: float, clients: int = 6) -> Report:
    """Hurt a whole service for some seconds, and judge what it kept.

    Parameters
    ----------
    stack : Stack
        The service, which does not run yet.
    seed : int
        The same seed injects the same faults in the same order.
    """
    history, faults, chosen = History(), Counter[str](), tasks()
    caller = Caller(stack, history, Random(seed + 1))
    try:
        await stack.start()
        living = [
            asyncio.create_task(live(caller, history, chosen, Random(seed + 2 + number)))
            for number in range(clients)
        ]
        await _hurt(stack, faults, Random(seed), seconds)
        for task in living:
            task.cancel()
        crashed = await asyncio.gather(*living, return_exceptions=True)
        ends = await _settle(stack, caller, history)
    finally:
        await caller.close()
        codes = await stack.stop()
    with contextlib.suppress(AssertionError):
        await until(stack.has_no_orphans, within_s=ORPHANED_S, every_s=0.1)
    wrong = history.wrong + _judge(stack, history, codes)
    wrong += [repr(error) for error in crashed if not isinstance(error, asyncio.CancelledError)]
    return Report(
        faults,
        history,
        Counter(state for state, _ in ends.values()),
        processes=codes.count(0),
        log_lines=len(stack.logs().splitlines()),
        wrong=wrong,
    )


async def _hurt(stack: Stack, faults: Counter[str], random: Random, seconds: float) -> None:
    """Inject one fault after the other."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        fault = random.choice(FAULTS)
        faults[fault.__name__] += 1
        await fault(stack, random)
        await asyncio.sleep(random.uniform(0.2, 2))


async def _settle(stack: Stack, caller: Caller, history: History) -> dict[str, tuple[str, str]]:
    """Wait until every training has ended; note what it came to and what it predicts."""
    ends: dict[str, tuple[str, str]] = {}

    async def all_ended() -> bool:
        for model_id in history.accepted.keys() - ends.keys():
            if end := await _end(caller, model_id):
                ends[model_id] = end
        return ends.keys() == history.accepted.keys()

    try:
        await until(all_ended, within_s=SETTLED_S, every_s=0.2)
    except AssertionError:
        open_ = history.accepted.keys() - ends.keys()
        history.lost += [f"{model_id} never ended" for model_id in open_]
    for model_id, end in ends.items():
        history.judge(model_id, *end)
    for model_id, (state, _) in ends.items():
        if state == "ready" and await predict(caller, history, model_id, Random(0)) != 200:
            history.wrong.append(f"{model_id} is ready and does not predict")
    with Redis.from_url(stack.store_url) as store:
        history.wrong += await asyncio.to_thread(leftovers, store)
    return ends


async def _end(caller: Caller, model_id: str) -> tuple[str, str] | None:
    """Return the state that a model has come to and the problem, if it has ended."""
    status, document = await caller.once("GET", f"/models/{model_id}")
    if status == 404:
        return "gone", ""
    if status != 200 or document["state"] in ("queued", "training"):
        return None
    problem = (document.get("error") or {}).get("type", "")
    return document["state"], problem.rpartition("/")[2]


def _judge(stack: Stack, history: History, codes: list[int]) -> list[str]:
    """Return what is wrong with the processes and their logs."""
    wrong = [f"a process ended with {code}" for code in codes if code]
    wrong += [f"{orphan} is an orphan: {orphan.cmdline()}" for orphan in stack.orphans()]
    wrong += [line[:2000] for line in stack.logs().splitlines() if "Traceback" in line]
    if not history.predictions:
        wrong.append("nothing was predicted")
    return wrong
