"""Scopes, and the routes that name them."""

from typing import Any, get_args

import pytest

from mlservice.handlers import operations
from mlservice.routes import ROUTES
from mlservice.routes.route import route
from mlservice.scopes import Scope, allows


@pytest.mark.parametrize(
    ("held", "allowed"),
    [
        ("predict", {"open", "predict"}),
        ("train", {"open", "predict", "train"}),
        ("admin", {"open", "predict", "train", "admin"}),
    ],
)
def test_a_scope_holds_those_below_it(held: Scope, allowed: set[str]) -> None:
    """Who may train may predict, and an administrator may do both."""
    assert {each for each in get_args(Scope) if allows(held, each)} == allowed


@pytest.mark.parametrize("each", ROUTES, ids=lambda each: f"{each.method} {each.path}")
def test_a_route_has_a_scope(each: Any) -> None:
    """Every row of the table says who may call it, with a scope that there is."""
    assert each.scope in get_args(Scope)


def test_a_route_without_a_scope_cannot_be_made() -> None:
    """Whoever adds a row must decide."""
    unscoped: dict[str, Any] = {"answers": []}

    with pytest.raises(TypeError, match="scope"):
        route("GET", "/x", operations.live, **unscoped)


def test_no_route_to_models_or_aliases_is_open() -> None:
    """What belongs to somebody always needs a key."""
    owned = [each for each in ROUTES if {"{id}", "{alias}", "models", "aliases"} & _parts(each)]

    assert len(owned) > 10
    assert [each.path for each in owned if each.scope == "open"] == []


def _parts(each: Any) -> set[str]:
    return set(each.path.split("/"))
