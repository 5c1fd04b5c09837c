"""From a training request to the matrix and labels of a fit, all checks done.

The service runs this on small bodies before it answers, and a worker runs it
on every body; both tell the same faults in the same words.
"""

import hashlib
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice import weights
from mlservice.errors import Fault, InvalidTable, SingleClass
from mlservice.kinds import check_name, check_whole, read_column
from mlservice.labels import cells, read_labels
from mlservice.learning import learn
from mlservice.limits import check_categories, check_columns, check_model, check_size
from mlservice.model import Model
from mlservice.params import resolve
from mlservice.points import Plan, plan
from mlservice.preparation import Column, Columns, Matrix, Preparation, Texts, contiguous
from mlservice.remarks import remarks
from mlservice.schemas import (
    Description,
    Feature,
    FitWarning,
    Label,
    Preprocessing,
    TrainingRequest,
)
from mlservice.settings import Settings
from mlservice.splits import Splits, split, taken
from mlservice.table import Faults, Table, from_json


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What an estimator is fitted on.

    Attributes
    ----------
    columns : mapping of str to ndarray or Texts
        The features as they were sent, in their order.
    target : str
        Name of the column that is predicted.
    preprocessing : Preprocessing
        How columns are prepared.
    preparation : Preparation
        What was learnt for it, from all samples.
    X : ndarray or csr_array of shape (n_samples, n_columns), float64
        Samples, prepared. Complete numbers are as they were sent, C-contiguous.
    y : ndarray of shape (n_samples,), intp
        Position of each sample's class in `classes`.
    classes : tuple of str, int or bool
        The target's values, sorted, of one type.
    params : dict
        The estimator's parameters, see `params.resolve`.
    splits : Splits
        Which rows are held out, and which make the folds.
    is_automatic : bool
        Whether the solver may be exchanged for another.
    sample_weight : ndarray of shape (n_samples,), optional
        What each sample counts.
    weighted_by : str, optional
        Name of the column of weights.
    search : Plan, optional
        Parameters to choose from; `params` are those of its first point until then.
    parent : Model, optional
        Whose coefficients the fit of all samples starts from.
    """

    columns: Columns
    target: str
    preprocessing: Preprocessing
    preparation: Preparation
    X: Matrix
    y: NDArray[np.intp]
    classes: tuple[Label, ...]
    params: dict[str, Any]
    splits: Splits
    is_automatic: bool = False
    sample_weight: NDArray[np.float64] | None = None
    weighted_by: str | None = None
    search: Plan | None = None
    parent: Model | None = None

    def take(self, rows: NDArray[np.intp]) -> "Dataset":
        """Return what is fitted on some of the samples; its preparation knows no others.

        It has no parent, which may know the others.
        """
        preparation = learn(self.columns, self.preprocessing, rows)
        X = self.prepared(preparation, rows)
        weight = None if self.sample_weight is None else self.sample_weight[rows]
        return replace(
            self, preparation=preparation, X=X, y=self.y[rows], sample_weight=weight, parent=None
        )

    def prepared(self, preparation: Preparation, rows: NDArray[np.intp] | None) -> Matrix:
        """Prepare samples, all if `rows` are left out, by what was learnt from these or others."""
        if rows is None and preparation == self.preparation:
            return self.X
        if preparation.is_identity:
            return self.X[rows]
        return preparation.transform(self.columns, rows)

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features, with what was learnt of each."""
        return self.preparation.features

    def remarks(self) -> list[FitWarning]:
        """Return what is odd about the table."""
        return remarks(self.columns, self.preparation, self.y, self.classes)

    def describe(self) -> Description:
        """Return what the request alone tells of its model."""
        search, evaluation = self.search, self.splits.evaluation
        optimistic = search.told(evaluation) if search else []
        return Description(
            rows=len(self.y),
            features=list(self.features),
            target=self.target,
            classes=list(self.classes),
            params=search.shared if search else self.params,
            preprocessing=self.preprocessing,
            sample_weight=self.weighted_by,
            evaluation=evaluation,
            search=search.document() if search else None,
            warnings=[*self.splits.told, *optimistic, *self.remarks()],
        )

    def digest(self) -> str:
        """Return the SHA-256 of names, labels and values, the same for each form."""
        digest = Digest(self)
        for column in contiguous(self.columns):
            digest.add(column)
        return digest.finish()


class Digest:
    """The digest of a dataset, to which its columns are added in their order."""

    def __init__(self, dataset: Dataset) -> None:
        names = [list(dataset.columns), dataset.target, dataset.classes]
        self._dataset = dataset
        self._seen = hashlib.sha256(msgspec.json.encode(names))

    def add(self, column: Column) -> None:
        """Add a column."""
        self._seen.update(_values(column))

    def finish(self) -> str:
        """Add labels and weights, and return the digest in hexadecimal digits."""
        dataset = self._dataset
        self._seen.update(dataset.y.astype("<i8", copy=False).data)
        if dataset.sample_weight is not None:
            self._seen.update(dataset.sample_weight.astype("<f8", copy=False).data)
        return self._seen.hexdigest()


