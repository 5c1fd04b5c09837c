"""Who may do what: every route with every kind of key, made from the table of routes."""

import asyncio
import itertools
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import ClientPayloadError, ClientResponse, ServerDisconnectedError, web
from redis import Redis

from mlservice import jobs, keyring
from mlservice.access import _share
from mlservice.app import create_app
from mlservice.doorkeeper import network
from mlservice.routes import ROUTES
from mlservice.routes.route import Route
from mlservice.schemas import Description
from mlservice.scopes import SCOPES, Scope
from mlservice.settings import Settings
from mlservice.store import Grants, Link, Tenants, open_redis
from tests.conftest import Serve
from tests.support import Client, Server, get, make_model, make_request, store_model, until

ALIAS, NO_ALIAS = "iris", "qqqq"
# Sent to the service, and to be found in no line that it logs.
CANARY = "canary4711"
SECRETS = (CANARY, "mls_")


@dataclass
class World:
    """A tenant `own` with models and an alias, a tenant `other`, and keys of both."""

    grants: Grants
    tenants: Tenants
    settings: Settings
    keys: dict[tuple[str, Scope], str] = field(default_factory=dict)

    async def key(self, tenant: str, scope: Scope, *, days: float = 0) -> dict[str, str]:
        """Return the header with a key, a new one if it is to expire."""
        token = self.keys.get((tenant, scope))
        if token is None or days:
            token, _ = await self.grants.create(tenant=tenant, scope=scope, days=days)
        if not days:
            self.keys[tenant, scope] = token
        return bearer(token)

    async def model(self, state: str = "ready") -> str:
        """Return a new model of `own`."""
        if state == "ready":
            model_id = await store_model(self.settings, make_model(), "own")
            await self.tenants.of("own").aliases.move(ALIAS, model_id)
            return model_id
        model_id = str(uuid.uuid4())
        models = self.tenants.of("own").models
        await models.append(model_id, b"{}")
        await models.create(model_id, name=None, description=msgspec.json.encode(Description()))
        return model_id


