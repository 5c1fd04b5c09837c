"""What is deployed: the images' locked dependencies, and the manifests for Kubernetes."""

import re
from collections.abc import Awaitable, Callable, Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from redis import Redis
from redis.exceptions import NoPermissionError

from mlservice import __version__
from mlservice.app import create_app
from mlservice.embedded import valkey as embedded
from mlservice.settings import Settings
from mlservice.store import Grants, Link, open_redis
from tests.support import Client, Server, create, get, make_request, running_valkey, work

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"


def resources(folder: str = "base") -> Iterator[dict[str, Any]]:
    """Yield every manifest of a folder."""
    for path in sorted((KUBERNETES / folder).glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def pods() -> dict[str, dict[str, Any]]:
    """Return the pods that the base runs, by name."""
    found = {}
    for resource in resources():
        if resource["kind"] in ("Deployment", "StatefulSet"):
            found[resource["metadata"]["name"]] = resource["spec"]["template"]["spec"]
    return found


def locked(name: str) -> dict[str, str]:
    """Return the version of each package that a lock file pins."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    pins = (line.split(";")[0].strip(" \\").split("==") for line in lines if "==" in line[:80])
    return {pin[0].lower(): pin[1].strip() for pin in pins if not pin[0].startswith(" ")}


def wanted(extras: list[str]) -> list[Requirement]:
    """Return what setup.cfg asks for."""
    configuration = ConfigParser()
    configuration.read(ROOT / "setup.cfg")
    listed = configuration["options"]["install_requires"].split("\n")
    for extra in extras:
        listed += configuration["options.extras_require"][extra].split("\n")
    return [Requirement(line) for line in listed if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("run.txt", ["fast", "arrow"]), ("test.txt", ["fast", "arrow", "test"])],
)
def test_a_lock_pins_what_setup_cfg_asks_for(lock: str, extras: list[str]) -> None:
    """Each dependency is locked to a version that its bounds allow: `make lock` was run."""
    pins = locked(lock)
    for requirement in wanted(extras):
        if requirement.name != "mlservice":
            assert pins[requirement.name.lower()] in requirement.specifier, requirement


def test_both_locks_pin_the_same_versions() -> None:
    """What is tested is what runs."""
    tested = locked("test.txt")
    assert {name: tested[name] for name in locked("run.txt")} == locked("run.txt")


def test_the_tests_image_has_every_folder() -> None:
    """A folder that tests read, or run, is there where they run in a container."""
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isalpha()}

    assert folders - {"build", "dist"} <= set(copied)


@pytest.mark.parametrize("name", ["api", "worker", "valkey"])
def test_a_pod_can_do_no_more_than_it_must(name: str) -> None:
    """No root, no writable image, no capability, no token, and a limit on memory."""
    pod = pods()[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


def test_the_pods_settings_are_settings() -> None:
    """The service would refuse a variable that it does not know."""
    [base] = [each for each in resources() if each["kind"] == "Kustomization"]
    literals = {
        each["name"]: dict(line.split("=") for line in each.get("literals", ()))
        for each in base["configMapGenerator"]
    }
    environ = literals["mlservice"] | {"MLSERVICE_REDIS_URL": "redis://valkey:6379"}
    settings = Settings.from_environ(environ)
    api, pause_s = pods()["api"], 5
    assert api["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert pause_s + settings.shutdown_timeout_s < api["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("folder", ["base", "production"])
def test_every_manifest_is_deployed(folder: str) -> None:
    """A file that kustomization.yaml does not name would do nothing."""
    [named] = [each for each in resources(folder) if each["kind"] == "Kustomization"]
    files = {path.name for path in (KUBERNETES / folder).glob("*.yaml")}
    assert files - {"kustomization.yaml"} == set(named["resources"]) - {"../base"}


def test_production_runs_this_version() -> None:
    """The overlay names the image by the package's own version."""
    [named] = [each for each in resources("production") if each["kind"] == "Kustomization"]
    assert [image["newTag"] for image in named["images"]] == [__version__]


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[str]:
    """Start a Valkey as it is deployed, but here; return the service's address of it."""
    users = (ROOT / "deploy" / "users.acl").read_text().replace("PASSWORD", "secret")
    (tmp_path / "users.acl").write_text("user default off\n" + users)
    socket = embedded.socket_path(tmp_path)
    options = {"dir": tmp_path, "aclfile": tmp_path / "users.acl", "port": 0, "unixsocket": socket}
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    server, configuration = str(embedded.find_server()), str(KUBERNETES / "base" / "valkey.conf")
    url = f"unix://mlservice:secret@{socket}"
    with running_valkey([server, configuration, *flags], url):
        yield url


async def test_the_deployed_stores_user_can_do_what_the_service_needs(
    deployed: str, aiohttp_client: Callable[[Server], Awaitable[Client]]
) -> None:
    """A model lives its whole life with the rights that the service is given."""
    settings = Settings(redis_url=deployed)
    client = await aiohttp_client(Server(create_app(settings)))
    model = await create(client, make_request())
    await work(settings)
    assert (await get(client, f"/models/{model}"))["state"] == "ready"
    assert (await client.put("/aliases/iris", json={"model": model})).status == 200
    assert (await client.delete("/aliases/iris")).status == 204
    assert (await client.delete(f"/models/{model}")).status == 204


async def test_the_deployed_stores_user_can_keep_keys_and_count_requests(
    deployed: str, aiohttp_client: Callable[[Server], Awaitable[Client]]
) -> None:
    """Keys are made, used, listed and revoked with the same rights."""
    settings = Settings(redis_url=deployed, require_keys=True, train_rate=9)
    client = await aiohttp_client(Server(create_app(settings)))
    link = Link(open_redis(settings), settings.store_timeout_s)
    token, made = await Grants(link).create(tenant="a", scope="train")
    key = {"Authorization": f"Bearer {token}"}

    answers = [(await client.get("/models", headers=key)).status]
    answers.append((await client.delete("/aliases/x", headers=key)).status)
    listed = await Grants(link).all()
    revoked = await Grants(link).revoke(made.id)
    await link.close()

    assert answers == [200, 404]
    assert [each.id for each in listed] == [made.id]
    assert revoked


@pytest.mark.parametrize(
    "command",
    [
        "KEYS *",
        "FLUSHALL",
        "CONFIG SET save 1",
        "SHUTDOWN",
        "ACL LIST",
        "SCRIPT FLUSH",
        "FUNCTION FLUSH",
        "GET other",
    ],
)
async def test_the_deployed_stores_user_can_do_nothing_else(deployed: str, command: str) -> None:
    """What could lose models, or reach what is not the service's, is refused."""
    with Redis.from_url(deployed) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())
