"""A store with a replica, watched by sentinels: what happens when the primary is killed."""

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest
from redis import Redis
from redis.exceptions import RedisError

from mlservice.embedded.valkey import command, find_server
from mlservice.settings import Settings
from tests.checker import Checker
from tests.conftest import Serve, Spawn
from tests.support import Client, get, make_request, until
from tests.test_faults import MODULE, SHORT

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.timeout(120)]

SERVICE = "mls"
FAILOVER_S = 30


@dataclass
class Cluster:
    """Two stores and three sentinels."""

    ports: list[int]
    sentinel_ports: list[int]
    commands: list[list[str]]
    stores: "list[Popen[str]]"
    sentinels: "list[Popen[str]]"

    @property
    def url(self) -> str:
        """Address of the service's store, whichever it is."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://{hosts}/{SERVICE}"


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in taken]


def _store(folder: Path, port: int, *options: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    listen = ["--port", f"{port}", "--bind", "127.0.0.1"]
    return [*command(folder, appendfsync="always"), *listen, *options]


def _sentinel(folder: Path, port: int, primary: int) -> list[str]:
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
        f"sentinel down-after-milliseconds {SERVICE} 1000\n"
        f"sentinel failover-timeout {SERVICE} 4000\n"
    )
    return [str(find_server()), str(folder / "sentinel.conf"), "--sentinel"]


@pytest.fixture
def cluster(spawn: Spawn, tmp_path: Path, checked: Checker) -> Cluster:
    """Start a primary, its replica and three sentinels; the replica is looked at in the end."""
    first, second, *watching = _free_ports(5)
    checked.settings = Settings(redis_url=f"redis://127.0.0.1:{second}")
    commands = [
        _store(tmp_path / "first", first),
        _store(tmp_path / "second", second, "--replicaof", f"127.0.0.1 {first}"),
    ]
    stores = [spawn(*each) for each in commands]
    sentinels = [spawn(*_sentinel(tmp_path / f"sentinel{port}", port, first)) for port in watching]
    return Cluster([first, second], watching, commands, stores, sentinels)


async def _know(ports: list[int]) -> bool:
    """Tell whether each sentinel knows the replica and both other sentinels."""

    def ask(port: int) -> bool:
        with Redis(port=port) as client:
            try:
                state = client.sentinel_master(SERVICE)
            except RedisError:  # It starts.
                return False
            return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2)

    return all([await asyncio.to_thread(ask, port) for port in ports])


async def _trains(client: Client) -> str:
    """Return a model's id, once a training that is posted now has become ready."""
    found = ""

    async def is_ready() -> bool:
        nonlocal found
        if not found:
            async with client.post("/models", json=make_request()) as response:
                if response.status != 202:
                    assert response.status == 503
                    return False
                found = (await response.json())["id"]
        return bool((await get(client, f"/models/{found}")).get("state") == "ready")

    await until(is_ready, within_s=FAILOVER_S, every_s=0.2)
    return found


async def test_a_killed_primary_is_followed_by_its_replica_for_api_and_worker(
    cluster: Cluster, serve: Serve, spawn: Spawn
) -> None:
    """Within 30 s trainings go on, nothing that was replicated is lost, nobody is restarted."""
    await until(lambda: _know(cluster.sentinel_ports), within_s=30)
    client = await serve(redis_url=cluster.url)
    worker = spawn(*MODULE, **SHORT, MLSERVICE_REDIS_URL=cluster.url)
    before = await _trains(client)
    with Redis(port=cluster.ports[0]) as primary:
        assert await asyncio.to_thread(primary.wait, 1, 5000) == 1

    # A sentinel dies with it, the one that is asked first.
    cluster.stores[0].kill()
    cluster.sentinels[0].kill()
    after = await _trains(client)

    assert (await get(client, f"/models/{before}"))["state"] == "ready"
    # What was the primary comes back as a replica; nobody writes to it.
    spawn(*cluster.commands[0])
    await until(lambda: _follows(cluster.ports[0]), within_s=30)
    last = await _trains(client)
    assert len({before, after, last}) == 3
    assert worker.poll() is None


async def _follows(port: int) -> bool:
    def ask() -> bool:
        with Redis(port=port) as client:
            try:
                return bool(client.info("replication")["role"] == "slave")
            except RedisError:  # It starts.
                return False

    return await asyncio.to_thread(ask)


async def test_an_address_whose_sentinels_know_no_such_service_is_away(
    cluster: Cluster, serve: Serve
) -> None:
    """503, as of any store that is not there."""
    client = await serve(redis_url=cluster.url.replace(f"/{SERVICE}", "/other"))

    async with client.get("/models") as response:
        assert response.status == 503
