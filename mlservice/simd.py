"""JSON by simdjson, which the extra `fast` has, and a parser that keeps its memory.

Of a large body a third of the time went into fresh memory. One parser is kept for
who comes next; who comes meanwhile makes one.
"""

import importlib.util
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

HAS_SIMD = importlib.util.find_spec("simdjson") is not None
# Below, importing it and filling its buffers costs more than it saves: measured.
FROM_BYTES = 1 << 14
# What a parser has keeps is up to 13 times the text.
_KEPT_BYTES = 8 << 20
_spare: deque[Any] = deque(maxlen=1)


def read(text: bytes | bytearray, build: Callable[[Any], T]) -> T:
    """Parse a text, and return what is made of its document.

    Parameters
    ----------
    build : callable
        Takes what simdjson gives for the document, and keeps nothing of it.

    Raises
    ------
    ValueError, TypeError, AttributeError, KeyError, RuntimeError
        For what is no JSON, or not of the type that is asked for.
    """
    import simdjson

    try:
        parser: Any = _spare.pop()
    except IndexError:
        parser = simdjson.Parser()
    found = build(parser.parse(text))
    if len(text) <= _KEPT_BYTES:
        _spare.append(parser)
    return found


def numbers(cells: Any) -> NDArray[np.float64]:
    """Return all numbers of an array and of those in it, in their order, of shape (n,)."""
    return np.frombuffer(cells.as_buffer(of_type="d"), np.float64)


def lists_in(text: bytes | bytearray) -> int:
    """Return how many arrays a text of numbers opens, which `numbers` does not show."""
    # Numpy takes a quarter of the time that bytes' own count does.
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("[")))
