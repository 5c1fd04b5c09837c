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
    digest, last = await stage_all_but_last(link, model_id, attempt, artifact)
    if last:
        await _put(link, keys.staged(model_id, attempt), last, is_first=last == artifact)
    return digest


async def stage_all_but_last(
    link: Link, model_id: str, attempt: int, artifact: bytes
) -> tuple[str, bytes]:
    """Put an artifact's pieces where a script finds them, but for the last.

    Returns
    -------
    digest : str
        Of the whole artifact.
    last : bytes
        The piece that the script gets by itself: it is all of a small artifact.
    """
    digest, last = hashlib.sha256(), b""
    for start in range(0, len(artifact), PIECE_BYTES):
        if start:
            is_first = start == PIECE_BYTES
            await _put(link, keys.staged(model_id, attempt), last, is_first=is_first)
        last = artifact[start : start + PIECE_BYTES]
        digest.update(last)
    return digest.hexdigest(), last


async def _put(link: Link, staged: str, piece: bytes, *, is_first: bool) -> None:
    # A repeated commit begins anew.
    fresh = [("UNLINK", staged)] if is_first else []
    await link.batch([*fresh, ("RPUSH", staged, piece), ("PEXPIRE", staged, STAGED_MS)])
