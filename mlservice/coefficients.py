"""A model's numbers as its document tells them: by class and column, in the units of the input."""

from typing import Any

import numpy as np

from mlservice.errors import NumericalFailure
from mlservice.model import Model
from mlservice.preparation import Preparation
from mlservice.schemas import label_name

# A document with more would be megabytes; the artifact has them all.
MOST_TOLD = 100_000


def describe(model: Model) -> dict[str, Any]:
    """Return the members of a description that the model itself has.

    Parameters
    ----------
    model : Model
        With coefficients for the columns of its matrix.

    Returns
    -------
    dict
        Members of `Description`; `coefficients` is None where they are too many.

    Raises
    ------
    NumericalFailure
        If a coefficient overflows in the units of the input.
    """
    names = [label_name(label) for label in model.classes]
    # With two classes the one row of coefficients is that of the second.
    names = names[-len(model.coef) :]
    preparation = Preparation(model.features)
    with np.errstate(over="ignore", invalid="ignore"):
        coef, intercept = preparation.in_units_of_input(model.coef, model.intercept)
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise NumericalFailure("The coefficients must be finite in the units of the input.")
    coefficients = None
    if coef.size <= MOST_TOLD:
        columns = preparation.names
        coefficients = {
            name: dict(zip(columns, row, strict=True))
            for name, row in zip(names, coef.tolist(), strict=True)
        }
    return {
        "features": list(model.features),
        "coefficients": coefficients,
        "intercept": dict(zip(names, intercept.tolist(), strict=True)),
        "n_iter": list(model.n_iter),
        "provenance": model.provenance,
    }
