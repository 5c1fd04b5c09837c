"""Which of the media types that an answer can have a client takes: `Accept` (RFC 9110)."""

from collections.abc import Iterator, Sequence

from mlservice.errors import NotAcceptable


def negotiated(accept: str, offers: Sequence[str]) -> str:
    """Return the offer that a client prefers, the first of those it likes equally.

    Parameters
    ----------
    accept : str
        The header as it was sent; empty: everything is accepted.
    offers : sequence of str
        Media types without parameters, the preferred one first.

    Raises
    ------
    NotAcceptable
        If none of them is accepted.
    """
    if not accept.strip() or accept == "*/*":
        return offers[0]
    ranges = list(_ranges(accept))
    best = max(offers, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) > 0:
        return best
    listed = ", ".join(offers)
    raise NotAcceptable(f"Accept must name one of {listed}, it is {accept[:200]!r}.")


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for each in accept.split(","):
        name, *parameters = (part.strip().lower() for part in each.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        yield name, _number(quality)


def _number(quality: str) -> float:
    # A weight that cannot be read is no reason to refuse.
    is_decimal = quality[:5].replace(".", "", 1).isdecimal()
    return min(float(quality[:5]), 1.0) if is_decimal else 1.0


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of the most specific range that has the offer."""
    kind = offer.partition("/")[0]
    for wanted in (offer, f"{kind}/*", "*/*"):
        for name, quality in ranges:
            if name == wanted:
                return quality
    return 0.0
