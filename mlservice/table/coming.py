"""A body whose end may be on its way, and whose beginning need not be kept."""

from typing import Protocol


class Coming(Protocol):
    """How a body comes, all of which is in one bytearray unless some of it is forgotten.

    Attributes
    ----------
    most_bytes : int
        How large it is at most, 0 where that is not known.
    """

    most_bytes: int

    def reach(self, size: int) -> int:
        """Wait until so many bytes are there, or all, and tell how many are.

        What was taken from the beginning is not counted.
        """

    def forget(self, size: int) -> int:
        """Take bytes that were read from the beginning, and tell how many: all, or none."""

    def again(self) -> None:
        """Have the body as it was before any of it was forgotten; from now on all is kept."""


class Whole:
    """A body that is there.

    Parameters
    ----------
    body : bytes
        It is kept as it is.
    """

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = body
        self.most_bytes = len(body)

    def reach(self, size: int) -> int:  # noqa: ARG002  # a Coming
        """Tell how many bytes there are."""
        return len(self._body)

    def forget(self, size: int) -> int:  # noqa: ARG002  # a Coming
        """Forget nothing."""
        return 0

    def again(self) -> None:
        """Do nothing: all of it is there."""
