"""Which class is predicted: the likeliest, or by thresholds; and which are told."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import Fault, InvalidParameter
from mlservice.scores import Scored

Threshold = float | Mapping[str, float] | None


def check_threshold(threshold: Threshold, label_names: list[str]) -> dict[int, float]:
    """Return thresholds by the position of their class.

    Parameters
    ----------
    threshold : float, mapping of str to float, or None
        Of the second of two classes, or by class as JSON writes its label.

    Raises
    ------
    InvalidParameter
        If it is one number for more than two classes, or names what is no class.
    """
    if threshold is None:
        return {}
    if not isinstance(threshold, Mapping):
        if len(label_names) > 2:
            raise _wrong(f"threshold must be by class for {len(label_names)} classes, it is one.")
        return {1: threshold}
    for name in threshold:
        if name not in label_names:
            raise _wrong(f"threshold must name classes of the model, {name[:64]!r} is none.")
    return {label_names.index(name): value for name, value in threshold.items()}


def _wrong(detail: str) -> InvalidParameter:
    return InvalidParameter(detail, errors=[Fault(parameter="threshold", detail=detail)])


def choose(scored: Scored, thresholds: Mapping[int, float]) -> NDArray[np.intp]:
    """Return the position of the class that each row is predicted to be.

    Of the classes that have a threshold and reach it, the one that exceeds it most;
    where none does, the likeliest of the others; where there are no others, the
    likeliest of all.

    Parameters
    ----------
    thresholds : mapping of int to float
        Least probabilities by the position of their class.
    """
    n_classes = scored.probabilities.shape[1]
    if not thresholds:
        return scored.positions
    named = np.array(sorted(thresholds), dtype=np.intp)
    margins = scored.probabilities[:, named] - [thresholds[place] for place in named.tolist()]
    others = np.setdiff1d(np.arange(n_classes), named)
    rest = scored.positions
    if len(others):
        rest = others[scored.probabilities[:, others].argmax(axis=1)]
    reached = named[margins.argmax(axis=1)]
    return np.where(margins.max(axis=1) >= 0, reached, rest)


def likeliest(probabilities: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the positions of each row's likeliest classes, of shape (n_samples, count)."""
    ordered: NDArray[np.intp] = np.argsort(-probabilities, axis=1, kind="stable")
    return ordered[:, :count]