def prepare(request: TrainingRequest, limits: Settings, table: Table | None = None) -> Dataset:
    """Check a request's table and parameters, and build what is fitted.

    Parameters
    ----------
    request : TrainingRequest
        What the client asks for.
    limits : Settings
        Limits on the table.
    table : Table, optional
        The table, where the request's `data` is not it.

    Raises
    ------
    InvalidTable
        If the target is absent, or a column cannot be used.
    SingleClass
        If the target has one class.
    TableTooLarge
        If a limit on features, categories, columns, classes, cells or coefficients is passed.
    InvalidParams
        If the parameters do not fit together or to the classes.
    InvalidEvaluation, InvalidSearch
        If the rows cannot be parted as was asked for.
    """
    table = table or from_json(request.data)
    roles, names = _roles(request, table)
    _check_size(table, names, limits)
    classes, y, columns, weight = _read(request, table, names, roles)
    options = request.preprocessing
    preparation = _learn(columns, options, limits)
    _check_classes(classes, request.target, table, len(preparation.names), limits)
    X = preparation.transform(columns)
    parting = {role: cells(table, name) for role, name in roles.items()}
    splits = split(request.evaluation, y, classes, parting, weight)
    params, search = _params(request, classes, splits, (X.shape[0], X.shape[1]), limits)
    return Dataset(
        columns=_views(X, columns) if preparation.is_identity else columns,
        target=request.target,
        preprocessing=options,
        preparation=preparation,
        X=X,
        y=y,
        classes=classes,
        params=params,
        is_automatic=request.params.solver == "auto",
        splits=splits,
        search=search,
        sample_weight=weight,
        weighted_by=request.sample_weight,
    )


def _roles(request: TrainingRequest, table: Table) -> tuple[dict[str, str], list[str]]:
    """Return the columns that part the rows, by what they do, and the features' names."""
    if request.target not in table.columns:
        raise _no_target(request.target, table)
    roles = taken(request.evaluation, list(table.columns), request.target)
    used = {request.target, *roles.values()}
    weights.check_column(request.sample_weight, table.columns, used)
    used |= {request.sample_weight} if request.sample_weight else set()
    return roles, [name for name in table.columns if name not in used]


def _read(
    request: TrainingRequest, table: Table, names: list[str], roles: dict[str, str]
) -> tuple[tuple[Label, ...], NDArray[np.intp], dict[str, Column], NDArray[np.float64] | None]:
    """Return classes, codes, features' columns and weights, all that is wrong told at once."""
    faults = Faults()
    check_name(table, request.target, faults)
    classes, y = read_labels(table, request.target, faults)
    columns = {name: read_column(table, name, request.preprocessing, faults) for name in names}
    for role, name in roles.items():
        check_whole(table, name, role, faults)
    weighting = request.sample_weight
    weight = None if weighting is None else weights.read(table, weighting, faults)
    faults.check()
    if weight is not None:
        weights.check_classes(weight, y, classes)
    return classes, y, columns, weight


def _params(
    request: TrainingRequest,
    classes: tuple[Label, ...],
    splits: Splits,
    shape: tuple[int, int],
    limits: Settings,
) -> tuple[dict[str, Any], Plan | None]:
    """Return the estimator's parameters, of a search those of its first point."""
    if request.search is not None:
        search = plan(request.search, request.params, classes, splits, shape=shape, limits=limits)
        return search.params[0], search
    return resolve(request.params, list(classes), shape=shape), None


def _learn(columns: Columns, options: Preprocessing, limits: Settings) -> Preparation:
    """Learn the preparation from all rows, its size within the limits."""
    for name, column in columns.items():
        if isinstance(column, Texts):
            check_categories(name, len(column.values), limits)
    preparation = learn(columns, options)
    check_columns(preparation, limits)
    return preparation


def _views(X: Matrix, columns: Columns) -> dict[str, Column]:
    """Return the same columns within the matrix, so that memory holds them once."""
    return {name: X[:, place] for place, name in enumerate(columns)}


def _values(column: Column) -> bytes | memoryview:
    """Return a column's values as bytes, the same on every machine."""
    if isinstance(column, Texts):
        return msgspec.json.encode(column.values) + column.codes.astype("<i8").tobytes()
    numbers = np.ascontiguousarray(column, "<f8")
    missing = np.isnan(numbers)
    # One bit pattern for all that is missing.
    return (np.where(missing, np.nan, numbers) if missing.any() else numbers).data


def _no_target(target: str, table: Table) -> InvalidTable:
    names = ", ".join(map(repr, islice(table.columns, 20)))
    detail = f"target must be a column of the table, {target!r} is not one of {names}."
    return InvalidTable(detail, errors=[Fault(pointer="/target", detail=detail)])


def _check_size(table: Table, names: list[str], limits: Settings) -> None:
    if not names:
        detail = "The table must have a column beside the target, it has none."
        only = next(iter(table.columns)) if len(table.columns) == 1 else ""
        if not {*only}.isdisjoint(";\t|:"):
            detail += f" It has only {only[:64]!r}: is another delimiter meant, as delimiter=%3B?"
        raise InvalidTable(detail, errors=[Fault(pointer="/data", detail=detail)])
    check_size("features", len(names), "max_features", limits)
    check_size("cells", len(names) * table.rows, "max_cells", limits)


def _check_classes(
    classes: tuple[Label, ...], target: str, table: Table, n_columns: int, limits: Settings
) -> None:
    if len(classes) == 1:
        raise SingleClass(
            f"The target must have at least two classes, all {table.rows} rows of "
            f"{target!r} are {classes[0]!r}."
        )
    check_model(len(classes), n_columns, limits)
