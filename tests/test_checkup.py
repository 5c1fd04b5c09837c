"""A store that may lose models: refused at the start, told by doctor and readiness."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from redis import Redis

from mlservice.__main__ import main
from mlservice.embedded.valkey import command, find_server, socket_path
from mlservice.errors import BadSetting
from mlservice.settings import Settings
from mlservice.store import refuse_risks
from mlservice.store.checkup import NAMES, Findings, risks
from tests.conftest import Serve, Spawn
from tests.support import running_valkey
from tests.test_faults import MODULE

ROOT = Path(__file__).parents[1]
SOUND: dict[str, Any] = {
    "role": "master",
    "cluster_enabled": 0,
    "valkey_version": "9.1.2",
    "redis_version": "7.2.4",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "maxmemory": 1 << 30,
}


def _found(**changes: Any) -> list[str]:
    fsync, skew_s = changes.pop("appendfsync", "everysec"), changes.pop("skew_s", 0.0)
    info = {name: value for name, value in (SOUND | changes).items() if value is not None}
    return [risk.name for risk in risks(Findings(info=info, appendfsync=fsync, skew_s=skew_s))]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("replica", {"role": "slave"}),
        ("cluster", {"cluster_enabled": 1}),
        ("old-version", {"valkey_version": "7.1.9"}),
        ("old-version", {"valkey_version": None, "redis_version": "6.2.14"}),
        ("eviction", {"maxmemory_policy": "volatile-ttl"}),
        ("no-aof", {"aof_enabled": 0}),
        ("no-fsync", {"appendfsync": "no"}),
        ("aof-failing", {"aof_last_write_status": "err"}),
        ("no-memory-limit", {"maxmemory": 0}),
        ("clock", {"skew_s": 2.5}),
        ("clock", {"skew_s": -2.5}),
    ],
)
def test_each_risk_is_found_by_what_the_store_says(name: str, change: dict[str, Any]) -> None:
    """One thing that is wrong is one risk, by its name."""
    assert _found(**change) == [name]


def test_a_sound_store_has_no_risk() -> None:
    """Nor has Redis 7.0, nor a store that does not tell when it syncs."""
    assert _found() == []
    assert _found(valkey_version=None, redis_version="7.0.0", appendfsync="") == []


@pytest.fixture
def unsafe(tmp_path: Path) -> Iterator[Settings]:
    """Return settings for a store that keeps nothing and throws models away."""
    url = f"unix://{socket_path(tmp_path)}"
    options = ["--appendonly", "no", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "1gb"]
    with running_valkey([*command(tmp_path, appendfsync="everysec"), *options], url):
        yield Settings(redis_url=url)


@pytest.mark.parametrize("program", ["serve", "serve --api-only"])
def test_the_service_refuses_to_start_on_a_store_that_loses_models(
    unsafe: Settings, program: str
) -> None:
    """It says each thing that is wrong, and the switch that names them."""
    run = CliRunner().invoke(main, [*program.split(), "--redis-url", unsafe.redis_url])

    assert run.exit_code == 2
    assert "append-only file" in run.output
    assert "noeviction" in run.output
    assert "--accept-store-risks eviction,no-aof" in run.output


@pytest.mark.processes
def test_a_worker_refuses_to_start_on_it_too(
    unsafe: Settings, spawn: Spawn, tmp_path: Path
) -> None:
    """What the API refuses no worker fills; it says so in one line."""
    worker = spawn(*MODULE, MLSERVICE_REDIS_URL=unsafe.redis_url)

    assert worker.wait(20) == 1
    said = (tmp_path / "log0.txt").read_text()
    assert said.strip().splitlines()[-1].startswith("Error: maxmemory-policy must be noeviction")
    assert "Traceback" not in said


async def test_a_risk_that_is_accepted_by_its_name_is_taken(unsafe: Settings) -> None:
    """All that is wrong must be named; a name that there is not is refused."""
    taken = msgspec.structs.replace(unsafe, accept_store_risks="no-aof, eviction")
    half = msgspec.structs.replace(unsafe, accept_store_risks="no-aof")
    misspelt = msgspec.structs.replace(unsafe, accept_store_risks="no-aoff")

    await refuse_risks(taken)
    with pytest.raises(BadSetting, match="--accept-store-risks eviction "):
        await refuse_risks(half)
    with pytest.raises(BadSetting, match=r"no-aof.* got no-aoff"):
        await refuse_risks(misspelt)


async def test_a_store_that_is_away_refuses_no_start(tmp_path: Path) -> None:
    """It is waited for, and looked at when it is there."""
    await refuse_risks(Settings(redis_url=f"unix://{tmp_path}/none.sock"))


async def test_readiness_tells_what_doctor_tells(unsafe: Settings, serve: Serve) -> None:
    """The same words; with them a process is not ready for training."""
    client = await serve(redis_url=unsafe.redis_url)

    async with client.get("/health/ready?for=training") as response:
        told = await response.json()
    run = await asyncio.to_thread(
        CliRunner().invoke, main, ["doctor", "--redis-url", unsafe.redis_url]
    )

    assert response.status == 503
    assert [risk.partition(":")[0] for risk in told["risks"]] == ["eviction", "no-aof"]
    assert run.exit_code == 1
    assert all(risk in run.output for risk in told["risks"])


def test_doctor_of_a_sound_store_lacks_workers_only(settings: Settings, redis: "Redis") -> None:
    """It tells the version and the time of an answer, and exits with 1 without a worker."""
    ask = ["doctor", "--redis-url", settings.redis_url]
    alone = CliRunner().invoke(main, ask)
    redis.zadd("mls:workers", {"worker": int(redis.time()[0])})  # type: ignore[index]  # untyped
    worked = CliRunner().invoke(main, ask)

    assert (alone.exit_code, worked.exit_code) == (1, 0)
    assert "wrong  0 workers" in alone.output
    assert "valkey 9" in worked.output
    assert "wrong" not in worked.output


def test_doctor_of_a_store_that_is_away_says_so(tmp_path: Path) -> None:
    """The private one's address is the default."""
    run = CliRunner().invoke(main, ["doctor", "--data-dir", str(tmp_path)])

    assert run.exit_code == 1
    assert "The store must answer" in run.output


def _deployed() -> dict[str, list[str]]:
    """Return the options of each Valkey that this project deploys."""
    options = {}
    for name in ("docker-compose.yml", "docker-compose.production.yml"):
        services = yaml.safe_load((ROOT / name).read_text())["services"]
        options[name] = services["valkey"]["command"][1:]
    lines = (ROOT / "deploy/kubernetes/base/valkey.conf").read_text().splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    options["valkey.conf"] = [
        part for name, value in pairs for part in (f"--{name}", value.strip('"'))
    ]
    return options


@pytest.mark.parametrize("place", _deployed())
def test_each_store_that_is_deployed_passes(place: str, tmp_path: Path) -> None:
    """Compose's and Kubernetes' Valkey have no risk, and neither has the private one."""
    url = f"unix://{tmp_path}/s"
    own = ["--port", "0", "--dir", str(tmp_path), "--unixsocket", f"{tmp_path}/s"]
    with running_valkey([str(find_server()), *_deployed()[place], *own], url):
        asyncio.run(refuse_risks(Settings(redis_url=url)))


def test_the_names_of_risks_are_in_the_documents() -> None:
    """Whoever is refused finds what the name means."""
    text = (ROOT / "docs" / "operating.md").read_text()

    assert [name for name in NAMES if f"`{name}`" not in text] == []
