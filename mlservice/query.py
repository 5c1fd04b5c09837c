"""Query strings: how they are decoded, and a training's options in them by dotted names."""

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from mlservice.errors import Fault, InvalidParameter, MalformedQuery
from mlservice.schemas import TrainingRequest, choices, unknown_member
from mlservice.search import SEARCHED

_is_encoded = re.compile(r"([^%]|%[0-9A-Fa-f]{2})*").fullmatch
_is_infinite = re.compile(r"[+-]?(nan|inf(inity)?)", re.IGNORECASE).fullmatch
_LISTS = {f"search.{name}" for name in SEARCHED}
_NONE: Mapping[str, Any] = MappingProxyType({})
# Each is found by reading all that is left once more, which takes 1 ms with 8 KiB of names.
_MOST_FAULTS = 20


def read_query(query: str) -> list[tuple[str, str]]:
    """Decode a query string as forms write it, keeping order, repeats and empty values.

    Raises
    ------
    MalformedQuery
        If a percent sign is not followed by two hexadecimal digits, or the
        bytes are not UTF-8.
    """
    pairs = [part.partition("=") for part in query.split("&") if part]
    if "%" not in query and "+" not in query:
        return [(name, value) for name, _, value in pairs]
    if not _is_encoded(query):
        raise MalformedQuery("Each % of the query must be followed by two hexadecimal digits.")
    try:
        return [(_decode(name), _decode(value)) for name, _, value in pairs]
    except UnicodeDecodeError as error:
        raise MalformedQuery("The query must be UTF-8, percent-encoded.") from error


def _decode(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")


def read_options(
    pairs: Iterable[tuple[str, str]], *, target: str, members: Mapping[str, Any] = _NONE
) -> TrainingRequest:
    """Read a training's options from dotted names, such as `params.C` and `0.5`.

    Parameters
    ----------
    pairs : iterable of (str, str)
        A value is read as the declaration of its member says; below the top,
        one that is a JSON list or object is read as that. What a search tries
        may be repeated: each value is one of its list.
    target : str
        The column to predict if none is named.
    members : mapping, optional
        Options that the body has, checked by `schemas.check_members`.

    Returns
    -------
    TrainingRequest
        Without its data.

    Raises
    ------
    InvalidParameter
        With each name that is unknown or repeated, or whose value is wrong; of more
        than 20 with those that were found first.
    """
    given, faults = _given(pairs, members)
    while len(faults) < _MOST_FAULTS:
        document = {"target": target, **members, **_nest(given), "data": {}}
        try:
            request = msgspec.convert(document, TrainingRequest, strict=False)
        except msgspec.ValidationError as error:
            fault = _fault(error, given)
            faults.append(fault)
            for name in _of(fault.parameter or "", given) or list(given):
                del given[name]
            continue
        if faults:
            raise _invalid(faults)
        return request
    raise _invalid(faults[:_MOST_FAULTS])


def _invalid(faults: list[Fault]) -> InvalidParameter:
    at_least = "at least " if len(faults) == _MOST_FAULTS else ""
    more = f" (and {at_least}{len(faults) - 1} more)" if len(faults) > 1 else ""
    return InvalidParameter(faults[0].detail + more, errors=faults)


def _given(
    pairs: Iterable[tuple[str, str]], members: Mapping[str, Any]
) -> tuple[dict[str, str | list[str]], list[Fault]]:
    """Return what each name has, and a fault for each that must not stand there."""
    faults: list[Fault] = []
    given: dict[str, str | list[str]] = {}
    for name, text in pairs:
        top = name.partition(".")[0]
        if name in _LISTS and top not in members and not text.startswith("["):
            held = given.setdefault(name, [])
            if isinstance(held, list):
                held.append(text)
                continue
        if name in given or top in members or top == "data":
            must = "must be the body" if top == "data" else "must stand once"
            faults.append(Fault(parameter=name, detail=f"{name} {must}."))
        else:
            given[name] = text
    return given, faults


def _nest(given: Mapping[str, str | list[str]]) -> dict[str, Any]:
    """Return dotted names as objects within objects."""
    document: dict[str, Any] = {}
    # A longer name comes after the one that it begins with, and takes its place.
    for name in sorted(given):
        *above, last = name.split(".")
        place = document
        for part in above:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = _value(given[name]) if above else given[name]
    return document


def _value(text: str | list[str]) -> Any:
    if isinstance(text, list):
        return [_value(each) for each in text]
    # What no number may be, as in JSON; as an object it is refused wherever it stands.
    if _is_infinite(text):
        return {"": text}
    if text[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            pass
    return text


def _fault(error: msgspec.ValidationError, given: Mapping[str, str | list[str]]) -> Fault:
    said, _, path = str(error).partition(" - at ")
    # msgspec writes `$.params.C`; after `[...]`, any member of a mapping, it is lost.
    place = path.strip("`").removeprefix("$").removeprefix(".").partition("[")[0]
    if (unknown := unknown_member(error)) is not None:
        place = f"{place}.{unknown}" if place else unknown
        return Fault(parameter=place, detail=f"{place} is not an option of a training.")
    wrong = f"it is {json.dumps(given[place][:64])}" if place in given else "it is not"
    if told := choices(TrainingRequest, error):
        return Fault(parameter=place, detail=f"{place} is wrong: {told}.")
    must = said.partition(", got")[0].replace("Expected", "must be", 1)
    return Fault(parameter=place, detail=f"{place} {must}, {wrong}.")


def _of(place: str, given: Mapping[str, str | list[str]]) -> list[str]:
    """Return the names that stand at a place or below it."""
    return [name for name in given if name == place or name.startswith(f"{place}.")]
