"""The checker finds what it is there for: each of its findings is made on purpose and told."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
from aiohttp import web
from redis import Redis

from mlservice.model import decode, encode
from mlservice.settings import Settings
from tests import catalogue, checker
from tests.checker import (
    MARK,
    Checker,
    end_programs,
    heard,
    judge,
    judged,
    left_behind,
    looking,
    settle,
)
from tests.conftest import Serve, breaks_something
from tests.history import History
from tests.support import (
    Client,
    create,
    endless_request,
    get,
    make_model,
    make_request,
    store_model,
    work,
)

ROW = "sepal_length=5.9&sepal_width=3.0&petal_length=5.1&petal_width=1.8"


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> History:
    """Return what hears every client of the test."""
    history = History()
    monkeypatch.setattr(aiohttp.ClientSession, "__init__", heard(history.trace()))
    return history


@pytest.fixture
async def api(history: History, serve: Serve) -> Client:  # noqa: ARG001  # it hears the client
    """Return a client of the service, and of a route that refuses with what headers are asked."""

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=503, headers=dict(request.query))

    async def fail(request: web.Request) -> web.Response:  # noqa: ARG001
        return web.Response(status=500)

    return await serve(web.get("/refuses", refuse), web.get("/fails", fail))


@dataclass
class World:
    """A store with a model of each kind, all of them accepted by the service."""

    store: Any
    ready: str
    queued: str
    cancelled: str


@pytest.fixture
async def world(api: Client, history: History, settings: Settings, redis: "Redis") -> World:
    """Return a store with a model that is ready and has an alias, one that waits, one cancelled."""
    ready = await store_model(settings, make_model())
    history.accept(ready, b"")
    await api.put("/aliases/iris", json={"model": ready})
    cancelled, queued = [await create(api, make_request()) for _ in range(2)]
    await api.post(f"/models/{cancelled}/cancel")
    return World(redis, ready, queued, cancelled)


HARM: dict[str, tuple[Callable[[World], object], str]] = {
    "open lacks one": (lambda w: w.store.zrem("mls:open", w.queued), "mls:open has [] too many"),
    "a lease of nothing": (lambda w: w.store.zadd("mls:leases", {w.ready: 1}), "mls:leases has"),
    "no deadline": (lambda w: w.store.zrem("mls:deadlines", w.queued), "mls:deadlines has"),
    "kept for ever": (lambda w: w.store.zrem("mls:expiries", w.cancelled), "mls:expiries has"),
    "unlisted": (lambda w: w.store.zrem("mls:models:anonymous", w.ready), "mls:models:anonymous"),
    "another's": (lambda w: w.store.zadd("mls:open:b", {w.queued: 1}), "mls:open:b has"),
    "miscounted": (lambda w: w.store.incr("mls:bytes"), "mls:bytes is"),
    "miscounted of one": (lambda w: w.store.incr("mls:bytes:anonymous"), "mls:bytes:anonymous is"),
    "no body": (lambda w: w.store.delete(f"mls:data:{w.queued}"), "is missing"),
    "a body too many": (lambda w: w.store.rpush(f"mls:data:{w.ready}", "x"), "stays"),
    "staged": (lambda w: w.store.rpush(f"mls:staged:{w.ready}:1", "x"), "stays"),
    "events of nothing": (lambda w: w.store.xadd("mls:events:gone", {"kind": "state"}), "stays"),
    "no artifact": (lambda w: w.store.delete(f"mls:artifact:{w.ready}"), "is missing"),
    "other bytes": (lambda w: w.store.lset(f"mls:artifact:{w.ready}", 0, "x"), "other bytes"),
    "no entry": (lambda w: w.store.delete("arq:queue"), "is not in the queue"),
    "an entry of the past": (
        lambda w: w.store.zadd("arq:queue", {f"{w.ready}:1": 1}),
        "stays in the queue",
    ),
    "a job of nothing": (lambda w: w.store.set("arq:job:gone:1", "x"), "stays"),
    "a lock of nothing": (lambda w: w.store.set("arq:in-progress:gone:1", "x"), "stays"),
    "a second end": (lambda w: _tell(w, "failed"), "ended 2 times"),
    "another state": (
        lambda w: w.store.hset(f"mls:model:{w.queued}", "state", "training"),
        "was told to be queued",
    ),
    "an alias of nothing": (
        lambda w: w.store.hset("mls:alias:anonymous:iris", "model", "gone"),
        "which is not ready",
    ),
    "an alias unlisted": (lambda w: w.store.delete("mls:aliases:anonymous"), "lacks iris"),
    "an alias unknown": (lambda w: w.store.delete(f"mls:aliased:{w.ready}"), "lacks iris"),
    "a history of nothing": (lambda w: w.store.lpush("mls:history:b:x", "x"), "stays"),
    "a new kind of key": (lambda w: w.store.set("mls:strange:x", "x"), "of no kind"),
}


def _found(settings: Settings) -> list[str]:
    with looking(settings) as stored:
        return stored.disagreements()


def _tell(world: World, state: str) -> None:
    told = {"kind": "state", "data": msgspec.json.encode({"state": state})}
    world.store.xadd(f"mls:events:{world.ready}", told)


@pytest.mark.parametrize(("harm", "finding"), HARM.values(), ids=HARM)
async def test_whatever_does_not_agree_in_the_store_is_told(
    world: World, settings: Settings, harm: Callable[[World], object], finding: str
) -> None:
    """Nothing is said of a sound store; after one thing is changed, just that is."""
    assert _found(settings) == []

    harm(world)

    assert any(finding in each for each in _found(settings))


async def test_what_expires_by_itself_is_no_leftover(world: World, settings: Settings) -> None:
    """Who was killed or left has begun it."""
    world.store.rpush("mls:data:begun", "x")
    world.store.expire("mls:data:begun", 60)

    assert _found(settings) == []


def _accept_twice(history: History, world: World) -> None:
    for each in (world.ready, world.cancelled):
        history.accept(each, b"", "key")


def _forget_cancels(history: History) -> None:
    history.cancelling.clear()
    history.cancelled.clear()


PROMISES: dict[str, tuple[Callable[[History, World], object], str]] = {
    "it waits for ever": (lambda h, w: h.accept(w.queued, b""), "is queued"),
    "it is lost": (lambda h, _: h.accept("gone", b""), "gone is gone"),
    "cancelled, then ready": (lambda h, w: h.cancelled.add(w.ready), "was cancelled and is ready"),
    "cancelled by nobody": (lambda h, _: _forget_cancels(h), "was cancelled by nobody"),
    "deleted and there": (lambda h, w: h.deleted.add(w.ready), "was deleted and is ready"),
    "one key, two models": (
        _accept_twice,
        "key key made",
    ),
}


@pytest.mark.parametrize(("breach", "finding"), PROMISES.values(), ids=PROMISES)
async def test_whatever_was_promised_and_is_not_so_is_told(
    world: World,
    history: History,
    settings: Settings,
    breach: Callable[[History, World], object],
    finding: str,
) -> None:
    """Nothing is said where all is as it was acknowledged."""
    assert history.accepted.pop(world.queued)
    assert judge(settings, replace(history)) == []

    breach(history, world)

    assert any(finding in each for each in judge(settings, history))


async def test_a_failure_that_nothing_excuses_is_told(
    api: Client, settings: Settings, history: History
) -> None:
    """A run that is hurt excuses what was done to it; a training may fail by nothing else."""
    model_id = await create(
        api, {"data": {"x": [1e200, 2e200, -3e200], "y": [0, 1, 0]}, "target": "y"}
    )
    await work(settings)
    with looking(settings) as stored:
        problem = stored.end(model_id)[1]

    strict = History({"worker-lost"}, history.accepted)

    assert judge(settings, history) == []
    assert judge(settings, strict) == [f"{model_id} failed: {problem}"]


async def test_a_model_that_is_not_scikit_learns_is_told(
    api: Client, settings: Settings, redis: "Redis", history: History
) -> None:
    """A coefficient that is 1e-9 off is seen in what is stored, a probability in what is told."""
    model_id = await create(api, make_request())
    await work(settings)
    told = list((await get(api, f"/models/{model_id}?{ROW}"))["probabilities"].values())
    key: Any = f"mls:artifact:{model_id}"
    model = decode(b"".join(redis.lrange(key, 0, -1)))  # type: ignore[arg-type]  # untyped
    assert history.predicted == [(model_id, ROW, told)]
    assert judge(settings, history) == []

    redis.delete(key)
    redis.rpush(key, encode(replace(model, coef=model.coef + 1e-9 * np.eye(*model.coef.shape))))
    history.predicted.append((model_id, ROW, [told[0] + 1e-9, told[1] - 1e-9, told[2]]))

    found = "\n".join(judge(settings, history))
    assert f"{model_id} is not what scikit-learn fits" in found
    assert f"model {model_id} predicts" in found


async def test_what_is_open_is_brought_to_its_end(
    world: World, api: Client, settings: Settings, history: History
) -> None:
    """A training that waits is made by the worker that is left; one without end meets a limit."""
    endless = await create(api, endless_request())

    await settle(settings, history)

    with looking(settings) as stored:
        assert stored.end(world.queued) == ("ready", "")
        assert stored.end(endless) == ("failed", "training-timeout")
    assert judge(settings, history) == []


@pytest.mark.usefixtures("world")
async def test_what_does_not_come_to_its_end_is_told(
    settings: Settings, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checker does not wait for ever."""
    monkeypatch.setattr(checker, "SETTLED_S", 0.0)

    await settle(settings, history)

    assert history.wrong == ["not every training has ended after 0.0 s"]


