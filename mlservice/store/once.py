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
        self._left_out, self._held = b"", b""

    def leave_out(self, text: bytes) -> None:
        """Take no notice of a text in what comes: a form's boundary is another one each time."""
        self._left_out = text

    def add(self, piece: bytes | bytearray) -> None:
        """Take a piece of what was sent."""
        if not self.key:
            return
        if not self._left_out:
            self._sent.update(piece)
            return
        *parts, rest = (self._held + piece).split(self._left_out)
        # The text may begin at the end of a piece, and go on in the next one.
        sure = max(len(rest) - len(self._left_out) + 1, 0)
        for part in (*parts, rest[:sure]):
            self._sent.update(part)
        self._held = rest[sure:]

    @property
    def fingerprint(self) -> str:
        """Digest of what was sent so far."""
        sent = self._sent.copy()
        sent.update(self._held)
        return sent.hexdigest()


# A request that has no key is new each time.
NEVER = Once()
