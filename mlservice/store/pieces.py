"""Large values, which go to the store and come from it in pieces of 1 MiB."""

import hashlib

from mlservice.store import keys
from mlservice.store.link import Link

PIECE_BYTES = 1024 * 1024
STAGED_MS = 600_000


async def stage(link: Link, model_id: str, attempt: int, artifact: bytes) -> str:
    """Put an artifact where a script finds it, and return its digest.

    Parameters
    ----------
    attempt : int
        Whose artifact it is; 0 is nobody's.
    artifact : bytes
        The stored form of a model. It goes after 10 minutes unless a script commits it.
    """
    staged, digest = keys.staged(model_id, attempt), hashlib.sha256()
    for start in range(0, len(artifact), PIECE_BYTES):
        piece = artifact[start : start + PIECE_BYTES]
        digest.update(piece)
        # A repeated commit begins anew.
        fresh = [("UNLINK", staged)] if start == 0 else []
        await link.batch([*fresh, ("RPUSH", staged, piece), ("PEXPIRE", staged, STAGED_MS)])
    return digest.hexdigest()