@pytest.mark.parametrize(
    ("path", "findings"),
    [
        ("/fails", ["GET /fails was answered 500"]),
        ("/refuses", ["GET /refuses was answered 503"]),
        ("/refuses?Retry-After=1", []),
        ("/health/ready?for=training", []),
    ],
)
async def test_an_answer_that_is_a_failure_is_told(
    api: Client, history: History, path: str, findings: list[str]
) -> None:
    """503 is none if it says when to come back, nor as the answer to who asks for it."""
    async with api.get(path) as response:
        assert response.status >= 500

    assert history.failures == findings


Program = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def program() -> Iterator[Program]:
    """Start a program that says when it runs, named as one of the service's."""
    started: list[subprocess.Popen[str]] = []

    def start(source: str) -> "subprocess.Popen[str]":
        lines = f"import signal, sys, time\n{source}\nprint(1, flush=True)\ntime.sleep(60)"
        command = [sys.executable, "-c", lines, "workers"]
        process = subprocess.Popen(
            command, env=os.environ | {MARK: "marked"}, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("source", "within_s", "finding"),
    [
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", 10.0, ""),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))", 10.0, "ended with 3"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", 0.1, "did not end within 0.1 s"),
    ],
)
def test_a_process_that_does_not_end_in_order_is_told(
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    within_s: float,
    finding: str,
) -> None:
    """Told to stop it exits with 0, in time."""
    monkeypatch.setattr(checker, "ENDED_S", within_s)

    found = end_programs([program(source)])

    assert [finding in each for each in found] == ([True] if finding else [])


