"""About how much memory a training takes, told before anything is trained.

It is held to the measured peaks of a fit's process, of which it is within a factor
of two: `python -m benchmarks.memory`.
"""

from mlservice.preparation import Preparation
from mlservice.schemas import Description, Feature

_NUMBER = 8
# What a fit touches of the modules that its process shares with the others.
_PROCESS = 9_000_000
# A cell of JSON or text as an object of Python, in its list.
_CELL = 40
# The rows, the part that is fitted on, and the solver's own; its steps' scores of each class.
_MATRICES, _SCORES = 3, 4
# Hessian, factors and a work space.
_HESSIANS = 3
# The solver of linear programmes, and its tables, which look whether classes are separated.
_INFERENCE = 20_000_000


def memory_of(description: Description, body_bytes: int) -> int:
    """Return about how many bytes a training's process takes.

    Parameters
    ----------
    description : Description
        Of a request whose table was read.
    body_bytes : int
        Size of the body, decoded of its content coding.
    """
    rows, features = description.rows or 0, description.features or []
    params, n_classes = description.params or {}, len(description.classes or ())
    columns = len(Preparation(tuple(features)).names)
    outputs = n_classes if n_classes > 2 else 1
    found = _PROCESS + body_bytes + _CELL * rows * (len(features) + 1)
    found += _NUMBER * rows * (_MATRICES * _width(features, columns) + _SCORES * outputs)
    if params.get("solver") == "newton-cholesky":
        found += _NUMBER * _HESSIANS * (columns * outputs) ** 2
    if params.get("C", 1.0) is None:
        found += _INFERENCE
    return found


def _width(features: list[Feature], columns: int) -> int:
    """Return how many numbers a row of the matrix has; a sparse one has each with its place."""
    return min(columns, 2 * len(features))
