"""scikit-learn's fits without the search for an array library in each of their steps.

scikit-learn 1.9 finds out anew, whenever it evaluates the loss of a linear model, which
library the arrays are of and on which device: a fifth of lbfgs's time on a small table.
Here they are numpy's, or scipy's sparse ones. The arithmetic stays scikit-learn's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.linear_model import _linear_loss

# By the names under which the module of the losses knows scikit-learn's own.
ANSWERS: dict[str, Callable[..., Any]] = {
    "get_namespace": lambda *_: (np, False),
    "get_namespace_and_device": lambda *_: (np, False, None),
    "move_to": lambda array, **_: array,
}


@contextmanager
def numpy_only() -> Iterator[None]:
    """Answer in scikit-learn's stead, for what is fitted meanwhile in this process."""
    own = {name: getattr(_linear_loss, name) for name in ANSWERS if hasattr(_linear_loss, name)}
    for name in own:
        setattr(_linear_loss, name, ANSWERS[name])
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(_linear_loss, name, function)