def bearer(token: str) -> dict[str, str]:
    """Return the header with a key."""
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings that ask for keys, and refuse as many as there are routes."""
    return msgspec.structs.replace(settings, require_keys=True, refused_keys=1000)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    """Return who is there."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    yield World(Grants(link), Tenants(link, settings, jobs.entry), settings)
    await link.close()


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Fail each test of this file in which anything logged a key, a query or a row."""
    caplog.set_level(logging.DEBUG)
    formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")

    def lines() -> str:
        return "\n".join(map(formatter.format, caplog.get_records("call")))

    yield lines
    assert [secret for secret in SECRETS if secret in lines()] == []


def _path(route: Route, model_id: str, alias: str) -> str:
    """Return a path of the route; a new placeholder must be given a value here."""
    values = {"id": model_id, "alias": alias, "slug": "not-found", "version": "1", "label": "a"}
    values["file"] = "start.js"
    return re.sub(r"{(\w+)}", lambda found: values[found[1]], route.path)


def _methods(route: Route) -> list[str]:
    return ["GET", "HEAD"] if route.method == "GET" else [route.method]


CLOSED = [route for route in ROUTES if route.scope != "open"]


async def _statuses(
    client: Client, world: World, headers: Callable[[Route], Awaitable[dict[str, str] | None]]
) -> dict[str, tuple[int, str | None]]:
    """Return what each closed route answers: its status, and `WWW-Authenticate`."""
    model_id = await world.model()
    answers = {}
    for route in CLOSED:
        sent = await headers(route)
        if sent is None:
            continue
        for method in _methods(route):
            path = _path(route, model_id, ALIAS)
            async with client.request(method, path, headers=sent) as response:
                told = response.headers.get("WWW-Authenticate")
                answers[f"{method} {route.path}"] = (response.status, told)
    return answers


async def test_no_route_but_the_open_ones_is_answered_without_a_key(
    client: Client, world: World
) -> None:
    """Every route × no key: 401, and how to authenticate."""

    async def none(_: Route) -> dict[str, str]:
        return {}

    answers = await _statuses(client, world, none)

    assert set(answers.values()) == {(401, "Bearer")}, answers


@pytest.mark.parametrize("kind", ["unknown", "expired", "revoked", "cut", "other scheme"])
async def test_no_route_is_answered_with_a_key_that_does_not_work(
    client: Client, world: World, kind: str
) -> None:
    """Every route × unknown, expired, revoked: 401, and not which of these it was."""
    token, grant = await world.grants.create(tenant="own", scope="admin")
    expired, _ = await world.grants.create(tenant="own", scope="admin", days=1e-9)
    sent = {
        "unknown": bearer(token[:-4] + "AAAA"),
        "expired": bearer(expired),
        "revoked": bearer(token),
        "cut": bearer(token[:-1]),
        "other scheme": {"Authorization": f"Basic {token}"},
    }[kind]
    if kind == "revoked":
        await world.grants.revoke(grant.id)

    async def same(_: Route) -> dict[str, str]:
        return sent

    answers = await _statuses(client, world, same)

    told = "Bearer" if kind == "other scheme" else 'Bearer error="invalid_token"'
    assert set(answers.values()) == {(401, told)}, answers


async def test_no_route_is_answered_with_a_narrower_scope(client: Client, world: World) -> None:
    """Every route × wrong scope: 403, and the scope that is needed."""

    async def narrower(route: Route) -> dict[str, str] | None:
        place = SCOPES.index(route.scope)
        return await world.key("own", SCOPES[place - 1]) if place else None

    answers = await _statuses(client, world, narrower)

    scopes = {f"{route.method} {route.path}": route.scope for route in CLOSED}
    assert len(answers) > 5
    for route, answer in answers.items():
        scope = scopes[route.replace("HEAD", "GET")]
        assert answer == (403, f'Bearer error="insufficient_scope", scope="{scope}"'), route


async def test_the_right_key_opens_every_route(client: Client, world: World) -> None:
    """Every route × right key: whatever is answered, it is not for the key."""
    refused = {}
    for route in CLOSED:
        path, headers = (
            _path(route, await world.model(), ALIAS),
            await world.key("own", route.scope),
        )
        async with client.request(route.method, path, headers=headers) as response:
            if response.status in (401, 403) or response.status >= 500:
                refused[f"{route.method} {route.path}"] = response.status

    assert refused == {}


@pytest.mark.parametrize("state", ["ready", "queued"])
async def test_what_belongs_to_another_tenant_answers_as_what_there_is_not(
    client: Client, world: World, state: str
) -> None:
    """Every route × other tenant: status, headers and body are those of an absent id."""
    await world.model()
    foreign, absent = await world.model(state), str(uuid.uuid4())
    headers = await world.key("other", "admin") | {"X-Request-ID": "same"}
    different = {}
    # Metrics grow with every request; `test_figures` has what they tell of others.
    for route in (each for each in CLOSED if each.path != "/metrics"):
        for method in _methods(route):
            answers = [
                await _read(client, method, _path(route, *names), headers, names)
                for names in ((foreign, ALIAS), (absent, NO_ALIAS))
            ]
            if answers[0] != answers[1]:
                different[f"{method} {route.path}"] = answers

    assert different == {}
    own = await get_as(client, await world.key("own", "predict"), f"/models/{foreign}")
    assert own["state"] == state


async def test_a_body_is_asked_for_only_of_those_who_have_a_key(
    client: Client, world: World
) -> None:
    """`Expect: 100-continue` is answered with what is wrong, before anything is sent."""
    key = (await world.key("own", "train"))["Authorization"]
    narrow = (await world.key("own", "predict"))["Authorization"]

    answers = []
    for line in (f"Authorization: {key}\r\n", f"Authorization: {narrow}\r\n", ""):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = f"POST /models HTTP/1.1\r\nHost: localhost\r\n{line}Content-Length: 9999\r\n"
        writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
        answers.append(await asyncio.wait_for(reader.readline(), 5))
        writer.close()

    assert [each.split()[1] for each in answers] == [b"100", b"403", b"401"]


@pytest.mark.parametrize(("value", "first"), [("100-continue", b"100"), ("bread", b"400")])
async def test_an_expectation_is_met_or_refused_without_keys(
    serve: Serve, value: str, first: bytes
) -> None:
    """Whoever waits for leave to send a body gets it."""
    client = await serve(require_keys=False)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = "POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"

    writer.write(f"{head}Expect: {value}\r\n\r\n".encode())

    assert (await asyncio.wait_for(reader.readline(), 5)).split()[1] == first
    writer.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/aliases/new", lambda name: {"model": name}),
        ("POST", "/models", lambda name: make_request(warm_start_from=name)),
        ("POST", "/models?dry_run=true", lambda name: make_request(warm_start_from=name)),
    ],
)
async def test_a_model_that_a_body_names_is_the_tenants_own_too(
    client: Client, world: World, method: str, path: str, body: Callable[[str], object]
) -> None:
    """Another's id or alias in a body is answered as one that there is not."""
    foreign, absent = await world.model(), str(uuid.uuid4())
    headers = await world.key("other", "train") | {"X-Request-ID": "same"}

    answers = []
    for name in (foreign, absent, ALIAS, NO_ALIAS):
        async with client.request(method, path, json=body(name), headers=headers) as response:
            answers.append((response.status, (await response.text()).replace(name, "…")))

    assert answers[0][0] >= 400
    assert answers == [answers[0]] * 4


