"""The state machine's steps, on a real Valkey."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis import Redis

from mlservice import jobs
from mlservice.errors import (
    BadSetting,
    BrokenModel,
    ModelNotFound,
    ModelNotReady,
    StoreUnavailable,
    TrainingTimeout,
)
from mlservice.model import encode
from mlservice.schemas import Description
from mlservice.settings import Settings
from mlservice.store import PIECE_BYTES, Link, Models, Trainings, open_redis
from tests.support import make_model, until

DESCRIPTION = msgspec.json.encode(Description())
ARTIFACT = encode(make_model())


class Store:
    """Both sides of the store, with short times."""

    def __init__(self, link: Link, settings: Settings) -> None:
        self.models = Models(link, settings, jobs.entry)
        self.trainings = Trainings(link, settings, jobs.entry)

    async def create(self) -> str:
        """Queue a training; return its model's id."""
        model_id = str(uuid.uuid4())
        await self.models.append(model_id, b"body")
        await self.models.create(model_id, name="n", description=DESCRIPTION)
        return model_id

    async def state(self, model_id: str) -> str:
        """Return a model's state."""
        return (await self.models.record(model_id)).state


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings with a lease that runs out at once."""
    return msgspec.structs.replace(settings, lease_s=0.001, queue_timeout_s=60.0)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    """Return the store, closed at the end."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    yield Store(link, settings)
    await link.close()


def _with(settings: Settings, **changes: Any) -> tuple[Link, Store]:
    changed = msgspec.structs.replace(settings, **changes)
    link = Link(open_redis(changed), changed.store_timeout_s)
    return link, Store(link, changed)


def _keys(redis: "Redis") -> set[str]:
    return {key.decode() for key in redis.scan_iter()}


async def test_creating_twice_with_one_id_makes_one_training(store: Store, redis: "Redis") -> None:
    """A step repeated after a lost answer changes nothing."""
    model_id = await store.create()

    await store.models.create(model_id, name=None, description=DESCRIPTION)

    assert redis.zcard("arq:queue") == 1
    assert (await store.models.record(model_id)).name == "n"


async def test_a_body_that_expired_creates_nothing(store: Store, redis: "Redis") -> None:
    """A record without data would never be trained."""
    with pytest.raises(StoreUnavailable):
        await store.models.create("x", name=None, description=DESCRIPTION)

    assert _keys(redis) == set()


async def test_an_upload_without_a_training_goes_by_itself(store: Store, redis: "Redis") -> None:
    """Pieces have a time to live until the training is created, and none after."""
    await store.models.append("half", b"body")
    model_id = await store.create()

    assert 0 < int(redis.ttl("mls:data:half")) <= 60  # type: ignore[arg-type]
    assert redis.ttl(f"mls:data:{model_id}") == -1


async def test_one_attempt_has_one_claimant(store: Store) -> None:
    """Of two workers that get one entry, one may train; its own repeat is no second."""
    model_id = await store.create()

    answers = [await store.trainings.claim(model_id, 1, who) for who in ("a", "b", "a")]

    assert answers == ["ok", "stale", "ok"]


@pytest.mark.parametrize("attempt", [0, 2, 99])
async def test_an_entry_of_another_attempt_is_stale(store: Store, attempt: int) -> None:
    """Only the next attempt can be claimed."""
    model_id = await store.create()

    assert await store.trainings.claim(model_id, attempt, "a") == "stale"
    assert await store.trainings.claim("nothing", 1, "a") == "stale"


async def test_a_model_is_committed_in_one_step(store: Store, redis: "Redis") -> None:
    """After the commit the artifact is what was given, and nothing of the training is left."""
    model_id = await store.create()
    await store.trainings.claim(model_id, 1, "a")

    answer = await store.trainings.finish(model_id, 1, ARTIFACT, DESCRIPTION)

    assert answer == "ok"
    assert await store.state(model_id) == "ready"
    assert await store.models.load(model_id) == ARTIFACT
    assert _keys(redis) == {
        f"mls:model:{model_id}",
        f"mls:artifact:{model_id}",
        f"mls:events:{model_id}",
        "mls:models:anonymous",
        "mls:sequence",
        "mls:pace",
    }


@pytest.mark.parametrize("size", [1, PIECE_BYTES, 2 * PIECE_BYTES + 1])
async def test_a_model_of_many_pieces_is_committed_whole(store: Store, size: int) -> None:
    """The pieces that were staged and the one that comes with the commit are its artifact."""
    model_id = await store.create()
    await store.trainings.claim(model_id, 1, "a")
    artifact = bytes(i % 251 for i in range(size))

    assert await store.trainings.finish(model_id, 1, artifact, DESCRIPTION) == "ok"

    assert await store.models.load(model_id) == artifact


