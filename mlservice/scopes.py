"""What a key allows: each scope, and which others it holds."""

from typing import Literal, get_args

Scope = Literal["open", "predict", "train", "admin"]

# What a key can have; whoever may train may predict, and an administrator may do both.
SCOPES: tuple[Scope, ...] = get_args(Scope)[1:]


def allows(held: Scope, needed: Scope) -> bool:
    """Tell whether a key of the scope `held` may do what needs `needed`."""
    order: tuple[Scope, ...] = get_args(Scope)
    return order.index(held) >= order.index(needed)
