"""A request that may be repeated: its key, and what was sent with it."""

import hashlib

KEPT_MS = 24 * 3600 * 1000


class Once:
    """Tells whether a request came before, by its key, with the same body.

    Parameters
    ----------
    key : str
        The client's key, stored as its digest; empty: the request has none.
    """

    def __init__(self, key: str = "") -> None:
        self.key = hashlib.sha256(key.encode()).hexdigest() if key else ""
        self._sent = hashlib.sha256()

    def add(self, piece: bytes | bytearray) -> None:
        """Take a piece of what was sent."""
        if self.key:
            self._sent.update(piece)

    @property
    def fingerprint(self) -> str:
        """Digest of what was sent so far."""
        return self._sent.hexdigest()


# A request that has no key is new each time.
NEVER = Once()
