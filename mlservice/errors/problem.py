"""What every problem type is made of: the tree's branches, its faults and its document."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec


class MlserviceError(Exception):
    """Base of all errors that this project raises on purpose."""


class BadSetting(MlserviceError):
    """A setting, flag or environment variable is wrong."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wrong place in what a client sent."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None


def escape(token: str) -> str:
    """Return a member's name as it stands in an RFC 6901 pointer."""
    return token.replace("~", "~0").replace("/", "~1")


class Problem(MlserviceError):
    """A failure that is told to the client as a problem document."""

    slug: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def document(self) -> dict[str, object]:
        """Return the problem document, without the request's own members."""
        document: dict[str, object] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        if self.errors:
            document["errors"] = msgspec.to_builtins(self.errors)
        return document


class ClientProblem(Problem):
    """What the client sent cannot be done."""


class ServerProblem(Problem):
    """The service could not do what was asked."""


class TrainingProblem(Problem):
    """A training ended without a model."""


def problems() -> Iterator[type[Problem]]:
    """Yield every problem type that a client can meet, in the order of its status."""

    def leaves(kind: type[Problem]) -> Iterator[type[Problem]]:
        for child in kind.__subclasses__():
            if "slug" in vars(child):
                yield child
            yield from leaves(child)

    yield from sorted(leaves(Problem), key=lambda kind: (kind.status, kind.slug))


def explanation(kind: type[Problem]) -> str:
    """Return the words that explain a problem type."""
    return inspect.cleandoc(kind.__doc__ or "")
