"""What the service does while its store is away, slow or half there: through a TCP proxy."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from redis import Redis

from mlservice.app import create_app
from mlservice.errors import StoreUnavailable
from mlservice.settings import Settings
from mlservice.store import PIECE_BYTES, Link, open_redis
from mlservice.wire import CHANGES
from tests.conftest import Spawn
from tests.proxy import Proxy, sha1_of
from tests.support import (
    JSON,
    Client,
    create,
    get,
    iris_columns,
    make_model,
    make_request,
    store_model,
    until,
    work,
)
from tests.test_faults import MODULE, SHORT

ROW = "?a=1&b=2"
LIMIT_S = 3.0
KNOWN_S = 0.05
BACK_S = 5.0


@pytest.fixture
async def proxy(settings: Settings) -> AsyncIterator[Proxy]:
    """Return a proxy in front of the session's Valkey."""
    async with Proxy(settings.redis_url) as proxy:
        yield proxy


@pytest.fixture
def timeout_s() -> float:
    """Return the service's deadline, which one test leaves at its default."""
    return 0.5


@pytest.fixture
def app(settings: Settings, proxy: Proxy, timeout_s: float) -> web.Application:
    """Return the application, its store behind the proxy."""
    return create_app(
        msgspec.structs.replace(settings, redis_url=proxy.url, store_timeout_s=timeout_s)
    )


