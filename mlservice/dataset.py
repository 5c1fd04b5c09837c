"""From a training request to the matrix and labels of a fit, all checks done.

The service runs this on small bodies before it answers, and a worker runs it
on every body; both tell the same faults in the same words.
"""

import hashlib
import sys
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice.errors import Fault, InvalidTable, SingleClass, TableTooLarge
from mlservice.params import resolve
from mlservice.schemas import Description, Feature, Label, TrainingRequest
from mlservice.settings import Settings, variable
from mlservice.splits import Splits, split, taken
from mlservice.table import Faults, Table, from_json

MAX_NAME = 128
MAX_LABEL = 1024
_NUMBERS = {int, float, bool}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What an estimator is fitted on.

    Attributes
    ----------
    features : tuple of Feature
        In the order of the matrix's columns.
    target : str
        Name of the column that is predicted.
    X : ndarray of shape (n_samples, n_features), float64, C-contiguous
        Samples, in the units that were sent.
    y : ndarray of shape (n_samples,), intp
        Position of each sample's class in `classes`.
    classes : tuple of str, int or bool
        The target's values, sorted, of one type.
    params : dict
        The estimator's parameters, see `params.resolve`.
    splits : Splits
        Which rows are held out, and which make the folds.
    """

    features: tuple[Feature, ...]
    target: str
    X: NDArray[np.float64]
    y: NDArray[np.intp]
    classes: tuple[Label, ...]
    params: dict[str, Any]
    splits: Splits

    def take(self, rows: NDArray[np.intp]) -> "Dataset":
        """Return a dataset of some of the samples."""
        return replace(self, X=self.X[rows], y=self.y[rows])

    def describe(self) -> Description:
        """Return what the request alone tells of its model."""
        return Description(
            rows=len(self.y),
            features=list(self.features),
            target=self.target,
            classes=list(self.classes),
            params=self.params,
            evaluation=self.splits.evaluation,
            warnings=list(self.splits.told),
        )

    def digest(self) -> str:
        """Return the SHA-256 of names, labels and values, the same for each form."""
        names = [feature.name for feature in self.features]
        seen = hashlib.sha256(msgspec.json.encode([names, self.target, self.classes]))
        seen.update(self.X.astype("<f8", copy=False).data)
        seen.update(self.y.astype("<i8", copy=False).data)
        return seen.hexdigest()


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
        If a limit on features, classes, cells or coefficients is passed.
    InvalidParams
        If the parameters do not fit together or to the classes.
    InvalidEvaluation
        If the rows cannot be parted as was asked for.
    """
    table = table or from_json(request.data)
    if request.target not in table.columns:
        raise _no_target(request.target, table)
    roles = taken(request.evaluation, list(table.columns), request.target)
    names = [name for name in table.columns if name not in {request.target, *roles.values()}]
    _check_size(table, names, limits)
    faults = Faults()
    _check_name(table, request.target, faults)
    labels = _labels(table, request.target, faults)
    columns = [_numbers(table, name, faults) for name in names]
    faults.check()
    classes = _classes(labels, request.target, len(names), limits)
    position = {label: code for code, label in enumerate(classes)}
    y = np.fromiter(map(position.__getitem__, labels), np.intp, len(labels))
    parting = {role: _cells(table, name) for role, name in roles.items()}
    return Dataset(
        features=tuple(Feature(name=name) for name in names),
        target=request.target,
        X=np.ascontiguousarray(np.column_stack(columns)),
        y=y,
        classes=classes,
        params=resolve(request.params, list(classes)),
        splits=split(request.evaluation, y, classes, parting),
    )


def _no_target(target: str, table: Table) -> InvalidTable:
    names = ", ".join(map(repr, islice(table.columns, 20)))
    detail = f"target must be a column of the table, {target!r} is not one of {names}."
    return InvalidTable(detail, errors=[Fault(pointer="/target", detail=detail)])


def _check_size(table: Table, names: list[str], limits: Settings) -> None:
    if not names:
        detail = "The table must have a column beside the target, it has none."
        raise InvalidTable(detail, errors=[Fault(pointer="/data", detail=detail)])
    _limit("features", len(names), "max_features", limits)
    _limit("cells", len(names) * table.rows, "max_cells", limits)


def _limit(what: str, found: int, setting: str, limits: Settings) -> None:
    most: int = getattr(limits, setting)
    if found > most:
        raise TableTooLarge(
            f"A table may have at most {most} {what} ({variable(setting)}), it has {found}."
        )