async def _read(
    client: Client, method: str, path: str, headers: dict[str, str], names: tuple[str, str]
) -> tuple[int, dict[str, str], str]:
    async with client.request(method, path, headers=headers) as response:
        kept = {name: text for name, text in response.headers.items() if name != "Date"}
        body = await response.text()
    for name in names:
        body = body.replace(name, "…")
    return response.status, kept, body


async def get_as(client: Client, headers: dict[str, str], path: str) -> Any:
    """Return the JSON that a path answers with to a key."""
    async with client.get(path, headers=headers) as response:
        return await response.json()


async def test_the_same_is_not_true_of_the_owner(client: Client, world: World) -> None:
    """The check above tells a foreign id from an own one: the owner's answers differ."""
    model_id = await world.model()
    headers = await world.key("own", "predict") | {"X-Request-ID": "same"}
    names = [(model_id, ALIAS), (str(uuid.uuid4()), NO_ALIAS)]

    answers = [await _read(client, "GET", f"/models/{each[0]}", headers, each) for each in names]

    assert [answer[0] for answer in answers] == [200, 404]


async def test_a_cached_model_is_its_tenants_own(client: Client, world: World) -> None:
    """A model that this process has just predicted with does not exist for another tenant."""
    model_id = await world.model()
    own, other = [await world.key(tenant, "predict") for tenant in ("own", "other")]
    path = f"/models/{model_id}?a=1&b=2"

    async with client.get(path, headers=own) as first, client.get(path, headers=other) as second:
        assert (first.status, second.status) == (200, 404)
    async with client.get(f"/models/{ALIAS}?a=1&b=2", headers=other) as third:
        assert third.status == 404


async def test_a_route_that_names_no_scope_needs_the_widest(
    settings: Settings, world: World, aiohttp_client: Callable[[Server], Awaitable[Client]]
) -> None:
    """What is served beside the table is closed, not open."""
    app = create_app(settings)

    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    app.router.add_get("/forgotten", handler)
    client = await aiohttp_client(Server(app))

    async with client.get("/forgotten", headers=await world.key("own", "train")) as refused:
        assert refused.status == 403
    async with client.get("/forgotten", headers=await world.key("own", "admin")) as answered:
        assert answered.status == 200


async def test_open_routes_need_no_key(client: Client) -> None:
    """Health, the document, the problems' pages and the index are for everybody."""
    for route in ROUTES:
        if route.scope == "open" and route.method == "GET":
            async with client.get(_path(route, ALIAS, ALIAS)) as response:
                assert response.status in (200, 404, 503), route.path


