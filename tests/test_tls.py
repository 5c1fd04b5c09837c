"""The store over TLS: its certificate is checked, and its name."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trustme
from arq.connections import create_pool

from mlservice.errors import BadSetting, StoreUnavailable
from mlservice.settings import Settings
from mlservice.store import Link, open_redis
from tests.conftest import Serve
from tests.proxy import Proxy
from tests.support import create, get, make_request, work
from workers.settings import worker_options


@pytest.fixture
def ca() -> trustme.CA:
    """Return an authority of this test."""
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    """Return the file with its certificate."""
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return path


@pytest.fixture
async def proxy(settings: Settings, ca: trustme.CA) -> AsyncIterator[Proxy]:
    """Return the session's Valkey behind TLS, with a certificate for `localhost` only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    async with Proxy(settings.redis_url, context) as proxy:
        yield proxy


async def _answers(settings: Settings, url: str) -> bool:
    changed = msgspec.structs.replace(settings, redis_url=url)
    link = Link(open_redis(changed), 2.0)
    try:
        return bool(await link.call("TIME"))
    except StoreUnavailable:
        return False
    finally:
        await link.close()


async def test_a_model_is_trained_over_tls(
    serve: Serve, settings: Settings, proxy: Proxy, ca_file: Path
) -> None:
    """API and worker speak to a store whose certificate an authority of one's own made."""
    url = f"{proxy.url}?ssl_ca_certs={ca_file}"
    client = await serve(redis_url=url)
    model_id = await create(client, make_request())

    await work(msgspec.structs.replace(settings, redis_url=url))

    assert (await get(client, f"/models/{model_id}"))["state"] == "ready"


async def test_a_store_with_another_name_is_refused(
    settings: Settings, proxy: Proxy, ca_file: Path
) -> None:
    """The right authority and the wrong host is a stranger, unless names do not count."""
    by_name = f"{proxy.url}?ssl_ca_certs={ca_file}"
    by_number = by_name.replace("localhost", "127.0.0.1")

    assert await _answers(settings, by_name)
    assert not await _answers(settings, by_number)
    assert await _answers(settings, f"{by_number}&ssl_check_hostname=no")


async def test_a_certificate_of_an_unknown_authority_is_refused(
    settings: Settings, proxy: Proxy
) -> None:
    """Without the authority's file the system's authorities count."""
    assert not await _answers(settings, proxy.url)


async def test_the_connection_of_arqs_health_check_is_as_careful(
    settings: Settings, proxy: Proxy, ca_file: Path
) -> None:
    """arq's own settings do not check names; those that it is given do."""
    by_name = f"{proxy.url}?ssl_ca_certs={ca_file}"
    for url, is_right in ((by_name, True), (by_name.replace("localhost", "127.0.0.1"), False)):
        changed = msgspec.structs.replace(settings, redis_url=url)
        address = worker_options(changed)["redis_settings"]
        address.conn_retries = 0
        if is_right:
            await (await create_pool(address)).aclose()
        else:
            with pytest.raises(Exception, match="certificate"):
                await create_pool(address)


@pytest.mark.parametrize(
    "url",
    [
        "rediss://localhost?ssl_cert_reqs=none",
        "rediss://localhost?ssl_ca_certs=/no/such/file",
        "redis://:hunter2@localhost?nonsense=1",
        "redis+sentinel://localhost:26379",
        "redis+sentinel://:hunter2@/service",
    ],
)
def test_an_address_with_wrong_options_is_refused_without_its_secret(url: str) -> None:
    """What cannot be checked is not taken, and a password is not told."""
    with pytest.raises(BadSetting) as caught:
        open_redis(Settings(redis_url=url))

    assert "hunter2" not in str(caught.value)
