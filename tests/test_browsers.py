"""Pages in browsers: other names, other origins, and those that may call."""

import pytest

from mlservice.settings import Settings
from tests.conftest import Serve
from tests.support import make_model, store_model

OTHER = "https://evil.example"
FRIEND = "https://app.example"


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:8000", "[::1]:80", "localhost"])
async def test_loopbacks_names_are_the_services_own(serve: Serve, host: str) -> None:
    """Whoever calls this machine by one of its own names is answered."""
    client = await serve()

    response = await client.get("/models", headers={"Host": host})

    assert response.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""]
)
@pytest.mark.parametrize(("guarded", "status"), [(True, 403), (False, 200)])
async def test_a_name_that_leads_here_from_elsewhere_is_refused(
    serve: Serve, host: str, *, guarded: bool, status: int
) -> None:
    """DNS rebinding gets nothing; beyond loopback the service cannot know its names."""
    client = await serve(host="127.0.0.1" if guarded else "0.0.0.0")

    response = await client.get("/models", headers={"Host": host})

    assert response.status == status
    if guarded:
        assert (await response.json())["type"] == "/problems/host-not-allowed"


@pytest.mark.parametrize(
    ("host", "status"), [("ml.example", 200), ("localhost", 200), ("10.0.0.5", 200), ("x.y", 403)]
)
async def test_names_that_the_operator_allows_are_answered(
    serve: Serve, host: str, status: int
) -> None:
    """With a list, its names, loopback's and the bound address are the service's own."""
    client = await serve(allowed_hosts=" ML.example , other", host="10.0.0.5", require_keys=True)

    response = await client.get("/health/live", headers={"Host": host})

    assert response.status == status


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": OTHER},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_origin_is_refused_without_keys(
    serve: Serve, method: str, headers: dict[str, str]
) -> None:
    """Reading and writing alike: whatever a browser says it does for another page."""
    client = await serve()

    response = await client.request(method, "/models", headers=headers)

    assert response.status == 403
    assert (await response.json())["type"] == "/problems/origin-not-allowed"


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_the_services_own_pages_may_call(serve: Serve, site: str) -> None:
    """A page that the service itself sent, and an address that was typed."""
    client = await serve()
    own = f"http://{client.host}:{client.port}"

    response = await client.get("/models", headers={"Origin": own, "Sec-Fetch-Site": site})

    assert response.status == 200
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_page_of_an_allowed_origin_may_call_and_read(serve: Serve) -> None:
    """The preflight and the answer name the origin, never a star, and no credentials."""
    client = await serve(allowed_origins=FRIEND)
    page = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}

    asked = await client.options(
        "/models", headers=page | {"Access-Control-Request-Method": "POST"}
    )
    read = await client.get("/models", headers=page)

    assert (asked.status, read.status) == (204, 200)
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    for response in (asked, read):
        assert response.headers["Access-Control-Allow-Origin"] == FRIEND
        assert response.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in response.headers


async def test_a_page_asks_before_it_has_a_key(serve: Serve) -> None:
    """A preflight carries no key, and is answered without one."""
    client = await serve(allowed_origins=FRIEND, require_keys=True)
    page = {"Origin": FRIEND, "Access-Control-Request-Method": "GET"}

    asked = await client.options("/models", headers=page)
    refused = await client.get("/models", headers=page)

    assert (asked.status, refused.status) == (204, 401)
    for response in (asked, refused):
        assert response.headers["Access-Control-Allow-Origin"] == FRIEND


async def test_a_stream_can_be_read_by_an_allowed_origin(serve: Serve, settings: Settings) -> None:
    """Events and failures have the headers too, not only what is whole."""
    client = await serve(allowed_origins=FRIEND)
    model_id = await store_model(settings, make_model())

    for path in (f"/models/{model_id}/events", "/nowhere", f"/models/{model_id}?a=1&b=2"):
        async with client.get(path, headers={"Origin": FRIEND}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == FRIEND, path
            assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("require_keys", [False, True])
async def test_other_origins_are_told_nothing_by_cors(serve: Serve, *, require_keys: bool) -> None:
    """An allowed origin opens no door to another one; with keys the key decides."""
    client = await serve(allowed_origins=FRIEND, require_keys=require_keys)

    response = await client.get("/health/live", headers={"Origin": OTHER})

    assert response.status == (200 if require_keys else 403)
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_cors_is_off_by_default(serve: Serve) -> None:
    """Without the setting no answer has a header of it."""
    client = await serve(require_keys=True)

    response = await client.options(
        "/models", headers={"Origin": OTHER, "Access-Control-Request-Method": "POST"}
    )

    assert not [name for name in response.headers if name.startswith("Access-Control")]
