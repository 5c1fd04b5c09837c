"""The catalogue of parameters says what the check does."""

from typing import Any, get_args

import msgspec
import pytest

from mlservice.catalogue import Catalogue, CatalogueEntry, Params, Solver, catalogue
from mlservice.errors import InvalidRequest
from mlservice.params import resolve
from mlservice.schemas import read_training
from tests.support import Client, get

ENTRIES = {entry.name: entry for entry in catalogue().params}


def is_taken(name: str, value: Any) -> bool:
    """Tell whether a request with this parameter passes the check of its members."""
    body = {"data": {"x": [1]}, "target": "y", "params": {name: value}}
    try:
        read_training(msgspec.json.encode(body))
    except InvalidRequest:
        return False
    return True


def test_catalogue_has_every_parameter() -> None:
    """The names are those of the declaration, in its order."""
    assert list(ENTRIES) == list(Params.__struct_fields__)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_ends_of_a_range_are_those_of_the_check(entry: CatalogueEntry) -> None:
    """The least and the greatest number are taken, and none beyond."""
    if entry.range is None:
        assert not {"number", "integer"} & set(entry.types) or "object" in entry.types
        return
    least, above, most = entry.range.minimum, entry.range.exclusive_minimum, entry.range.maximum

    assert least is None or (is_taken(entry.name, least) and not is_taken(entry.name, least - 1))
    assert above is None or not is_taken(entry.name, above)
    assert most is None or (is_taken(entry.name, most) and not is_taken(entry.name, most + 1))


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_types_are_those_of_the_check(entry: CatalogueEntry) -> None:
    """A value of a type that is listed is taken, one of another type is refused."""
    text = entry.values[0] if entry.values else "text"
    values = {"null": None, "string": text, "boolean": True, "number": 0.5, "object": {"a": 1.0}}

    taken = {kind for kind, value in values.items() if is_taken(entry.name, value)}

    assert taken == set(entry.types) - {"integer"}
    assert all(is_taken(entry.name, value) for value in entry.values or [])


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_default_is_what_a_request_gets_that_leaves_it_out(entry: CatalogueEntry) -> None:
    """A default may be sent, and changes nothing."""
    sent = msgspec.convert({entry.name: entry.default}, Params)

    assert resolve(sent, [0, 1]) == resolve(Params(), [0, 1])


def test_solvers_and_levels_are_told() -> None:
    """A parameter that one solver takes says so; the others act on each."""
    assert ENTRIES["intercept_scaling"].solvers == ["liblinear"]
    assert ENTRIES["C"].solvers == list(get_args(Solver))
    assert (ENTRIES["C"].level, ENTRIES["tol"].level) == ("basic", "advanced")
    assert ENTRIES["solver"].values
    assert set(ENTRIES["solver"].values) == {*get_args(Solver), "auto"}


async def test_catalogue_is_served(client: Client) -> None:
    """`GET /params` answers with the whole of it."""
    document = await get(client, "/params")

    assert msgspec.convert(document, Catalogue) == catalogue()
