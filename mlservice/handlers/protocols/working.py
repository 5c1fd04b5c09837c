"""The work of a prediction: on the event loop or beside it, and counted."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from mlservice.errors import ClientProblem
from mlservice.instances import Positions
from mlservice.scoring import Scorer

T = TypeVar("T")
Arguments = tuple[object, ...]


async def worked(
    scorer: Scorer,
    work: Callable[..., tuple[T, Positions]],
    arguments: Arguments,
    *,
    beside: bool,
) -> T:
    """Return what was made of a request, its rows counted by their class.

    Parameters
    ----------
    work : callable
        Gives an answer, and for each row the position of its class.
    arguments : tuple
        The work's.
    beside : bool
        Whether it takes longer than handing it to a thread and back.

    Raises
    ------
    ClientProblem
        As the work does; it is counted as an error.
    """
    begun = time.perf_counter()
    try:
        told, rows = await asyncio.to_thread(work, *arguments) if beside else work(*arguments)
    except ClientProblem:
        scorer.counts.errors += 1
        raise
    if len(rows) == 1:
        scorer.counts.add_row(int(rows[0]), begun)
    else:
        by_class = np.bincount(rows, minlength=len(scorer.labels)).tolist()
        scorer.counts.add_rows(by_class, begun)
    return told
