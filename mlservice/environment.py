"""Environment variables and flags as values of a declaration's fields, each judged by its type."""

import difflib
import functools
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from mlservice.errors import BadSetting

PREFIX = "MLSERVICE_"
_LARGEST = 2**63
_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}

Declaration = type[msgspec.Struct]


def variable(field: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.upper()


def read(declared: Declaration, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of those fields that have a variable.

    Raises
    ------
    BadSetting
        If a variable is unknown, or its value is not of the field's type.
    """
    own = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    return {_field(declared, name): _value(declared, name, text) for name, text in own.items()}


def convert(declared: Declaration, field: str, given: object, source: str) -> object:
    """Return a field's value; `source` is the variable or flag that gave it.

    Raises
    ------
    BadSetting
        If what was given is not of the field's type.
    """
    try:
        value = msgspec.convert(given, _kinds(declared)[field], strict=False)
    except msgspec.ValidationError as error:
        hint = _kubernetes(str(given))
        raise BadSetting(
            f"{source} must be {_expected(declared, field, error)}, got {given!r}.{hint}"
        ) from error
    # Neither infinity nor such an integer can be waited for, allocated or sent.
    if isinstance(value, int | float) and not abs(value) < _LARGEST:
        raise BadSetting(f"{source} must be a number below 2**63, got {given!r}.")
    return value


@functools.cache
def _kinds(declared: Declaration) -> dict[str, Any]:
    return get_type_hints(declared, include_extras=True)


def _plain(declared: Declaration, field: str) -> Any:
    """Return a field's type without its bounds."""
    return get_args(_kinds(declared)[field])[0]


def _field(declared: Declaration, name: str) -> str:
    field = name.removeprefix(PREFIX).lower()
    fields = list(_kinds(declared))
    if field in fields and name == variable(field):
        return field
    known = [variable(each) for each in fields]
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)
    hint = f"the nearest known one is {near[0]}"
    raise BadSetting(f"{name} is not a setting; {hint}.{_kubernetes(name)}")


def _value(declared: Declaration, name: str, text: str) -> object:
    field = _field(declared, name)
    is_switch = _plain(declared, field) is bool
    given = _WORDS.get(text.lower(), text) if is_switch else text
    return convert(declared, field, given, name)


def _expected(declared: Declaration, field: str, error: msgspec.ValidationError) -> str:
    kind = _plain(declared, field)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    # msgspec writes: Expected `int` <= 65535.
    return str(error).split(", got")[0].removeprefix("Expected ").replace("`", "")


def _kubernetes(text: str) -> str:
    if text.startswith("tcp://") or "_SERVICE_" in text or "_TCP" in text:
        return (
            " Kubernetes sets such variables for a Service called mlservice;"
            " set enableServiceLinks: false in the pod."
        )
    return ""