def test_a_process_that_is_left_behind_is_told(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known by its environment, whoever has started it."""
    monkeypatch.setattr(checker, "ORPHANED_S", 0.1)
    process = program("")

    assert [str(process.pid) in each for each in left_behind("marked")] == [True]

    process.kill()
    process.wait(10)
    assert left_behind("marked") == []


async def test_tracebacks_in_logs_are_told_unless_a_test_says_why(
    program: Program, tmp_path: Path
) -> None:
    """Of this process and of those that it started."""
    log = tmp_path / "log.txt"
    log.write_text("Traceback (most recent call last):")
    ended = program("")
    ended.kill()
    ended.wait(10)
    judging, lenient = Checker(), Checker(unchecked={"logs"})
    for each in (judging, lenient):
        each.started(ended, log)
        logging.getLogger().addHandler(each.told)
    try:
        raise ValueError("a bug")  # noqa: TRY301  # to be logged
    except ValueError:
        logging.getLogger("some").exception("it went wrong")
    finally:
        for each in (judging, lenient):
            logging.getLogger().removeHandler(each.told)

    found = await judging.verdict()

    assert [each.partition(":")[0] for each in found] == [
        "a traceback is logged",
        "log.txt has a traceback",
    ]
    assert await lenient.verdict() == []


async def test_a_test_that_leaves_something_wrong_fails(serve: Serve, settings: Settings) -> None:
    """Whatever the checker finds is the test's error, unless the test says why it may be so."""

    async def fail(request: web.Request) -> web.Response:  # noqa: ARG001
        return web.Response(status=500)

    async def ask(checker: Checker) -> None:
        async with judged(checker):
            await (await serve(web.get("/fails", fail))).get("/fails")

    with pytest.raises(AssertionError, match="GET /fails was answered 500"):
        await ask(Checker(settings))
    await ask(Checker(settings, unchecked={"answers"}))


@pytest.mark.usefixtures("client", "checked")
def test_the_checker_hears_from_before_the_first_client_on(
    request: pytest.FixtureRequest,
) -> None:
    """It is set up first, and so it judges last."""
    names = request.fixturenames

    assert names.index("checked") < min(names.index("client"), names.index("settings"))


def test_every_row_of_workers_and_store_ends_with_the_checker(
    request: pytest.FixtureRequest,
) -> None:
    """What the catalogue names in these two tables is judged, without a word in its file."""
    this = request.node
    assert not breaks_something(this)
    assert len(catalogue.CHECKED) > 60

    this.originalname = min(catalogue.CHECKED)

    assert breaks_something(this)
