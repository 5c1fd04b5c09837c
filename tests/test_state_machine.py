"""Random interleavings of every step on a training, and mutants that they must catch.

Workers that die, wake up late or deliver twice, sweepers that race, clients
that delete: whatever the order, the invariants below hold after each step and
nothing is left at the end. Each mutant takes one guard out of one script.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from mlservice import jobs
from mlservice.errors import ModelEnded, ModelNotFound, TrainingTimeout
from mlservice.schemas import Description
from mlservice.settings import Settings
from mlservice.store import Link, Models, Trainings, link, open_redis

T = TypeVar("T")

DESCRIPTION = msgspec.json.encode(Description())
PROBLEM = TrainingTimeout("too long").document()
MOST_ATTEMPTS = 3
STEPS = settings(max_examples=40, stateful_step_count=30, database=None)


# How many attempts ago a worker got its entry; most are in time.
LATENESS = st.sampled_from([0, 0, 0, 0, 1, 2])


class Expected:
    """What must be true of one model."""

    def __init__(self) -> None:
        self.state = "queued"
        self.attempt = 0
        self.attempts = MOST_ATTEMPTS
        self.artifact = b""


class Machine(RuleBasedStateMachine):
    """The store's steps against a model of them in Python."""

    store_url = ""
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis: Any = Redis.from_url(self.store_url)
        self.redis.flushall()
        chosen = Settings(redis_url=self.store_url, training_attempts=MOST_ATTEMPTS, lease_s=600.0)
        self.link = Link(open_redis(chosen), chosen.store_timeout_s)
        self.models = Models(self.link, chosen, jobs.entry)
        self.trainings = Trainings(self.link, chosen, jobs.entry)
        self.expected: dict[str, Expected] = {}

    def run(self, work: Awaitable[T]) -> T:
        """Run one asynchronous step."""

        async def step() -> T:
            return await work

        return self.runner.run(step())

    @precondition(lambda self: len(self.expected) < 2)
    @rule(target=ids)
    def create(self) -> str:
        """A client posts a training; its request may be repeated after a lost answer."""
        model_id = str(uuid.uuid4())
        self.run(self.models.append(model_id, b"body"))
        for _ in range(2):
            create = self.models.create(
                model_id, name=None, description=DESCRIPTION, appended_bytes=len("body")
            )
            self.run(create)
        self.expected[model_id] = Expected()
        return model_id

    @precondition(lambda self: len(self.expected) < 2)
    @rule(target=ids)
    def add(self) -> str:
        """A client imports a model; its request may be repeated after a lost answer."""
        model_id = str(uuid.uuid4())
        expected = self.expected[model_id] = Expected()
        expected.state, expected.attempts, expected.artifact = "ready", 0, b"imported"
        for _ in range(2):
            self.run(
                self.models.add(
                    model_id,
                    name=None,
                    description=DESCRIPTION,
                    artifact=expected.artifact,
                )
            )
        assert self.redis.ttl(f"mls:artifact:{model_id}") == -1
        return model_id

    @rule(model_id=ids, late=LATENESS, worker=st.sampled_from("ab"))
    def claim(self, model_id: str, late: int, worker: str) -> None:
        """A worker gets an entry, perhaps one that another has had."""
        expected = self.expected.get(model_id)
        attempt = self._attempt(model_id) + 1 - late
        may = bool(expected and expected.state == "queued" and attempt == expected.attempt + 1)
        has = self.redis.hget(f"mls:model:{model_id}", "claimant") == worker.encode()
        repeats = bool(
            expected and expected.state == "training" and expected.attempt == attempt and has
        )

        answer = self.run(self.trainings.claim(model_id, attempt, worker))

        assert answer == ("ok" if may or repeats else "stale")
        if may and expected:
            expected.state, expected.attempt = "training", attempt

    @rule(model_id=ids)
    def begin(self, model_id: str) -> None:
        """A worker takes the next attempt, if there is one to take."""
        self.claim(model_id=model_id, late=0, worker="a")

    def _attempt(self, model_id: str) -> int:
        expected = self.expected.get(model_id)
        return expected.attempt if expected else 1

    def _holds(self, model_id: str, attempt: int) -> Expected | None:
        expected = self.expected.get(model_id)
        if expected and expected.state == "training" and expected.attempt == attempt:
            return expected
        return None

    @rule(model_id=ids, late=LATENESS)
    def renew(self, model_id: str, late: int) -> None:
        """A worker that may have been given up renews its lease."""
        attempt = self._attempt(model_id) - late

        answer = self.run(self.trainings.renew(model_id, attempt))

        assert answer == (self._holds(model_id, attempt) is not None)

    @rule(model_id=ids, late=LATENESS, twice=st.booleans())
    def finish(self, model_id: str, late: int, *, twice: bool) -> None:
        """A worker commits, in time or late, once or twice."""
        attempt = self._attempt(model_id) - late
        artifact = f"{model_id}:{attempt}".encode()
        holder = self._holds(model_id, attempt)

        answers = [
            self.run(self.trainings.finish(model_id, attempt, artifact, DESCRIPTION))
            for _ in range(2 if twice else 1)
        ]

        assert answers[0] == ("ok" if holder else "stale")
        assert answers[1:] in ([], ["stale"])
        if holder:
            holder.state, holder.artifact = "ready", artifact

    @rule(model_id=ids, late=LATENESS)
    def fail(self, model_id: str, late: int) -> None:
        """A worker tells that a fit failed."""
        attempt = self._attempt(model_id) - late
        holder = self._holds(model_id, attempt)

        answer = self.run(self.trainings.fail(model_id, attempt, PROBLEM))

        assert answer == ("ok" if holder else "stale")
        if holder:
            holder.state = "failed"

    @rule(model_id=ids, late=LATENESS)
    def stop_worker(self, model_id: str, late: int) -> None:
        """A worker that stops gives its training back, which costs no attempt."""
        attempt = self._attempt(model_id) - late
        holder = self._holds(model_id, attempt)

        answer = self.run(self.trainings.requeue(model_id, attempt))

        assert answer == ("ok" if holder else "stale")
        if holder:
            holder.state = "queued"
            holder.attempts += 1

    @rule(model_id=ids, sweepers=st.integers(1, 2))
    def lose_worker(self, model_id: str, sweepers: int) -> None:
        """A lease runs out, and one or two sweepers notice."""
        self.redis.zadd("mls:leases", {model_id: 1}, xx=True)

        self._sweep(sweepers)

        expected = self.expected.get(model_id)
        if expected and expected.state == "training":
            left = expected.attempt < expected.attempts
            expected.state = "queued" if left else "failed"

    @rule(model_id=ids)
    def lose_every_worker(self, model_id: str) -> None:
        """A training that kills each worker that takes it."""
        for _ in range(MOST_ATTEMPTS):
            self.begin(model_id=model_id)
            self.lose_worker(model_id=model_id, sweepers=1)

    @rule(model_id=ids, sweepers=st.integers(1, 2))
    def wait_too_long(self, model_id: str, sweepers: int) -> None:
        """A queued training's time to wait runs out."""
        self.redis.zadd("mls:deadlines", {model_id: 1}, xx=True)

        self._sweep(sweepers)

        expected = self.expected.get(model_id)
        if expected and expected.state == "queued":
            expected.state = "failed"

    @rule(model_id=ids, lost=st.sampled_from(["queue", "job"]))
    def lose_entry(self, model_id: str, lost: str) -> None:
        """arq's entry disappears; the sweep puts it back."""
        expected = self.expected.get(model_id)
        entry = f"{model_id}:{(expected.attempt if expected else 0) + 1}"
        if lost == "queue":
            self.redis.zrem("arq:queue", entry)
        else:
            self.redis.delete(f"arq:job:{entry}")

        self._sweep(1)

    @rule()
    def sweep(self) -> None:
        """A sweep with nothing overdue changes nothing."""
        self._sweep(1)

    def _sweep(self, sweepers: int) -> None:
        async def together() -> None:
            await asyncio.gather(*(self.trainings.sweep() for _ in range(sweepers)))

        self.run(together())

    @rule(model_id=ids)
    def cancel(self, model_id: str) -> None:
        """A client cancels; what had ended stays as it ended."""
        expected = self.expected.get(model_id)
        may = bool(expected and expected.state in {"queued", "training"})

        try:
            record = self.run(self.models.cancel(model_id))
        except (ModelEnded, ModelNotFound):
            assert not may
        else:
            assert may
            assert record.state == "cancelled"
            if expected:
                expected.state = "cancelled"

    @rule(target=ids, model_id=consumes(ids))
    def delete(self, model_id: str) -> Any:
        """A client deletes a model in any state; late workers still know its id."""
        try:
            self.run(self.models.delete(model_id))
        except ModelNotFound:
            assert model_id not in self.expected
        else:
            del self.expected[model_id]
        return multiple(model_id)

    @invariant()
    def records_are_as_expected(self) -> None:
        """State, attempt and artifact of each model are what the steps made them."""
        for model_id, expected in self.expected.items():
            record = self.redis.hgetall(f"mls:model:{model_id}")
            assert record[b"state"].decode() == expected.state
            assert int(record[b"attempt"]) == expected.attempt
            assert int(record[b"attempts"]) == expected.attempts
            artifact = b"".join(self.redis.lrange(f"mls:artifact:{model_id}", 0, -1))
            assert artifact == expected.artifact

    @invariant()
    def sets_and_keys_agree_with_records(self) -> None:
        """Each set has exactly the models of its states, and each key its model."""
        of_state: dict[str, set[str]] = {}
        for model_id, expected in self.expected.items():
            of_state.setdefault(expected.state, set()).add(model_id)
        queued, training = of_state.get("queued", set()), of_state.get("training", set())
        assert self._members("mls:open") == queued | training
        for total in ("mls:bytes", "mls:bytes:anonymous"):
            assert int(self.redis.get(total) or 0) == len("body") * len(queued | training)
        assert self._members("mls:open:anonymous") == queued | training
        assert self._members("mls:models:anonymous") == set(self.expected)
        assert self._members("mls:leases") == training
        assert self._members("mls:deadlines") == queued
        gone_later = of_state.get("failed", set()) | of_state.get("cancelled", set())
        assert self._members("mls:expiries") == gone_later
        assert self._ids("mls:data:*") == queued | training
        assert self._ids("mls:staged:*") == set()
        entries = {f"{each}:{self.expected[each].attempt + 1}" for each in queued}
        assert entries <= self._members("arq:queue")

    def _members(self, key: str) -> set[str]:
        return {member.decode() for member in self.redis.zrange(key, 0, -1)}

    def _ids(self, pattern: str) -> set[str]:
        return {key.decode().split(":")[2] for key in self.redis.scan_iter(pattern)}

    def teardown(self) -> None:
        """End all that is open, delete all: nothing is left but the counter."""
        try:
            for model_id in self.expected:
                self.run(self.models.delete(model_id))
            left = {key.decode() for key in self.redis.scan_iter()}
            assert left <= {"mls:sequence", "mls:pace"}
        finally:
            self.run(self.link.close())
            self.runner.close()
            self.redis.close()