async def test_a_commit_tells_what_is_not_told_yet(store: Store, redis: "Redis") -> None:
    """Steps that come with the end are events before it."""
    model_id = await store.create()
    await store.trainings.claim(model_id, 1, "a")
    await store.trainings.progress(model_id, 1, [{"phase": "reading"}, {"phase": "fitting"}])

    await store.trainings.finish(
        model_id, 1, ARTIFACT, DESCRIPTION, progress=[{"phase": "evaluating"}]
    )

    events: Any = redis.xrange(f"mls:events:{model_id}")
    told = [msgspec.json.decode(event[b"data"]) for _, event in events]
    assert [each.get("state") or each["phase"] for each in told] == [
        "queued", "training", "reading", "fitting", "evaluating", "ready",
    ]  # fmt: skip


async def test_a_body_may_come_with_its_training(store: Store, redis: "Redis") -> None:
    """A small body needs no step of its own, and a repeated step does not repeat it."""
    for _ in range(2):
        await store.models.create("x", name=None, description=DESCRIPTION, piece=b"body")

    assert redis.lrange("mls:data:x", 0, -1) == [b"body"]
    counted: Any = redis.hget("mls:model:x", "bytes")
    assert counted == b"4"


async def test_a_worker_that_wakes_up_late_changes_nothing(store: Store, redis: "Redis") -> None:
    """The commit of an attempt that was given up is stale, and leaves nothing."""
    model_id = await store.create()
    await store.trainings.claim(model_id, 1, "slow")
    await until(lambda: _is_requeued(store, model_id), within_s=5)
    await store.trainings.claim(model_id, 2, "quick")
    await store.trainings.finish(model_id, 2, ARTIFACT, DESCRIPTION)

    late = await store.trainings.finish(model_id, 1, b"another", DESCRIPTION)

    assert late == "stale"
    assert await store.trainings.renew(model_id, 1) is False
    assert await store.trainings.requeue(model_id, 1) == "stale"
    assert await store.models.load(model_id) == ARTIFACT
    assert not [key for key in _keys(redis) if "staged" in key]


async def _is_requeued(store: Store, model_id: str) -> bool:
    await store.trainings.sweep()
    return await store.state(model_id) == "queued"


async def test_a_lease_that_is_renewed_is_not_taken(settings: Settings, redis: "Redis") -> None:
    """A sweep leaves a training alone whose worker lives."""
    link, store = _with(settings, lease_s=60.0)
    model_id = await store.create()
    await store.trainings.claim(model_id, 1, "a")

    assert await store.trainings.renew(model_id, 1) is True
    await store.trainings.sweep()

    assert await store.state(model_id) == "training"
    assert redis.zcard("mls:leases") == 1
    await link.close()


async def test_a_training_that_loses_three_workers_fails(store: Store) -> None:
    """The third lost attempt is the last, and the document says why."""
    model_id = await store.create()
    for attempt in (1, 2, 3):
        assert await store.trainings.claim(model_id, attempt, "a") == "ok"
        await until(lambda: _has_left_training(store, model_id), within_s=5)

    record = await store.models.record(model_id)
    assert record.state == "failed"
    assert msgspec.json.decode(record.error)["type"] == "/problems/worker-lost"


async def _has_left_training(store: Store, model_id: str) -> bool:
    await store.trainings.sweep()
    return await store.state(model_id) != "training"


async def test_a_worker_that_is_told_to_stop_uses_up_no_attempt(store: Store) -> None:
    """However often workers are restarted, the training keeps its attempts."""
    model_id = await store.create()

    for attempt in range(1, 8):
        assert await store.trainings.claim(model_id, attempt, "a") == "ok"
        assert await store.trainings.requeue(model_id, attempt) == "ok"

    assert await store.state(model_id) == "queued"


async def test_a_training_that_no_worker_takes_fails_in_time(
    settings: Settings, redis: "Redis"
) -> None:
    """Waiting ends, and the data are gone."""
    link, store = _with(settings, queue_timeout_s=0.001)
    model_id = await store.create()

    async def is_over() -> bool:
        await store.trainings.sweep()
        return await store.state(model_id) == "failed"

    await until(is_over, within_s=5)
    record = await store.models.record(model_id)
    assert msgspec.json.decode(record.error)["type"] == "/problems/queue-timeout"
    assert redis.zcard("arq:queue") == 0
    assert not redis.exists(f"mls:data:{model_id}")
    await link.close()


@pytest.mark.parametrize("lost", ["queue", "job", "lock"])
async def test_an_entry_that_arq_lost_is_put_back(store: Store, redis: "Redis", lost: str) -> None:
    """A queued training always has an entry that a worker can take."""
    model_id = await store.create()
    entry = f"{model_id}:1"
    if lost == "queue":
        redis.zrem("arq:queue", entry)
    elif lost == "job":
        redis.delete(f"arq:job:{entry}")
    else:
        # A worker locked it longer ago than a claim takes, and died.
        redis.psetex(f"arq:in-progress:{entry}", 3_000_000, b"1")

    await store.trainings.sweep()

    assert redis.zscore("arq:queue", entry) is not None
    assert redis.get(f"arq:job:{entry}") == jobs.entry(model_id, 1).payload
    assert not redis.exists(f"arq:in-progress:{entry}")


