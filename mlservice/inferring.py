"""One inference of the Open Inference Protocol: from a request's bytes to an answer's bytes."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from mlservice.errors import InvalidRequest
from mlservice.instances import THREAD_BYTES, Positions, check_answer, remarks_of, wanted_of
from mlservice.limits import check_size
from mlservice.predicting.choosing import likeliest
from mlservice.predicting.matching import match
from mlservice.preparation import Columns
from mlservice.schemas import label_name
from mlservice.scores import Scored
from mlservice.scoring import Scorer
from mlservice.settings import Settings
from mlservice.table import Table
from mlservice.tensors import (
    BYTES,
    Coded,
    InferenceRequest,
    Tensor,
    WantedOutput,
    read_request,
    read_tensors,
    read_wanted,
    split,
    write,
    wrong,
)
from mlservice.tensors.metadata import CLASSES, OUTPUTS, PROBABILITIES, label_datatype

# What was predicted, and the columns of which there may be something to remark.
Found = tuple[Scored, Columns | None]

_LARGEST_FP32 = float(np.finfo(np.float32).max)
_values = msgspec.json.Decoder(list[float | list[float]])


class Named(msgspec.Struct, frozen=True):
    """A model's name and version, as they were asked for and are answered."""

    name: str
    version: str | UnsetType = UNSET


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an answer.

    Attributes
    ----------
    json_bytes : int or None
        How many of its bytes are JSON, where tensors follow as bytes.
    """

    body: bytes
    json_bytes: int | None = None


class RowAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one row, which nobody was told of yet.

    Attributes
    ----------
    body : bytes
        JSON.
    row : list of length n_features
        What was asked.
    best : int
        Position of its class.
    """

    body: bytes
    row: list[float]
    best: int


def infer(
    scorer: Scorer, named: Named, body: bytes | bytearray, length: str | None, limits: Settings
) -> tuple[Answered, Positions]:
    """Predict the rows of an inference request; return the answer, and each row's class.

    Parameters
    ----------
    scorer : Scorer
        The model.
    named : Named
        How it was asked for.
    body : bytes
        JSON, and perhaps tensors as bytes behind it.
    length : str or None
        The header that says how many bytes are JSON; "0": the body is one tensor.
    limits : Settings
        How many numbers an answer may have.

    Raises
    ------
    MalformedJson, MalformedBody, InvalidRequest, InvalidRow, TableTooLarge
        If something of it is not what the model takes.
    """
    if length == "0":
        scored = _score_matrix(_raw(body, scorer), scorer, limits)
        wanted = [WantedOutput(name=each, binary=True) for each in OUTPUTS]
        return _answer(scorer, named, scored, wanted), scored[0].positions
    text, rest = split(body, length)
    asked = read_request(text)
    # In a thread no row is shown to the watch.
    if not rest and len(body) < THREAD_BYTES and (found := infer_row(scorer, named, asked)):
        if scorer.counts.watch:
            scorer.counts.watch.see(found.row)
        return Answered(body=found.body), (found.best,)
    wanted = read_wanted(asked, OUTPUTS)
    scored = _score(read_tensors(asked.inputs, rest), scorer, limits)
    identity = UNSET if asked.id is None else asked.id
    return _answer(scorer, named, scored, wanted, identity), scored[0].positions


def infer_row(scorer: Scorer, named: Named, asked: InferenceRequest) -> RowAnswer | None:
    """Answer a request for one row of numbers that asks for no more than JSON, else nothing."""
    row = _single_row(asked, scorer)
    if row is None:
        return None
    best, shares = scorer.score_row(row)
    identity = UNSET if asked.id is None else asked.id
    told = scorer.inference.fill(best, shares, named.name, named.version, identity)
    return RowAnswer(body=told, row=row, best=best)


def _single_row(asked: InferenceRequest, scorer: Scorer) -> list[float] | None:
    """Return the one row of a request that asks for no more than JSON, else nothing.

    Of a row with a number that training had not seen there is more to say.
    """
    if len(asked.inputs) > 1 or asked.outputs or asked.parameters or scorer.encoder:
        return None
    sent = asked.inputs[0]
    width = len(scorer.features)
    is_plain = sent.shape == [1, width] and not sent.parameters
    if not is_plain or sent.data is UNSET or sent.datatype not in {"FP64", "FP32"}:
        return None
    try:
        row: list[Any] = _values.decode(sent.data)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if len(row) == 1 and isinstance(row[0], list):
        [row] = row
    # What does not fit is read again, and told with its place.
    if len(row) != width or list in map(type, row):
        return None
    if sent.datatype == "FP32" and max(map(abs, row)) > _LARGEST_FP32:
        return None
    return row if scorer.extent.holds(row) else None


def _raw(body: bytes | bytearray, scorer: Scorer) -> NDArray[np.float64]:
    """Return the matrix that a body without JSON is: float64, row by row."""
    width = 8 * len(scorer.features)
    if not body or len(body) % width:
        raise InvalidRequest(
            f"A body without JSON must be rows of {len(scorer.features)} FP64 numbers, "
            f"{width} bytes each; it has {len(body)} bytes."
        )
    return np.frombuffer(body, "<f8").reshape(-1, len(scorer.features))