def _kinds(cells: list[Any]) -> set[type]:
    return set(map(type, cells))


def _numbers(table: Table, name: str, faults: Faults) -> NDArray[np.float64]:
    """Return a feature's column as float64, noting each cell that is no number."""
    _check_name(table, name, faults)
    given = table.columns[name]
    if isinstance(given, np.ndarray):
        for row in np.flatnonzero(np.isnan(given)).tolist():
            faults.add(
                table.pointer(name, row), f"Row {row} of {name!r} must be a number, it is missing."
            )
        return given
    cells = given
    if not _kinds(cells) <= _NUMBERS:
        _note_not_numbers(table, name, faults)
        return np.empty(0)
    try:
        return np.asarray(cells, dtype=np.float64)
    except OverflowError:
        for row, cell in enumerate(cells):
            if abs(cell) > sys.float_info.max:
                faults.add(
                    table.pointer(name, row), f"Row {row} of {name!r} does not fit in float64."
                )
        return np.empty(0)


def _check_name(table: Table, name: str, faults: Faults) -> None:
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        faults.add(
            table.pointer(name),
            f"A column's name must be 1 to {MAX_NAME} printable characters, it has {len(name)}.",
        )


def _note_not_numbers(table: Table, name: str, faults: Faults) -> None:
    cells = _cells(table, name)
    if _kinds(cells) == {str}:
        faults.add(table.pointer(name), f"Column {name!r} must be numeric, it is text.")
        return
    for row, cell in enumerate(cells):
        if type(cell) not in _NUMBERS:
            faults.add(
                table.pointer(name, row),
                f"Row {row} of {name!r} must be a number, it is {_kind_name(cell)}.",
            )


def _kind_name(cell: object) -> str:
    names = {str: "text", type(None): "missing", list: "a list", dict: "an object"}
    return names.get(type(cell), "a number")


def _labels(table: Table, target: str, faults: Faults) -> list[Label]:
    """Return the target's cells as labels of one type, noting each that is none."""
    labels = [_whole(cell) for cell in _cells(table, target)]
    before = faults.count
    _note_inexact(table, target, faults)
    for row, label in enumerate(labels):
        if wrong := _label_fault(label):
            faults.add(table.pointer(target, row), f"Row {row} of the target {wrong}.")
    kinds = _kinds(labels)
    if faults.count == before and len(kinds) > 1:
        first = type(labels[0])
        row = next(row for row, label in enumerate(labels) if type(label) is not first)
        faults.add(
            table.pointer(target, row),
            f"The target must be all text, all integers or all booleans: row 0 is "
            f"{labels[0]!r}, row {row} is {labels[row]!r}.",
        )
    return labels


def _cells(table: Table, name: str) -> list[Any]:
    """Return a column's values as JSON has them, None where one is missing."""
    column = table.columns[name]
    if isinstance(column, list):
        return column
    return [None if cell != cell else cell for cell in column.tolist()]  # noqa: PLR0124  # NaN


def _note_inexact(table: Table, target: str, faults: Faults) -> None:
    """Note integers that came as float64, which cannot tell them from their neighbours."""
    column = table.columns[target]
    if isinstance(column, np.ndarray):
        for row in np.flatnonzero(np.abs(column) >= 2.0**53).tolist():
            faults.add(
                table.pointer(target, row),
                f"Row {row} of the target must be below 2**53 in this format; send it as text.",
            )


def _whole(cell: Any) -> Any:
    return int(cell) if type(cell) is float and cell.is_integer() else cell


def _label_fault(label: object) -> str | None:
    if isinstance(label, float):
        return f"must be a class, {label} is a measurement"
    if isinstance(label, int):
        return None if -(2**63) <= label < 2**63 else "must be a 64-bit integer"
    if not isinstance(label, str):
        return f"must be text, an integer or a boolean, it is {_kind_name(label)}"
    if len(label) > MAX_LABEL:
        return f"must have at most {MAX_LABEL} characters, it has {len(label)}"
    return "must not contain the character NUL" if "\0" in label else None


def _classes(
    labels: list[Label], target: str, n_features: int, limits: Settings
) -> tuple[Label, ...]:
    classes = tuple(sorted(set(labels)))
    if len(classes) == 1:
        raise SingleClass(
            f"The target must have at least two classes, all {len(labels)} rows of "
            f"{target!r} are {classes[0]!r}."
        )
    _limit("classes", len(classes), "max_classes", limits)
    _limit("coefficients", len(classes) * n_features, "max_coefficients", limits)
    return classes
