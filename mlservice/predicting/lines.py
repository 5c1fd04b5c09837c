"""Answers as lines of CSV or NDJSON, one a row, the errors of rows among them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import add
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlservice.predicting.answer import Answer, Form
from mlservice.predicting.documents import by_name
from mlservice.predicting.unseen import ByRow, Unseen
from mlservice.schemas import Line, label_name

_encode = msgspec.json.Encoder().encode
_SPECIAL = frozenset(',"\r\n')
# Powers of ten up to here are exact, so that what is divided by one is the nearest number.
_LARGEST_EXACT = 22


@dataclass(frozen=True)
class Writer:
    """How a media type writes rows.

    Attributes
    ----------
    header : callable
        Returns what stands above the rows.
    rows : callable
        Returns a line for each row, without its end, with what training had not seen of it.
    error : callable
        Returns the line of a row that cannot be predicted.
    """

    header: Callable[[Form], bytes]
    rows: Callable[[Answer, ByRow], list[bytes]]
    error: Callable[[Form, str], bytes]


def _csv_header(form: Form) -> bytes:
    if form.top is None:
        names = [f"probability_{name}" for name in form.scorer.label_names]
    else:
        names = [
            f"{what}_{place + 1}" for place in range(form.top) for what in ("class", "probability")
        ]
    return ",".join(map(_quoted, ["prediction", *names, "error", "warnings"])).encode() + b"\n"


def _csv_rows(answer: Answer, unseen: ByRow) -> list[bytes]:
    digits = answer.form.options.digits
    probabilities = (
        answer.probabilities if digits is None else rounded(answer.probabilities, digits)
    )
    starts = [(_quoted(name) + ",").encode() for name in answer.form.scorer.label_names]
    if answer.top is None:
        # JSON's writer of numbers is many times as fast as a loop of Python.
        text = _encode(probabilities.tolist())[2:-2] + b",,"
        rows: Iterable[bytes] = text.replace(b"],[", b",,\n").split(b"\n")
    else:
        rows = map(_csv_pairs, answer.top, probabilities.tolist())
    lines = list(map(add, map(starts.__getitem__, answer.positions.tolist()), rows))
    for row, found in unseen.items():
        lines[row] += _csv_warnings(found)
    return lines


def _csv_warnings(unseen: Unseen) -> bytes:
    details = " ".join(each.detail for each in unseen.told)
    left = unseen.count - len(unseen.told)
    return _quoted(details + (f" (and {left} more)" if left else "")).encode()


def _csv_pairs(labels: list[Any], numbers: list[float]) -> bytes:
    pairs = zip(labels, numbers, strict=True)
    told = ",".join(f"{_quoted(label_name(label))},{number!r}" for label, number in pairs)
    return told.encode() + b",,"


def _csv_error(form: Form, error: str) -> bytes:
    told = len(form.scorer.labels) if form.top is None else 2 * form.top
    return b"," * (told + 1) + _quoted(error).encode() + b","


def _quoted(text: str) -> str:
    if _SPECIAL.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def rounded(numbers: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Return numbers from 0 to 1 with so many significant digits."""
    with np.errstate(divide="ignore"):
        sizes = np.floor(np.log10(numbers))
    # A number below 1e-16 and less keeps more of its digits.
    factors = 10.0 ** np.clip(digits - 1 - sizes, 0, _LARGEST_EXACT)
    found: NDArray[np.float64] = np.rint(numbers * factors) / factors
    return found


def _ndjson_rows(answer: Answer, unseen: ByRow) -> list[bytes]:
    told: list[Line] = []
    names = answer.form.scorer.label_names
    for row, numbers in enumerate(answer.probabilities.tolist()):
        of = names if answer.top is None else map(label_name, answer.top[row])
        probabilities = dict(zip(of, numbers, strict=True))
        told.append(Line(prediction=answer.predictions[row], probabilities=probabilities))
    if answer.contributions is not None:
        for line, added in zip(told, by_name(answer, answer.contributions), strict=True):
            line.contributions = added
    for row, found in unseen.items():
        told[row].warnings = found.told
        if found.count > len(found.told):
            told[row].warning_count = found.count
    return list(map(_encode, told))


def _ndjson_error(_: Form, error: str) -> bytes:
    return _encode(Line(error=error))


CSV_LINES = Writer(_csv_header, _csv_rows, _csv_error)
NDJSON_LINES = Writer(lambda _: b"", _ndjson_rows, _ndjson_error)
