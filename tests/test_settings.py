"""Settings from the environment and from flags."""

import re
from typing import Any

import msgspec
import pytest

from mlservice.errors import BadSetting
from mlservice.settings import FIELDS, Settings, variable

OTHERS: dict[str, Any] = {
    "host": "::1",
    "data_dir": "/var/lib/mlservice",
    "redis_url": "redis://store:6379/1",
    "queue_name": "other",
    "allowed_hosts": "ml.example",
    "trusted_proxies": "10.0.0.0/8",
    "allowed_origins": "https://ml.example",
    "log_level": "error",
    "log_format": "json",
    "appendfsync": "always",
    "store_share": 0.5,
    "accept_store_risks": "eviction",
}
LINKS = {
    "MLSERVICE_PORT": "tcp://10.0.0.1:80",
    "MLSERVICE_SERVICE_HOST": "10.0.0.1",
    "MLSERVICE_SERVICE_PORT": "80",
    "MLSERVICE_PORT_80_TCP": "tcp://10.0.0.1:80",
    "MLSERVICE_PORT_80_TCP_ADDR": "10.0.0.1",
}


def _other(field: str) -> Any:
    """Return a valid value that is not the default."""
    default = getattr(Settings(), field)
    if isinstance(default, bool):
        return not default
    return OTHERS[field] if field in OTHERS else default + 1


@pytest.mark.parametrize("field", FIELDS)
def test_field_is_read_from_its_variable(field: str) -> None:
    """Each field has a variable, and only that field changes with it."""
    value = _other(field)

    settings = Settings.from_environ({variable(field): str(value)})

    assert settings == msgspec.structs.replace(Settings(), **{field: value})


def test_empty_environment_gives_the_defaults() -> None:
    """Variables of other programs are not looked at."""
    assert Settings.from_environ({"PATH": "/bin", "mlservice_port": "x"}) == Settings()


@pytest.mark.parametrize("field", FIELDS)
def test_field_is_described(field: str) -> None:
    """Each field has a sentence for the operator."""
    properties = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]

    assert properties[field]["description"].endswith(".")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *((word, True) for word in ("yes", "on", "true", "1", "YES", "On")),
        *((word, False) for word in ("no", "off", "false", "0", "No")),
    ],
)
def test_switch_takes_the_usual_words(word: str, value: bool) -> None:
    """A switch is turned by yes, on, true and 1, and by their opposites."""
    assert Settings.from_environ({"MLSERVICE_ALLOW_ANONYMOUS": word}).allow_anonymous is value


@pytest.mark.parametrize("word", ["no", "on", "Yes", "off"])
def test_word_of_a_switch_is_kept_in_a_text(word: str) -> None:
    """A folder may be called `no`."""
    assert Settings.from_environ({"MLSERVICE_DATA_DIR": word}).data_dir == word


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MLSERVICE_PROT", "MLSERVICE_PORT"),
        ("MLSERVICE_port", "MLSERVICE_PORT"),
        ("MLSERVICE_REDISURL", "MLSERVICE_REDIS_URL"),
        ("MLSERVICE_TRAINING_TIMEOUT", "MLSERVICE_TRAINING_TIMEOUT_S"),
    ],
)
def test_unknown_variable_is_refused_with_the_nearest_known(name: str, nearest: str) -> None:
    """A misspelt variable is not silently ignored."""
    with pytest.raises(BadSetting, match=f"^{name} is not a setting; .* {nearest}\\.$"):
        Settings.from_environ({name: "1"})


@pytest.mark.parametrize("name", LINKS)
def test_service_link_of_kubernetes_is_explained(name: str) -> None:
    """A variable that Kubernetes sets for a Service is refused with the remedy."""
    with pytest.raises(BadSetting, match="enableServiceLinks: false"):
        Settings.from_environ({name: LINKS[name]})


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("port", "soon"),
        ("port", ""),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "1.5"),
        ("lease_s", "0"),
        ("lease_s", "nan"),
        ("lease_s", "inf"),
        ("lease_s", "1e999"),
        ("lease_s", "15 s"),
        ("training_memory_bytes", "1000"),
        ("training_memory_bytes", "1" + 30 * "0"),
        ("allow_anonymous", "perhaps"),
        ("log_level", "loud"),
        ("queue_name", ""),
        ("max_classes", "1"),
    ],
)
def test_bad_value_is_refused_with_variable_and_value(field: str, text: str) -> None:
    """The operator is told which variable is wrong, and what stood there."""
    with pytest.raises(BadSetting) as refused:
        Settings.from_environ({variable(field): text})

    assert str(refused.value).startswith(variable(field))
    assert repr(text) in str(refused.value)


def test_flags_replace_what_was_set() -> None:
    """A flag wins over a variable; one that was not given changes nothing."""
    settings = Settings(host="::1", port=1)

    assert settings.with_flags(port=2, host=None) == Settings(host="::1", port=2)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("port", 70000, "--port must be int <= 65535, got 70000"),
        ("redis_url", 5, "--redis-url must be str, got 5"),
    ],
)
def test_bad_flag_is_refused_by_name(flag: str, value: object, message: str) -> None:
    """A flag is checked as its variable is."""
    with pytest.raises(BadSetting, match=re.escape(message)):
        Settings().with_flags(**{flag: value})


@pytest.mark.parametrize(
    ("given", "url"), [("", "redis://localhost:6379"), ("redis://store:1", "redis://store:1")]
)
def test_store_is_looked_for_on_this_machine_when_none_is_named(given: str, url: str) -> None:
    """Without an address the store's usual one is taken."""
    assert Settings(redis_url=given).store_url == url
