"""What a declaration takes at a place, for the words of a refusal."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

_value = re.compile(r"Invalid enum value (.*)", re.DOTALL).fullmatch
_member = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL).fullmatch
_MOST_SHOWN = 64


def choices(kind: Any, error: msgspec.ValidationError) -> str | None:
    """Say what may stand where something else does: one of few values, or a member's name.

    Parameters
    ----------
    kind : type
        What was declared.
    error : ValidationError
        Its refusal of what was sent.

    Returns
    -------
    str or None
        Such as `'adam' is none of lbfgs, saga`; None where the error is another one.
    """
    said, _, path = str(error).partition(" - at ")
    value, member = _value(said), _member(said)
    if not (value or member):
        return None
    sent = value[1] if value else repr(unknown_member(error))
    return f"{sent[:_MOST_SHOWN]} is none of {', '.join(_names(kind, path, values=bool(value)))}"


def unknown_member(error: msgspec.ValidationError) -> str | None:
    """Return the name that an error says is none of an object's members."""
    found = _member(str(error).partition(" - at ")[0])
    return found[1] if found else None


def _names(kind: Any, path: str, *, values: bool) -> list[str]:
    places: list[inspect.Type] = [inspect.type_info(kind)]
    # msgspec writes `$.params.solver`, and `$.search.solver[0]`.
    for name in re.findall(r"\.(\w+)", path):
        places = [
            field.type
            for place in _plain(places)
            if isinstance(place, inspect.StructType)
            for field in place.fields
            if field.encode_name == name
        ]
    plain = list(_plain(places))
    if values:
        literals = (place.values for place in plain if isinstance(place, inspect.LiteralType))
        has_null = any(isinstance(place, inspect.NoneType) for place in plain)
        return [str(value) for each in literals for value in each] + ["null"] * has_null
    structs = (place.fields for place in plain if isinstance(place, inspect.StructType))
    return [field.encode_name for each in structs for field in each]


def _plain(places: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    """Yield types without what is said about them, those of unions and lists one by one."""
    for place in places:
        if isinstance(place, inspect.Metadata):
            yield from _plain([place.type])
        elif isinstance(place, inspect.UnionType):
            yield from _plain(place.types)
        elif isinstance(place, inspect.ListType):
            yield from _plain([place.item_type])
        else:
            yield place
