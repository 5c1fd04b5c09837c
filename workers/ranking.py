"""Rows in the order of a class's probability: what each threshold takes, right and wrong."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
MOST_POINTS = 100
# The sort of so many takes 5 to 25 ms.
_MANY = 500_000


def rank(score: Vector, is_class: NDArray[np.bool_], weight: Vector) -> "Ranking":
    """Rank rows by the probability of one class.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
        Probability of the class.
    is_class : ndarray of shape (n_samples,)
        Whether each row has it.
    weight : ndarray of shape (n_samples,)
        Weight of each row.
    """
    if not (weight != 1).any():
        return _rank_unweighted(score, is_class)
    # Among equal scores the order of rows matters to the rounding of weights.
    order = np.argsort(-score, kind="stable")
    score, weight, is_class = score[order], weight[order], is_class[order]
    last = _last(score)
    return Ranking(
        threshold=score[last],
        tps=np.cumsum(weight * is_class)[last],
        fps=np.cumsum(weight * ~is_class)[last],
    )


def _rank_unweighted(score: Vector, is_class: NDArray[np.bool_]) -> "Ranking":
    # Numbers that are not negative sort as their bits do. With the class as a last bit one
    # sort gives all, in half the time of finding the order and taking rows by it.
    keys = (score + 0.0).view(np.uint64) << np.uint64(1) | is_class
    _sort(keys)
    keys = keys[::-1]
    score, hits = (keys >> np.uint64(1)).view(np.float64), keys & np.uint64(1)
    last = _last(score)
    tps = np.cumsum(hits, dtype=np.float64)[last]
    return Ranking(threshold=score[last], tps=tps, fps=last + 1 - tps)


def _sort(keys: NDArray[np.uint64]) -> None:
    """Sort in place; many by two threads, whose halves are then merged."""
    if len(keys) < _MANY:
        keys.sort()
        return
    first, second = np.array_split(keys, 2)
    other = threading.Thread(target=first.sort)
    try:
        other.start()
    except RuntimeError:
        # There is no memory for its stack.
        first.sort()
    second.sort()
    if other.ident:
        other.join()
    # What is two sorted runs is merged by timsort.
    keys.sort(kind="stable")


def _last(score: Vector) -> NDArray[np.intp]:
    """Return the place of the last row of each probability."""
    return np.append(np.flatnonzero(np.diff(score)), len(score) - 1)


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Weights of rows at or above each threshold, of the class and of the others."""

    threshold: Vector
    tps: Vector
    fps: Vector

    def roc_auc(self) -> float | None:
        """Return the area under the ROC, None without rows of both kinds."""
        if not (self.tps[-1] and self.fps[-1]):
            return None
        # Shares first: products of weights may not fit in float64.
        heights = (np.append(0, self.tps[:-1]) + self.tps) / self.tps[-1]
        area = float(np.sum(np.diff(self.fps, prepend=0) / self.fps[-1] * heights) / 2)
        # Rounding may add a last bit to the whole.
        return min(area, 1.0)

    def average_precision(self) -> float | None:
        """Return the mean precision over the steps of recall, None without the class."""
        if not self.tps[-1]:
            return None
        steps = np.diff(self.tps, prepend=0) / self.tps[-1]
        return min(float(np.sum(steps * self.precision())), 1.0)

    def precision(self) -> Vector:
        """Return the share of the class at or above each threshold."""
        found = self.tps + self.fps
        return np.divide(self.tps, found, out=np.zeros_like(found), where=found > 0)

    def some(self) -> NDArray[np.intp]:
        """Return at most 99 positions, the first and the last among them."""
        return _thin(np.arange(len(self.threshold)))

    def corners(self) -> NDArray[np.intp]:
        """Return at most 99 positions where the ROC turns."""
        turns = (np.diff(each, 2, prepend=0) != 0 for each in (self.fps, self.tps))
        return _thin(np.flatnonzero(np.append(np.logical_or(*turns), True)))


def _thin(positions: NDArray[np.intp]) -> NDArray[np.intp]:
    count = len(positions)
    return positions[np.linspace(0, count - 1, min(count, MOST_POINTS - 1)).astype(np.intp)]