async def test_without_keys_nobody_is_asked(serve: Serve) -> None:
    """The guards above are the setting's: without it there is one tenant and no middleware."""
    client = await serve(require_keys=False)

    assert len(client.app.middlewares) == 0
    assert (await get(client, "/models"))["models"] == []


async def test_a_revoked_key_works_nowhere_a_second_later(client: Client, world: World) -> None:
    """A process that has just let it in hears of it within a second."""
    token, grant = await world.grants.create(tenant="own", scope="predict")
    async with client.get("/models", headers=bearer(token)) as response:
        assert response.status == 200

    await world.grants.revoke(grant.id)
    revoked = time.monotonic()

    async def is_refused() -> bool:
        async with client.get("/models", headers=bearer(token)) as response:
            return response.status == 401

    await until(is_refused, within_s=keyring.STALE_S + 0.5)
    assert time.monotonic() - revoked < keyring.STALE_S + 0.5


async def test_a_stream_ends_when_its_key_is_revoked(client: Client, world: World) -> None:
    """Events that were followed, and answers that were waited for, are not sent any more."""
    token, grant = await world.grants.create(tenant="own", scope="predict")
    path = f"/models/{await world.model('queued')}"
    waiting = client.get(path, headers=bearer(token) | {"Prefer": "wait=20"})
    async with client.get(f"{path}/events", headers=bearer(token)) as stream:
        first = await stream.content.readuntil(b"\r\n\r\n")
        waited = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        await world.grants.revoke(grant.id)
        revoked = time.monotonic()

        with pytest.raises(ClientPayloadError):
            await stream.content.read()

    assert b"queued" in first
    assert time.monotonic() - revoked < keyring.STALE_S + 0.5
    with pytest.raises(ServerDisconnectedError):
        await waited


async def test_a_known_key_predicts_while_the_store_stalls(
    client: Client, world: World, redis: "Redis"
) -> None:
    """A cached model and a key that was confirmed need no answer of the store."""
    path = f"/models/{await world.model()}?a=1&b=2"
    headers = await world.key("own", "predict")
    async with client.get(path, headers=headers) as response:
        assert response.status == 200
    await asyncio.to_thread(redis.execute_command, "CLIENT", "PAUSE", 2500, "ALL")

    until_s = time.monotonic() + 2
    statuses = set()
    while time.monotonic() < until_s:
        async with client.get(path, headers=headers) as response:
            statuses.add(response.status)

    assert statuses == {200}


async def test_trying_keys_ends_after_a_while_but_not_for_those_that_work(
    serve: Serve, world: World, logged: Callable[[], str]
) -> None:
    """The address has to wait, is told how long, and is logged; a key that it has used works on."""
    client = await serve(refused_keys=5)
    known, new = await world.key("own", "predict"), await world.key("own", "train")
    wrong = bearer("mls_" + "0" * 12 + "_" + CANARY.ljust(43, "x"))
    await get_as(client, known, "/models")

    statuses = [(await _status(client, wrong))[0] for _ in range(7)]

    assert statuses == [401] * 5 + [429] * 2
    status, told = await _status(client, new)
    assert status == 429
    assert 1 <= int(told.headers["Retry-After"]) <= 12
    assert (await _status(client, known))[0] == 200
    assert (await _status(client, {}))[0] == 401
    assert "too many keys from 127.0.0.1/32 do not work" in logged()


@pytest.mark.parametrize(
    ("trusted", "statuses"), [("127.0.0.1, 10.0.0.0/8", [401, 429, 401]), ("", [401, 429, 429])]
)
async def test_failed_tries_behind_a_trusted_proxy_count_for_who_made_them(
    serve: Serve, trusted: str, statuses: list[int]
) -> None:
    """What a client itself writes before its own address is not believed."""
    client = await serve(refused_keys=1, trusted_proxies=trusted)
    wrong = bearer("mls_" + "0" * 12 + "_" + "x" * 43)
    sent = ["192.0.2.1, 10.0.0.9", "203.0.113.5, 192.0.2.1", "192.0.2.2"]

    found = [(await _status(client, wrong | {"X-Forwarded-For": each}))[0] for each in sent]

    assert found == statuses


