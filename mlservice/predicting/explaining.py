"""What each feature of a row adds to the log-odds: exact, since the model is linear."""

import numpy as np
from numpy.typing import NDArray

from mlservice.preparation import Columns, by_label, encoded, places_of
from mlservice.scoring import Scorer


def contributions(scorer: Scorer, columns: Columns) -> NDArray[np.float64]:
    """Return what each feature adds, in the units of the input.

    Parameters
    ----------
    columns : mapping of str to ndarray or Texts
        As `TableScorer.score` takes them.

    Returns
    -------
    ndarray of shape (n_samples, n_rows of coef, n_features)
        A number's coefficient times its value, or the value that it is filled with;
        the coefficient of a text's category, 0 of a reference. With `intercepts` they sum
        to the row's log-odds. One row of coef for two classes: the second.

    Notes
    -----
    They are finite where the row has a score, as is a model's intercept in the units of
    the input.
    """
    preparation = scorer.table.preparation
    coef, _ = preparation.in_units_of_input(scorer.estimator.coef_, scorer.estimator.intercept_)
    numbers = preparation.numbers(columns, None)
    found = np.empty((len(numbers), len(coef), len(preparation.features)))
    number, column = 0, numbers.shape[1]
    for place, feature in enumerate(preparation.features):
        if feature.kind == "number":
            found[:, :, place] = numbers[:, number, None] * coef[:, number]
            number += 1
            continue
        stop = column + len(encoded(feature))
        added = by_label(feature, coef[:, column:stop].T)
        found[:, :, place] = added[places_of(feature, columns[feature.name])]
        column = stop
    return found


def intercepts(scorer: Scorer) -> NDArray[np.float64]:
    """Return the log-odds that no feature adds, of shape (n_rows of coef,)."""
    estimator = scorer.estimator
    _, found = scorer.table.preparation.in_units_of_input(estimator.coef_, estimator.intercept_)
    return found


def explained_classes(scorer: Scorer) -> list[str]:
    """Return the classes that contributions are of: all, or the second of two."""
    return scorer.label_names[-len(scorer.estimator.coef_) :]