async def _away(client: Client, within_s: float) -> None:
    """Ask for what needs the store; check the answer and its time."""
    begun = time.monotonic()
    async with client.get("/models") as response:
        problem = await response.json()
    took_s = time.monotonic() - begun
    assert (response.status, problem["type"]) == (503, "/problems/store-unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert took_s < within_s, f"{took_s:.3f} s"


async def _is_back(client: Client) -> bool:
    async with client.post("/models", json=make_request()) as response:
        return response.status == 202


async def _freeze(proxy: Proxy) -> None:
    proxy.freeze()


async def _thaw(proxy: Proxy) -> None:
    proxy.thaw()


Change = Callable[[Proxy], Awaitable[None]]
FAULTS: dict[str, tuple[Change, Change]] = {
    "refused": (Proxy.close, Proxy.open),
    "half-open": (_freeze, _thaw),
}


@pytest.mark.alone
@pytest.mark.parametrize("timeout_s", [Settings().store_timeout_s])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_store_that_is_away_is_told_in_time_and_all_is_well_when_it_is_back(
    client: Client, proxy: Proxy, settings: Settings, fault: str
) -> None:
    """503 within 3 s, within 50 ms once known; cached models predict; no restart."""
    model_id = await store_model(settings, make_model())
    assert (await get(client, f"/models/{model_id}{ROW}"))["prediction"] == "yes"
    assert (await get(client, "/health/ready"))["store"] is True
    break_it, mend_it = FAULTS[fault]

    await break_it(proxy)
    await _away(client, LIMIT_S)
    for _ in range(5):
        await _away(client, KNOWN_S)
    assert (await get(client, f"/models/{model_id}{ROW}"))["prediction"] == "yes"
    async with client.get("/health/live") as live, client.get("/health/ready") as ready:
        assert (live.status, ready.status) == (200, 200)
        assert (await ready.json())["store"] is False

    await mend_it(proxy)
    await until(lambda: _is_back(client), within_s=BACK_S)


async def test_many_requests_at_once_wait_for_a_stalled_store_no_longer_than_one(
    client: Client, proxy: Proxy
) -> None:
    """More requests than connections: none waits for the deadline of another."""
    proxy.freeze()

    await asyncio.gather(*(_away(client, LIMIT_S) for _ in range(80)))


async def test_a_store_whose_answer_never_comes_to_its_end_is_told_in_time(
    client: Client, proxy: Proxy
) -> None:
    """A byte now and then is no answer: it has a deadline, whatever moves meanwhile."""
    await create(client, make_request())
    proxy.bytes_per_s = 10

    await _away(client, LIMIT_S)


async def test_a_store_that_takes_nothing_more_is_told_in_time(
    settings: Settings, proxy: Proxy, timeout_s: float
) -> None:
    """Answers have a deadline of their own, what is sent has the call's only."""
    there = msgspec.structs.replace(settings, redis_url=proxy.url)
    link = Link(open_redis(there), timeout_s)
    await link.call("PING")
    proxy.freeze()

    # More than the sockets on its way hold.
    sending = link.call("ECHO", bytes(64 << 20))
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(sending, LIMIT_S)

    await link.close()


async def test_an_upload_of_many_pieces_is_refused_in_time(client: Client, proxy: Proxy) -> None:
    """A body that is being sent when the store stalls is answered, not held."""
    proxy.freeze()
    begun = time.monotonic()

    async with client.post("/models", data=io.BytesIO(b" " * (5 << 20)), headers=JSON) as response:
        assert response.status == 503

    assert time.monotonic() - begun < LIMIT_S


@pytest.mark.parametrize("timeout_s", [Settings().store_timeout_s])
async def test_connections_that_are_all_lost_at_once_are_not_noticed(
    client: Client, proxy: Proxy
) -> None:
    """A store that is there is asked again over a new connection, without a 503."""
    await asyncio.gather(*(get(client, "/models") for _ in range(20)))

    for _ in range(5):
        proxy.cut()
        answers = await asyncio.gather(*(get(client, "/models") for _ in range(20)))
        assert all("models" in answer for answer in answers)


@pytest.mark.parametrize("cut", [Proxy.cut_before, Proxy.cut_after], ids=["unseen", "unanswered"])
async def test_a_training_whose_queueing_is_cut_exists_once(
    client: Client, proxy: Proxy, redis: "Redis", cut: Callable[[Proxy, bytes], None]
) -> None:
    """Whether the store had done it or not, the step is repeated and the answer is 202."""
    await create(client, make_request())
    cut(proxy, sha1_of("create"))

    model_id = await create(client, make_request())

    assert proxy.sprung == 1
    assert redis.zcard("arq:queue") == 2
    assert redis.zscore("arq:queue", f"{model_id}:1") is not None


async def test_a_step_whose_repetition_would_tell_otherwise_is_not_repeated(
    client: Client, proxy: Proxy
) -> None:
    """A cancel whose answer is lost is 503, and the training is cancelled."""
    model_id = await create(client, make_request())
    await client.post(f"/models/{await create(client, make_request())}/cancel")
    proxy.cut_after(sha1_of("cancel"))

    async with client.post(f"/models/{model_id}/cancel") as response:
        assert response.status == 503

    assert (await get(client, f"/models/{model_id}"))["state"] == "cancelled"


async def test_a_piece_of_a_body_is_never_appended_twice(
    client: Client, proxy: Proxy, redis: "Redis"
) -> None:
    """A lost answer to an append ends the upload; nothing is queued with a body doubled."""
    proxy.cut_after(b"PEXPIRE\r\n$45\r\nmls:data:")
    body = msgspec.json.encode(make_request()) + b" " * PIECE_BYTES

    async with client.post("/models", data=io.BytesIO(body), headers=JSON) as response:
        assert response.status == 503

    assert redis.zcard("arq:queue") == 0


@pytest.mark.parametrize(
    "refusal", ["LOADING soon", "READONLY replica", "NOREPLICAS few", "MISCONF disk", "BUSY script"]
)
async def test_a_store_that_refuses_is_unavailable_without_its_words(
    client: Client, proxy: Proxy, refusal: str
) -> None:
    """Whatever the store says against a step, the client is told to come back."""
    await create(client, make_request())
    proxy.answer(sha1_of("create"), f"-{refusal} in /srv/secret".encode(), times=2)

    async with client.post("/models", json=make_request()) as response:
        problem = await response.text()

    assert response.status == 503
    assert "secret" not in problem
    await until(lambda: _is_back(client), within_s=BACK_S)


@pytest.mark.parametrize("timeout_s", [3.0])
async def test_a_slow_store_is_slow_and_nothing_else(
    client: Client, proxy: Proxy, settings: Settings
) -> None:
    """With 100 ms each way and answers at 50 kB/s a training and a prediction go through."""
    proxy.delay_s, proxy.bytes_per_s = 0.1, 50_000
    model_id = await create(client, make_request())
    proxy.delay_s = 0.001

    await work(msgspec.structs.replace(settings, redis_url=proxy.url))

    query = "&".join(f"{name}={values[0]}" for name, values in list(iris_columns().items())[:4])
    assert (await get(client, f"/models/{model_id}?{query}"))["prediction"] == "setosa"


async def test_a_worker_that_cannot_read_a_body_asks_for_it_again(
    client: Client, proxy: Proxy, settings: Settings
) -> None:
    """A store that is away for a moment costs a training no attempt and no lease."""
    model_id = await create(client, make_request())
    proxy.cut_before(b"LINDEX", times=5)

    await work(msgspec.structs.replace(settings, redis_url=proxy.url))

    document = await get(client, f"/models/{model_id}")
    assert (document["state"], document["attempts"], proxy.sprung) == ("ready", 1, 5)


async def test_connections_that_are_dead_without_a_word_are_replaced(
    client: Client, app: web.Application, proxy: Proxy, redis: "Redis"
) -> None:
    """One request notices; the next ones and the subscription have new connections."""
    proxy.delay_s = 0.05  # So that they are under way at once, each with its own.
    await asyncio.gather(*(get(client, "/models") for _ in range(20)))
    proxy.delay_s = 0.0
    proxy.abandon()
    await _away(client, LIMIT_S)

    await until(lambda: _is_back(client), within_s=1)
    proxy.delay_s = 0.05
    answers = await asyncio.gather(*(get(client, "/models") for _ in range(20)))
    assert all("models" in answer for answer in answers)
    proxy.delay_s = 0.0

    with app[CHANGES].watch("some-model") as changed:

        async def is_heard() -> bool:
            redis.publish("mls:changes", "some-model")
            return changed.is_set()

        await until(is_heard, within_s=BACK_S)


@pytest.mark.processes
@pytest.mark.timeout(60)
async def test_a_worker_outlives_a_network_that_fails(
    client: Client, proxy: Proxy, spawn: Spawn, tmp_path: Path
) -> None:
    """The worker waits, hangs nowhere, and trains when the store is back."""
    worker = spawn(*MODULE, **SHORT, MLSERVICE_REDIS_URL=proxy.url, MLSERVICE_STORE_TIMEOUT_S="0.5")
    await _trains(client, within_s=20)
    for count, (break_it, mend_it) in enumerate(FAULTS.values(), start=1):
        await break_it(proxy)
        await _away(client, LIMIT_S)

        async def has_noticed(times: int = count) -> bool:
            said = (tmp_path / "log0.txt").read_text()
            return said.count("the store is away") == times and "waits for its store" in said

        await until(has_noticed, within_s=5)
        await mend_it(proxy)
        await until(lambda: _is_back(client), within_s=BACK_S)

        await _trains(client, within_s=BACK_S)
    assert worker.poll() is None


async def _trains(client: Client, *, within_s: float) -> None:
    model_id = await create(client, make_request())

    async def is_ready() -> bool:
        return bool((await get(client, f"/models/{model_id}"))["state"] == "ready")

    await until(is_ready, within_s=within_s)