def _score(tensors: Sequence[Tensor], scorer: Scorer, limits: Settings) -> Found:
    """Score one matrix, or one tensor a feature."""
    if {tensor.name for tensor in tensors} == scorer.described.keys():
        rows = tensors[0].shape[0]
        read = {each.name: _column(each, i, rows) for i, each in enumerate(tensors)}
        table = Table(read, "tensors")
        columns = match(table, wanted_of(scorer))
        check_answer(columns, len(scorer.labels), limits)
        return scorer.table.score(columns), columns
    if len(tensors) > 1:
        raise _wrong_names(tensors, scorer)
    return _score_matrix(_matrix(tensors[0], scorer), scorer, limits)


def _score_matrix(X: NDArray[np.float64], scorer: Scorer, limits: Settings) -> Found:
    numbers = len(X) * len(scorer.labels)
    check_size("numbers in an answer", numbers, "prediction_cells", limits)
    scored = scorer.table.score_matrix(X)
    if not scorer.profile or scorer.table.is_within(X):
        return scored, None
    # Each column is held against the profile by itself, which takes a third less side by side.
    return scored, scorer.table.columns_of(np.asfortranarray(X))


def _wrong_names(tensors: Sequence[Tensor], scorer: Scorer) -> InvalidRequest:
    sent = {tensor.name for tensor in tensors}
    lacks, more = sorted(scorer.described.keys() - sent), sorted(sent - scorer.described.keys())
    parts = [f"{lacks[0]!r} is left out"] if lacks else []
    parts += [f"{more[0][:64]!r} is none of them"] if more else []
    return wrong(
        "/inputs",
        f"Inputs must be one matrix, or a tensor for each feature; {' and '.join(parts)}.",
    )


def _matrix(tensor: Tensor, scorer: Scorer) -> NDArray[np.float64]:
    if not isinstance(tensor.values, np.ndarray):
        raise wrong("/inputs/0/datatype", "A matrix must have numbers, its datatype is BYTES.")
    if not len(tensor.values):
        raise wrong("/inputs/0/shape", "A tensor must have at least one row, it has none.")
    shape = (-1, 1) if len(tensor.shape) == 1 == len(scorer.features) else tensor.shape
    return tensor.values.astype(np.float64, copy=False).reshape(shape)


def _column(tensor: Tensor, position: int, rows: int) -> list[Any] | NDArray[np.float64]:
    """Return a feature's values from a tensor of shape [N] or [N, 1], N the same for all."""
    place = f"/inputs/{position}"
    if tensor.shape not in {(rows,), (rows, 1)} or not rows:
        raise wrong(
            f"{place}/shape",
            f"Tensors of features must have one shape, [N] or [N, 1]; that of "
            f"{tensor.name[:64]!r} is {list(tensor.shape)}, the first has {rows} rows.",
        )
    if isinstance(tensor.values, np.ndarray):
        return tensor.values.astype(np.float64, copy=False)
    try:
        return [value.decode() or None for value in tensor.values]
    except UnicodeDecodeError as error:
        raise wrong(f"{place}/data", f"A text must be UTF-8, it is not: {error.reason}.") from error


def _answer(
    scorer: Scorer,
    named: Named,
    found: Found,
    wanted: Sequence[WantedOutput],
    identity: str | UnsetType = UNSET,
) -> Answered:
    scored, columns = found
    outputs = [(_output(each, scorer, scored), each.binary) for each in wanted]
    body, length = write(
        outputs,
        name=named.name,
        version=named.version,
        identity=identity,
        warnings=(columns and remarks_of(scorer, columns)) or (),
    )
    return Answered(body=body, json_bytes=length)


def _output(wanted: WantedOutput, scorer: Scorer, scored: Scored) -> Tensor:
    if wanted.classification:
        return _classification(wanted, scorer, scored)
    rows = len(scored.positions)
    if wanted.name == PROBABILITIES:
        shares = scored.probabilities
        return Tensor(PROBABILITIES, "FP64", shares.shape, shares.ravel())
    datatype = label_datatype(scorer.labels)
    if datatype == BYTES:
        texts = tuple(name.encode() for name in scorer.label_names)
        return Tensor(CLASSES, BYTES, (rows,), Coded(texts, scored.positions))
    return Tensor(CLASSES, datatype, (rows,), np.array(scorer.labels)[scored.positions])


def _classification(wanted: WantedOutput, scorer: Scorer, scored: Scored) -> Tensor:
    """Return the likeliest classes of each row as texts `value:index:label`."""
    if wanted.name != PROBABILITIES:
        raise wrong(
            "/outputs", f"classification must be asked of {PROBABILITIES}, not of {CLASSES}."
        )
    shares = scored.probabilities
    many = min(wanted.classification, shares.shape[1])
    order = likeliest(shares, many)
    texts = [
        f"{share!r}:{place}:{label_name(scorer.labels[place])}".encode()
        for places, row in zip(order.tolist(), shares.tolist(), strict=True)
        for place, share in ((place, row[place]) for place in places)
    ]
    return Tensor(PROBABILITIES, BYTES, (len(shares), many), texts)
