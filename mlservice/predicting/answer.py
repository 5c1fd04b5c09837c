"""What is answered: predictions of rows, before they are written in a media type."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.predicting.choosing import check_threshold, choose, likeliest
from mlservice.predicting.explaining import contributions
from mlservice.predicting.options import Options
from mlservice.preparation import Columns
from mlservice.schemas import Label
from mlservice.scores import Scored
from mlservice.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class Form:
    """What each row's answer has: the same for all rows of a request, checked once.

    Attributes
    ----------
    scorer : Scorer
        The model.
    options : Options
        What was asked.
    thresholds : dict of int to float
        By the position of their class.
    """

    scorer: Scorer
    options: Options
    thresholds: dict[int, float]

    @cached_property
    def labels(self) -> NDArray[np.object_]:
        """The classes, ready to be taken by position."""
        found = np.empty(len(self.scorer.labels), dtype=object)
        found[:] = self.scorer.labels
        return found

    @property
    def cells_of_row(self) -> int:
        """How many numbers are told of a row."""
        explained = self.scorer.estimator.coef_.shape[0] * len(self.scorer.features)
        return len(self.scorer.labels) + (explained if self.options.explain else 0)

    @property
    def top(self) -> int | None:
        """How many classes are told of each row, None for all."""
        asked = self.options.top
        return None if asked is None else min(asked, len(self.scorer.labels))


def form_of(scorer: Scorer, options: Options) -> Form:
    """Return the form of an answer.

    Raises
    ------
    InvalidParameter
        If a threshold does not fit the model's classes.
    """
    thresholds = check_threshold(options.threshold, scorer.label_names)
    return Form(scorer=scorer, options=options, thresholds=thresholds)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Predictions of some rows.

    Attributes
    ----------
    form : Form
        What each row's answer has.
    positions : ndarray of shape (n_samples,), intp
        The class that each row is predicted to be, by its position in the model's.
    probabilities : ndarray of shape (n_samples, n_classes)
        Or (n_samples, top), then of the classes that `top` names.
    top : list of list of label, optional
        The likeliest classes of each row.
    contributions : ndarray of shape (n_samples, n_rows of coef, n_features), optional
        As `explaining.contributions` gives them.
    """

    form: Form
    positions: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    top: list[list[Label]] | None = None
    contributions: NDArray[np.float64] | None = None

    @cached_property
    def predictions(self) -> list[Label]:
        """The label of each row's class."""
        return self.labels_of(slice(None))

    def labels_of(self, rows: slice) -> list[Label]:
        """Return the labels of some rows' classes."""
        found: list[Label] = self.form.labels[self.positions[rows]].tolist()
        return found


def answer(form: Form, scored: Scored, columns: Columns) -> Answer:
    """Put scores into the form that was asked for."""
    told: dict[str, Any] = {"probabilities": scored.probabilities}
    if form.top is not None:
        places = likeliest(scored.probabilities, form.top)
        told["probabilities"] = np.take_along_axis(scored.probabilities, places, axis=1)
        told["top"] = form.labels[places].tolist()
    if form.options.explain:
        told["contributions"] = contributions(form.scorer, columns)
    return Answer(form=form, positions=choose(scored, form.thresholds), **told)