async def test_an_entry_that_is_just_being_taken_is_left_alone(
    store: Store, redis: "Redis", settings: Settings
) -> None:
    """A fresh lock is a worker between locking and claiming."""
    model_id = await store.create()
    lock_ms = int((settings.training_timeout_s + 70) * 1000)
    redis.psetex(f"arq:in-progress:{model_id}:1", lock_ms, b"1")

    await store.trainings.sweep()

    assert redis.exists(f"arq:in-progress:{model_id}:1")


async def test_a_failed_record_goes_after_its_time(settings: Settings, redis: "Redis") -> None:
    """Failed models are kept for a while, then all their keys are gone."""
    link, store = _with(settings, retention_s=0.001)
    model_id = await store.create()
    await store.trainings.claim(model_id, 1, "a")
    problem = TrainingTimeout("too long").document()
    assert await store.trainings.fail(model_id, 1, problem) == "ok"

    async def is_gone() -> bool:
        await store.trainings.sweep()
        return not redis.exists(f"mls:model:{model_id}")

    await until(is_gone, within_s=5)
    assert _keys(redis) == {"mls:sequence", "mls:pace"}
    await link.close()


@pytest.mark.unchecked("store", reason="a body is taken away on purpose")
async def test_data_that_are_gone_are_told_to_the_worker(store: Store, redis: "Redis") -> None:
    """A claim without data is no claim; the training then fails."""
    model_id = await store.create()
    redis.delete(f"mls:data:{model_id}")

    assert await store.trainings.claim(model_id, 1, "a") == "no-data"


async def test_a_commit_without_an_artifact_is_refused(store: Store) -> None:
    """A record never says ready when there is nothing to predict with."""
    model_id = await store.create()
    await store.trainings.claim(model_id, 1, "a")

    assert await store.trainings.finish(model_id, 1, b"", DESCRIPTION) == "no-artifact"
    assert await store.state(model_id) == "training"


@pytest.mark.unchecked("store", reason="a model is changed on purpose")
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
async def test_stored_bytes_that_were_changed_are_noticed(
    store: Store, redis: "Redis", damage: str
) -> None:
    """The digest of the record is that of the bytes, or the model is broken."""
    model_id = await store.create()
    await store.trainings.claim(model_id, 1, "a")
    await store.trainings.finish(model_id, 1, ARTIFACT, DESCRIPTION)
    changed = {"cut": ARTIFACT[:-1], "flip": ARTIFACT[:-1] + b"\xff", "gone": b""}[damage]
    redis.delete(f"mls:artifact:{model_id}")
    redis.rpush(f"mls:artifact:{model_id}", changed)

    with pytest.raises(BrokenModel):
        await store.models.load(model_id)


async def test_loading_tells_absent_from_not_ready(store: Store) -> None:
    """An unknown id is not found; a queued one is not ready."""
    model_id = await store.create()

    with pytest.raises(ModelNotReady):
        await store.models.load(model_id)
    with pytest.raises(ModelNotFound):
        await store.models.load(str(uuid.uuid4()))


async def test_a_store_that_is_away_has_one_name(settings: Settings, tmp_path: Any) -> None:
    """Every failure of the store is StoreUnavailable, with when to try again."""
    link, store = _with(settings, redis_url=f"unix://{tmp_path}/none.sock")

    with pytest.raises(StoreUnavailable) as caught:
        await store.models.record(str(uuid.uuid4()))
    with pytest.raises(StoreUnavailable):
        await store.trainings.sweep()

    assert int(caught.value.headers["Retry-After"]) > 0
    await link.close()


async def test_a_store_that_stalls_is_given_up_in_time(settings: Settings, redis: "Redis") -> None:
    """No answer within the deadline is no answer."""
    link, store = _with(settings, store_timeout_s=0.5)
    await store.models.page(limit=1)
    redis.client_pause(2000)

    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(1):
            await store.models.page(limit=1)

    redis.client_unpause()
    await link.close()


async def test_scripts_survive_a_store_that_forgot_them(store: Store, redis: "Redis") -> None:
    """A flushed script cache costs a reload, nothing else."""
    redis.script_flush()

    model_id = await store.create()

    assert await store.state(model_id) == "queued"


def test_an_address_of_another_kind_is_refused(settings: Settings) -> None:
    """The store's address begins with one of the schemes that there are."""
    with pytest.raises(BadSetting, match="redis://"):
        open_redis(msgspec.structs.replace(settings, redis_url="http://localhost"))
