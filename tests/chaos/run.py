"""One run: faults under load for a while, then peace, then the checker."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Collection, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from tests.chaos.clients import Caller, live, predict
from tests.chaos.faults import FAULTS
from tests.chaos.stack import Stack
from tests.chaos.tasks import tasks
from tests.checker import judge, left_behind
from tests.history import History
from tests.stored import OPEN
from tests.support import until

# From the last fault on: a lease, a sweep, the waiting that a lost connection costs, the fits.
SETTLED_S = 60.0
# Ends that a training may come to because of what was done to it.
EXCUSED = {"worker-lost", "trainer-killed", "training-timeout"}


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
            f"predictions compared {len(history.predicted)}",
            f"ready and predicting {self.ends['ready']}",
            f"processes            {self.processes} ended in order when told to",
            f"lines of log read    {self.log_lines}",
            f"lost                 {len(history.lost)}",
            *(f"  {each}" for each in history.lost),
            f"wrong                {len(self.wrong)}",
            *(f"  {each}" for each in self.wrong),
        ]
        return "\n".join(lines)


async def run(
    stack: Stack, *, seed: int, seconds: float, stop: asyncio.Event | None = None, clients: int = 6
) -> Report:
    """Hurt a whole service for some seconds, and judge what it kept.

    Parameters
    ----------
    stack : Stack
        The service, which does not run yet.
    seed : int
        The same seed injects the same faults in the same order.
    stop : Event, optional
        Ends the run early: what is open then is not waited for, and the store is not judged.
    """
    history, faults, ends = History(EXCUSED), Counter[str](), dict[str, str]()
    caller, stop = Caller(stack, history, Random(seed + 1)), stop or asyncio.Event()
    wrong: list[str] = []
    try:
        await stack.start()
        living = _live(caller, history, seed, clients)
        await _first_of(_hurt(stack, faults, Random(seed), seconds), stop.wait())
        wrong += await _cancelled(living)
        await _first_of(_settle(caller, history, ends), stop.wait())
    finally:
        await caller.close()
        codes = await stack.stop()
        wrong += await _verdict(stack, history, codes, is_whole=not stop.is_set())
    return Report(
        faults,
        history,
        Counter(ends.values()),
        processes=codes.count(0),
        log_lines=len(stack.logs().splitlines()),
        wrong=wrong,
    )


def _live(caller: Caller, history: History, seed: int, clients: int) -> "list[asyncio.Task[None]]":
    """Start the clients."""
    chosen = tasks()
    return [
        asyncio.create_task(live(caller, history, chosen, Random(seed + 2 + number)))
        for number in range(clients)
    ]


async def _first_of(*ways: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of some ways to end, and cancel the others; raise what it raised."""
    running = [asyncio.ensure_future(way) for way in ways]
    done, others = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    await _cancelled(others)
    for each in done:
        each.result()


async def _cancelled(running: Collection["asyncio.Future[Any]"]) -> list[str]:
    """Cancel what runs, and return what went wrong in it."""
    for each in running:
        each.cancel()
    ends = await asyncio.gather(*running, return_exceptions=True)
    return [repr(end) for end in ends if isinstance(end, Exception)]


async def _hurt(stack: Stack, faults: Counter[str], random: Random, seconds: float) -> None:
    """Inject one fault after the other."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        fault = random.choice(FAULTS)
        faults[fault.__name__] += 1
        await fault(stack, random)
        await asyncio.sleep(random.uniform(0.2, 2))


async def _settle(caller: Caller, history: History, ends: dict[str, str]) -> None:
    """Wait until every training has ended; note what it came to, and ask the models once more."""

    async def all_ended() -> bool:
        for model_id in history.accepted.keys() - ends.keys():
            if end := await _end(caller, model_id):
                ends[model_id] = end
        return ends.keys() == history.accepted.keys()

    with contextlib.suppress(AssertionError):  # The store tells what has not ended.
        await until(all_ended, within_s=SETTLED_S, every_s=0.2)
    queries = {task.name: task.queries[0] for task in tasks()}
    for model_id in [each for each, state in ends.items() if state == "ready"]:
        query = queries[msgspec.json.decode(history.accepted[model_id])["name"]]
        if await predict(caller, history, model_id, query) != 200:
            history.wrong.append(f"{model_id} is ready and does not predict")


async def _end(caller: Caller, model_id: str) -> str:
    """Return the state that a model has come to, if it has ended."""
    status, document = await caller.once("GET", f"/models/{model_id}")
    if status == 404:
        return "gone"
    if status != 200 or document["state"] in OPEN:
        return ""
    return str(document["state"])


async def _verdict(
    stack: Stack, history: History, codes: list[int], *, is_whole: bool
) -> list[str]:
    """Return what is wrong with answers, models, the store, processes and logs."""
    wrong = [f"a process ended with {code}" for code in codes if code]
    wrong += history.failures + ([] if is_whole else history.wrong)
    try:
        if is_whole:
            wrong += await asyncio.to_thread(judge, stack.settings, history)
    finally:
        await stack.close()
    wrong += await asyncio.to_thread(left_behind, stack.mark, "CHAOS_RUN")
    wrong += [line[:2000] for line in stack.logs().splitlines() if "Traceback" in line]
    if is_whole and not history.predicted:
        wrong.append("nothing was predicted")
    return wrong
