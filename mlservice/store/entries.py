"""The shape of a queue's entry; `jobs` builds them, the store writes them."""

from collections.abc import Callable
from typing import Protocol


class Entry(Protocol):
    """What the store needs to know of an entry."""

    @property
    def id(self) -> str:
        """arq's id of the entry."""

    @property
    def payload(self) -> bytes:
        """What arq hands to the worker."""


EntryBuilder = Callable[[str, int], Entry]