@pytest.fixture
def machine(valkey: str) -> type[Machine]:
    """Return the machine for the session's Valkey."""
    return type("OnValkey", (Machine,), {"store_url": valkey})


@pytest.mark.timeout(120)
def test_every_interleaving_keeps_the_invariants(machine: type[Machine]) -> None:
    """Steps in any order leave records, sets and keys in agreement."""
    run_state_machine_as_test(machine, settings=STEPS)


MUTANTS = {
    "claim takes any attempt": (
        "claim",
        " or (tonumber(held[2]) or -1) + 1 ~= tonumber(attempt)",
        "",
    ),
    "claim takes any state": ("claim", "held[1] ~= 'queued' or ", ""),
    "claim keeps the deadline": ("claim", "redis.call('ZREM', DEADLINES, id)", ""),
    "renew needs no attempt": ("renew", " or held[2] ~= ARGV[2]", ""),
    "finish needs no attempt": ("finish", " or (attempt ~= '' and held[2] ~= attempt)", ""),
    "finish needs no state": ("finish", "held[1] ~= ARGV[2] or ", ""),
    "finish keeps the training's keys": ("finish", "release(id, ARGV[10])", ""),
    "requeue needs no attempt": ("requeue", " or held[2] ~= attempt", ""),
    "requeue charges a worker that stops": (
        "requeue",
        "redis.call('HINCRBY', record_of(id), 'attempts', 1)",
        "",
    ),
    "requeue never runs out": ("requeue", "return 'exhausted'", "return 'not-due'"),
    "requeue keeps the lease": ("requeue", "redis.call('ZREM', LEASES, id)", ""),
    "requeue queues nothing": ("requeue", "enqueue(queue, ARGV[5], ARGV[6])", ""),
    "cancel takes what has ended": (
        "cancel",
        "if held[1] ~= 'queued' and held[1] ~= 'training' then return held[1] end",
        "",
    ),
    "cancel keeps the training's keys": ("cancel", "release(id, ARGV[2])", ""),
    "delete leaves the list": ("delete", "redis.call('ZREM', models_of(held[1]), id)", ""),
    "import leaves out the list": (
        "import",
        "redis.call('ZADD', models_of(tenant), redis.call('INCR', 'mls:sequence'), id)",
        "",
    ),
    "import leaves the artifact to expire": (
        "import",
        "redis.call('PERSIST', artifact_of(id))",
        "",
    ),
    "restore puts nothing back": ("restore", "enqueue(ARGV[3], ARGV[4], ARGV[5])", ""),
}


@contextmanager
def mutated(script: str, guard: str, replacement: str) -> Iterator[None]:
    """Take a guard out of a script."""
    sources = link._SOURCES
    original = sources[script]
    before, found, after = original.rpartition(guard)
    assert found, f"{script}.lua has no {guard!r}"
    sources[script] = before + replacement + after
    try:
        yield
    finally:
        sources[script] = original


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("script", "guard", "replacement"), MUTANTS.values(), ids=MUTANTS)
def test_a_script_without_its_guard_is_caught(
    machine: type[Machine], script: str, guard: str, replacement: str
) -> None:
    """Each guard is needed: without it some interleaving breaks an invariant."""
    found = settings(
        STEPS,
        max_examples=1000,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )

    with mutated(script, guard, replacement), pytest.raises(Exception):  # noqa: B017, PT011
        run_state_machine_as_test(machine, settings=found)
