"""What single rows have that training had not seen, for answers that have a line for each."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from mlservice.extent import extrapolated, not_seen
from mlservice.preparation import Columns, Texts, labels
from mlservice.schemas import LineWarning
from mlservice.scores import Outside
from mlservice.scoring import Scorer

# More of a row are only counted, so that no answer is many times as long as its body.
MOST_TOLD = 5


@dataclass
class Unseen:
    """What one row has that training had not seen.

    Attributes
    ----------
    told : list of LineWarning
        The first five.
    count : int
        How many there are.
    """

    told: list[LineWarning] = field(default_factory=list)
    count: int = 0


ByRow = Mapping[int, Unseen]


class Novelty:
    """Tells what rows have that a model's training had not seen.

    Parameters
    ----------
    scorer : Scorer
        The model.
    """

    def __init__(self, scorer: Scorer) -> None:
        preparation = scorer.table.preparation
        self._names = [each.name for each in preparation.number_features]
        self._known = {each.name: frozenset(labels(each)) for each in preparation.text_features}
        self._bounds = dict(zip(scorer.features, scorer.extent.bounds, strict=False))

    def by_row(self, columns: Columns, outside: Outside) -> dict[int, Unseen]:
        """Return what is new in rows, by their position; rows with nothing new are left out.

        Parameters
        ----------
        columns : mapping of str to ndarray or Texts
            The model's features by name.
        outside : Outside
            What `TableScorer` has found in these columns.
        """
        found: defaultdict[int, Unseen] = defaultdict(Unseen)
        for row, name, text in self._unseen_texts(columns):
            unseen = found[row]
            unseen.count += 1
            if len(unseen.told) < MOST_TOLD:
                detail = not_seen(name, text)
                unseen.told.append(LineWarning(code="unseen-category", detail=detail, column=name))
        if len(outside.rows):
            self._add_numbers(found, outside)
        return found

    def _unseen_texts(self, columns: Columns) -> Iterator[tuple[int, str, str]]:
        for name, known in self._known.items():
            column = columns[name]
            if isinstance(column, Texts) and (new := set(column.values) - known):
                is_new = np.array([value in new for value in column.values])
                rows = np.flatnonzero(is_new[column.codes] & (column.codes >= 0))
                for row in rows.tolist():
                    yield row, name, column.values[column.codes[row]]

    def _add_numbers(self, found: defaultdict[int, Unseen], outside: Outside) -> None:
        starts, counts = np.unique(outside.rows, return_index=True, return_counts=True)[1:]
        for row, count in zip(outside.rows[starts].tolist(), counts.tolist(), strict=True):
            found[row].count += count
        # Of a row's numbers only those are looked at that may be told.
        first = np.arange(len(outside.rows)) - np.repeat(starts, counts) < MOST_TOLD
        cells = (outside.rows[first], outside.places[first], outside.values[first])
        for row, place, value in zip(*(each.tolist() for each in cells), strict=True):
            told, name = found[row].told, self._names[place]
            if len(told) < MOST_TOLD:
                detail = extrapolated(name, self._bounds[name], value)
                told.append(LineWarning(code="outside-range", detail=detail, column=name))
