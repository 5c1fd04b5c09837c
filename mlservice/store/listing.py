"""Which models a page of a list has, found by looking at a bounded number of them."""

from mlservice.schemas import Summary
from mlservice.store import keys
from mlservice.store.link import Link
from mlservice.store.records import SUMMARY_FIELDS, read_summary

SCANNED_AT_ONCE, MOST_SCANS = 500, 10


async def page_of(
    link: Link, tenant: str, *, limit: int, before: int | None, state: str, prefix: str
) -> tuple[list[Summary], int | None]:
    """Return a page's models, and where the next page begins.

    The parameters are those of `Models.page`.
    """
    ids, more = await _find(link, tenant, limit=limit, before=before, state=state, prefix=prefix)
    found = await link.read([("HMGET", keys.record(each), *SUMMARY_FIELDS) for each in ids])
    summaries = (read_summary(*pair) for pair in zip(ids, found, strict=True))
    return [each for each in summaries if each], more


async def _find(
    link: Link, tenant: str, *, limit: int, before: int | None, state: str, prefix: str
) -> tuple[list[str], int | None]:
    """Return the ids of a page's models, and where the next page begins.

    The parameters are those of `Models.page`.
    """
    ids: list[str] = []
    at_once = SCANNED_AT_ONCE if state or prefix else limit
    for _ in range(MOST_SCANS):
        scanned, more = await _scan(link, tenant, before, at_once)
        if state or prefix:
            scanned = await _matching(link, scanned, state, prefix)
        room = limit - len(ids)
        ids += [model_id for model_id, _ in scanned[:room]]
        if len(scanned) > room:
            more = scanned[room - 1][1]
        before = more
        if more is None or len(ids) == limit:
            break
    return ids, before


async def _scan(
    link: Link, tenant: str, before: int | None, most: int
) -> tuple[list[tuple[str, int]], int | None]:
    """Return ids and sequence numbers, and where to go on if anything follows."""
    highest = "+inf" if before is None else f"({before}"
    found = await link.call(
        "ZRANGE", keys.models(tenant), highest, "-inf", "BYSCORE", "REV",
        "LIMIT", 0, most + 1, "WITHSCORES",
    )  # fmt: skip
    # Members and scores in turn.
    pairs = [
        (member.decode(), int(score)) for member, score in zip(found[::2], found[1::2], strict=True)
    ]
    return pairs[:most], pairs[most - 1][1] if len(pairs) > most else None


async def _matching(
    link: Link, scanned: list[tuple[str, int]], state: str, prefix: str
) -> list[tuple[str, int]]:
    told = await link.read(
        [("HMGET", keys.record(model_id), "state", "name") for model_id, _ in scanned]
    )
    return [
        pair
        for pair, (found, name) in zip(scanned, told, strict=True)
        if found and (not state or found.decode() == state)
        if (name or b"").decode().startswith(prefix)
    ]