async def _status(client: Client, headers: dict[str, str]) -> tuple[int, ClientResponse]:
    async with client.get("/models", headers=headers) as response:
        await response.read()
        return response.status, response


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", "10.1.2.3/32"),
        ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_an_address_of_version_6_counts_with_its_network(address: str, expected: str) -> None:
    """Whoever has one such address has 2**64 of them."""
    assert network(address) == expected


@pytest.mark.parametrize("scope", ["predict", "train"])
async def test_a_tenant_that_sends_too_much_waits_and_others_do_not(
    serve: Serve, world: World, scope: Scope
) -> None:
    """429 with `Retry-After`, and every answer tells how many are left."""
    client = await serve(**{f"{scope}_rate": 1})
    own, other = [await world.key(tenant, "train") for tenant in ("own", "other")]
    request = ("GET", "/models") if scope == "predict" else ("POST", "/models?dry_run=true")
    body = None if scope == "predict" else make_request()

    async def send(headers: dict[str, str]) -> ClientResponse:
        async with client.request(*request, json=body, headers=headers) as response:
            return response

    first, second, others = await send(own), await send(own), await send(other)

    assert [each.status for each in (first, second, others)] == [200, 429, 200]
    for answer in (first, second, others):
        assert answer.headers["RateLimit"].startswith(f'"{scope}";r=0;t=')
        assert answer.headers["RateLimit-Policy"].startswith(f'"{scope}";q=1;w=')
    assert int(second.headers["Retry-After"]) >= 1


async def test_failures_tell_what_is_left_too(serve: Serve) -> None:
    """A client that looks for what there is not sees its limit coming."""
    client = await serve(require_keys=False, predict_rate=5)

    async with client.get(f"/models/{uuid.uuid4()}") as response:
        assert response.status == 404
        assert response.headers["RateLimit"].startswith('"predict";r=4;')


@pytest.mark.parametrize(("rate", "processes"), [(8, 2), (5, 2), (1, 2), (1, 8), (7, 1)])
def test_processes_share_out_the_rate_of_predictions(rate: int, processes: int) -> None:
    """In 100 s each of them lets its part of it pass, and a burst in front."""
    clock = itertools.count()
    share = _share(rate, processes)
    share._clock = lambda: next(clock) / 1000

    passed = sum(not share.take("a").wait_s for _ in range(100_000))

    assert passed == pytest.approx(100 * rate / processes, abs=max(1, rate // processes) + 1)


async def test_a_process_of_two_lets_half_of_the_rate_pass(serve: Serve) -> None:
    """A tenant that reaches both gets what the setting says, not twice as much."""
    client = await serve(require_keys=False, predict_rate=6, processes=2)

    statuses = [(await client.get("/models")).status for _ in range(4)]

    assert statuses == [200, 200, 200, 429]


async def test_rates_hold_without_keys_too(serve: Serve) -> None:
    """Those who have no key are one tenant; health is not counted."""
    client = await serve(require_keys=False, predict_rate=1)

    statuses = [(await _status(client, {}))[0] for _ in range(2)]

    assert statuses == [200, 429]
    async with client.get("/health/live") as response:
        assert response.status == 200


async def test_what_is_sent_is_in_no_log(
    client: Client, world: World, logged: Callable[[], str]
) -> None:
    """Keys, queries, rows, labels and malformed headers leave no trace, failures included."""
    headers = await world.key("own", "train")
    model_id = await world.model()
    request = make_request(name=CANARY)
    request["data"][CANARY] = [CANARY] * 150
    await client.post("/models", json=request, headers=headers)
    await client.post("/models", json={CANARY: CANARY}, headers=headers)
    await client.post(f"/models?target={CANARY}", data=f"{CANARY}\n1\n", headers=headers)
    await client.get(f"/models/{model_id}?{CANARY}={CANARY}", headers=headers)
    await client.get(f"/models/{CANARY}?a={CANARY}", headers=headers)
    await client.get("/models", headers={"Authorization": CANARY})
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {CANARY}\x00\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()

    assert b"400" in answer
    assert CANARY.encode() not in answer
    assert CANARY not in logged()
