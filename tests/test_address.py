"""Where the service listens."""

import socket

import pytest

from mlservice.address import check_address, listen, listen_apart, url_at, url_of
from mlservice.errors import BadSetting
from mlservice.settings import Settings, variable


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_address_needs_no_leave(host: str) -> None:
    """Only this machine reaches a loopback address."""
    check_address(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "127.0.0.1.x"])
def test_other_address_is_refused_without_leave(host: str) -> None:
    """Nobody listens to the world by accident."""
    with pytest.raises(BadSetting, match="--allow-anonymous"):
        check_address(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
@pytest.mark.parametrize("leave", ["allow_anonymous", "require_keys"])
def test_other_address_is_taken_with_leave(host: str, leave: str) -> None:
    """An operator may allow it, or ask for keys."""
    check_address(Settings(host=host).with_flags(**{leave: True}))


@pytest.mark.parametrize(
    ("setting", "member"),
    [
        ("allowed_hosts", "a.example:80"),
        ("allowed_hosts", "http://a.example"),
        ("allowed_hosts", "*"),
        ("allowed_origins", "a.example"),
        ("allowed_origins", "https://a.example/"),
        ("allowed_origins", "https://"),
        ("allowed_origins", "*"),
        ("allowed_origins", "null"),
        ("trusted_proxies", "proxy.example"),
        ("trusted_proxies", "10.0.0.1/8"),
    ],
)
def test_names_and_origins_that_are_none_are_refused(setting: str, member: str) -> None:
    """A list that would allow nothing, or everything, is an operator's mistake."""
    with pytest.raises(BadSetting, match=variable(setting)):
        check_address(Settings().with_flags(**{setting: member}))


def test_free_port_is_taken_and_told() -> None:
    """Port 0 takes a free port, and the URL names it."""
    with listen(Settings(port=0)) as listening:
        port = listening.getsockname()[1]

        assert url_of(listening) == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_all_addresses_are_told_as_this_machine() -> None:
    """A client on this machine reaches what listens everywhere by `localhost`."""
    with listen(Settings(host="0.0.0.0", port=0)) as listening:
        assert url_of(listening) == f"http://localhost:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::", "http://localhost:80"),
        ("::1", "http://[::1]:80"),
        ("example.org", "http://example.org:80"),
    ],
)
def test_the_address_of_a_service_is_made_of_its_settings(host: str, url: str) -> None:
    """What `mlservice health` asks is where the service listens."""
    assert url_at(host, 80) == url


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_address_of_version_6_stands_in_brackets() -> None:
    """RFC 3986 puts brackets around it."""
    try:
        listening = listen(Settings(host="::1", port=0))
    except BadSetting:
        pytest.skip("this machine has no IPv6")
    with listening:
        assert url_of(listening) == f"http://[::1]:{listening.getsockname()[1]}"


def test_taken_port_is_refused_by_name() -> None:
    """The operator is told which address is taken."""
    with listen(Settings(port=0)) as listening:
        port = listening.getsockname()[1]

        with pytest.raises(BadSetting, match=f"127.0.0.1:{port} must be free .* in use"):
            listen(Settings(port=port))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70])
def test_host_that_is_none_is_refused(host: str) -> None:
    """A host that cannot be looked up is a bad setting, not a bug."""
    with pytest.raises(BadSetting, match="must be free to listen on"):
        listen(Settings(host=host, port=0))


def test_processes_share_an_address_that_nobody_else_has() -> None:
    """Each gets a socket of its own at one port; a port that is taken stays refused."""
    own = listen_apart(Settings(port=0, processes=2))
    ports = {each.getsockname()[1] for each in own}
    try:
        assert (len(own), len(ports)) == (2, 1)
        with pytest.raises(BadSetting, match="must be free"):
            listen_apart(Settings(port=ports.pop(), processes=2))
    finally:
        for each in own:
            each.close()
