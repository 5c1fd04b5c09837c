"""The state of the service, and its problems."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mlservice.errors import Fault


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: Annotated[str | UnsetType, Meta(description="The request's id.")] = UNSET
    errors: list[Fault] | UnsetType = UNSET
    error_count: Annotated[
        int | UnsetType, Meta(description="How many places are wrong; `errors` has the first 20.")
    ] = UNSET
    state: Annotated[
        str | UnsetType, Meta(description="The model's, where it stands against what was asked.")
    ] = UNSET
    scope: Annotated[
        str | UnsetType, Meta(description="The one that a key must have, where it has another.")
    ] = UNSET
    error: Annotated[
        str | UnsetType, Meta(description="The detail, for clients of `/v2` and `/v1`.")
    ] = UNSET
    error_code: Annotated[str | UnsetType, Meta(description="For MLflow's clients.")] = UNSET
    message: Annotated[str | UnsetType, Meta(description="The detail, for MLflow's clients.")] = (
        UNSET
    )


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    live: bool = True


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process can predict, and whether the store and workers are there."""

    live: bool
    ready: bool
    store: bool
    workers: int
    risks: list[str]


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, for a person with curl."""

    status: Literal["alive"]
    name: str
    version: str
    links: dict[str, str]
