"""Where aliases point."""

from typing import Annotated

import msgspec
from msgspec import Meta


class AliasRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /aliases/{alias}`."""

    model: Annotated[str, Meta(description="Id of the model to point at; it must be ready.")]


class AliasTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A model that an alias pointed at, and since when."""

    model: str
    moved_at: str


class AliasDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alias points, and where it did before."""

    alias: str
    model: str
    moved_at: str
    previous: Annotated[str | None, Meta(description="The model that it pointed at before.")]
    history: Annotated[list[AliasTarget], Meta(description="Newest first, at most 100.")]
    warnings: list[str] = []


class AliasList(msgspec.Struct, frozen=True, kw_only=True):
    """All aliases, by name."""

    aliases: list[AliasDocument]
