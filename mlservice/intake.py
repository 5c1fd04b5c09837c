"""What was sent to be trained on: options and bytes, and what they mean."""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import msgspec

from mlservice import points
from mlservice.dataset import Dataset, prepare
from mlservice.errors import (
    Fault,
    InvalidParameter,
    InvalidTable,
    MalformedBody,
    UnsupportedMediaType,
)
from mlservice.multipart import Part, read_parts
from mlservice.parent import MEMBER, invalid, open_parent
from mlservice.query import read_options
from mlservice.schemas import Description, TrainingRequest, check_members, read_training
from mlservice.sent import ARROW, CHARSETS, CSV, FORM, JSON, MSGPACK, NDJSON, PARQUET, Options, Sent
from mlservice.settings import Settings
from mlservice.table import (
    Table,
    check_installed,
    from_arrow_stream,
    from_csv,
    from_msgpack,
    from_ndjson,
    from_parquet,
)

DELIMITERS = ",;\t|:"


def check(
    sent: Sent, limits: Settings, *, may_clear: bool = False
) -> tuple[TrainingRequest, Dataset]:
    """Read what was sent, refuse what cannot be trained on, and build what is fitted.

    Parameters
    ----------
    may_clear : bool
        Whether the body may be emptied once it is read, which leaves its memory to
        what is built; it must be a bytearray.

    Raises
    ------
    ClientProblem
        As `read` and `dataset.prepare` do; faults of a text format name the line.
    """
    request, table = read(sent)
    if may_clear and isinstance(sent.body, bytearray):
        # What has parts of the body, or a thread of pyarrow's, may hold it for longer.
        with contextlib.suppress(BufferError):
            sent.body.clear()
    try:
        return request, prepare(request, limits, table)
    except InvalidTable as problem:
        if table and table.line_of:
            problem.errors = tuple(_with_line(each, table.line_of) for each in problem.errors)
        raise


def with_parent(sent: Sent, request: TrainingRequest, dataset: Dataset) -> Dataset:
    """Return the dataset of a fit that starts from the model that was sent with it, if any.

    Raises
    ------
    InvalidWarmStart
        If that model does not agree with the table, or is named where nobody looks.
    """
    if sent.parent:
        params = dataset.search.params if dataset.search else [dataset.params]
        solvers = {each["solver"] for each in params}
        parent = open_parent(sent.parent, dataset.features, dataset.classes, solvers)
        return replace(dataset, parent=parent)
    if request.warm_start_from is None:
        return dataset
    raise invalid(f"{MEMBER} must stand in the query if the body has 1 MiB or more, it does not.")


def check_early(sent: Sent, limits: Settings) -> tuple[TrainingRequest, Description]:
    """Refuse what can be told to be wrong before a worker reads it.

    Returns
    -------
    request : TrainingRequest
        The options, as far as they are known.
    description : Description
        What is known of the model.

    Raises
    ------
    ClientProblem
        As `check` does; of Parquet and Arrow the options only.
    """
    if sent.media_type == FORM:
        sent = open_form(sent)
    if sent.media_type in _LATE:
        return check_options(sent), Description()
    request, dataset = check(sent, limits)
    return request, dataset.describe()


def _with_line(fault: Fault, line_of: Callable[[int], int]) -> Fault:
    row = (fault.pointer or "").rpartition("/")[2]
    is_cell = (fault.pointer or "").count("/") == 3 and row.isdecimal()
    return msgspec.structs.replace(fault, line=line_of(int(row))) if is_cell else fault


def read(sent: Sent) -> tuple[TrainingRequest, Table | None]:
    """Read what was sent, without judging the table's cells.

    Returns
    -------
    request : TrainingRequest
        The options; with the data where they are JSON.
    table : Table or None
        The data where they are not JSON.

    Raises
    ------
    ClientProblem
        If the body is not of its media type, or an option is wrong.
    """
    if sent.coming and sent.media_type != CSV:
        sent.coming.reach(sys.maxsize)
    if sent.media_type == JSON:
        return read_training(sent.body), None
    if sent.media_type == FORM:
        sent = open_form(sent)
    check_options(sent)
    table, members = READERS[sent.media_type](sent)
    check_members(members)
    *_, last = table.columns
    return read_options(_own(sent.options), target=last, members=members), table


def check_options(sent: Sent) -> TrainingRequest:
    """Refuse wrong options before the body is there, and return what they say.

    Raises
    ------
    InvalidParameter
        With each option that is unknown or has a value that it does not take.
    InvalidSearch
        If what a search asks for contradicts itself.
    UnsupportedMediaType
        If the media type needs what is not installed.
    """
    if sent.media_type in _LATE:
        check_installed()
    delimiter_of(sent.options)
    request = read_options(_own(sent.options), target="")
    if request.search is not None:
        points.check_options(request.search, request.params)
    return request


def _own(options: Options) -> Options:
    """Return the options that are the training's, not the reader's."""
    return [(name, text) for name, text in options if name != "delimiter"]


def delimiter_of(options: Options) -> str:
    """Return what separates the fields of CSV.

    Raises
    ------
    InvalidParameter
        If it is none of `DELIMITERS`, or stands twice.
    """
    found = [text for name, text in options if name == "delimiter"] or [","]
    delimiter = found[0]
    if len(found) == len(delimiter) == 1 and delimiter in DELIMITERS:
        return delimiter
    detail = f"delimiter must be one of , ; | : and tab (%09), it is {delimiter[:64]!r}."
    if len(found) > 1:
        detail = f"delimiter must stand once, it stands {len(found)} times."
    raise InvalidParameter(detail, errors=[Fault(parameter="delimiter", detail=detail)])


def _from_csv(sent: Sent) -> Table:
    asked = read_options(_own(sent.options), target="")
    part, weight = asked.evaluation, asked.sample_weight
    # No features, as far as that is known: an empty target is the last column.
    apart = {asked.target, *(name for name in (part.group, part.order, weight) if name)}
    return from_csv(sent.body, delimiter_of(sent.options), apart=apart, coming=sent.coming)


# A table, and the options that the body has beside it.
Reader = Callable[[Sent], tuple[Table, dict[str, Any]]]


READERS: dict[str, Reader] = {
    CSV: lambda sent: (_from_csv(sent), {}),
    NDJSON: lambda sent: (from_ndjson(sent.body), {}),
    MSGPACK: lambda sent: from_msgpack(sent.body),
    PARQUET: lambda sent: (from_parquet(sent.body), {}),
    ARROW: lambda sent: (from_arrow_stream(sent.body), {}),
}
# Only a worker reads these, since their size says nothing of what they decode to.
_LATE = {PARQUET, ARROW}
MEDIA_TYPES = (JSON, *READERS, FORM)
_ENDINGS = {
    ".csv": CSV,
    ".ndjson": NDJSON,
    ".jsonl": NDJSON,
    ".msgpack": MSGPACK,
    ".parquet": PARQUET,
    ".arrows": ARROW,
}


def open_form(sent: Sent) -> Sent:
    """Return the file of a form as if it had been sent alone, the fields as its options."""
    parts = read_parts(sent.body)
    files = [part for part in parts if part.file_name is not None]
    if len(files) != 1:
        raise MalformedBody(
            f"The form must have one file, a part with a filename; it has {len(files)}."
        )
    [file] = files
    if not all(part.name or part is file for part in parts):
        raise MalformedBody("Each field of the form must have a name, one has none.")
    fields = [(part.name, _field(sent.body, part)) for part in parts if part is not file]
    media_type = _media_type(file)
    body = sent.body if isinstance(sent.body, bytearray) else bytearray(sent.body)
    # In place: the file may be nearly all of the body.
    del body[file.stop :]
    del body[: file.start]
    return replace(sent, media_type=media_type, options=[*sent.options, *fields], body=body)


def _field(body: bytes | bytearray, part: Part) -> str:
    try:
        return body[part.start : part.stop].decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The field {part.name[:64]!r} must be UTF-8, it is not.") from error


def _media_type(file: Part) -> str:
    charset = file.charset or "utf-8"
    if charset not in CHARSETS:
        raise UnsupportedMediaType(f"The file's charset must be utf-8, it is {charset[:64]}.")
    if file.media_type in READERS:
        return file.media_type
    ending = PurePath(file.file_name or "").suffix.lower()
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    raise UnsupportedMediaType(
        f"The file's media type must be {' or '.join(READERS)}, or its ending one of "
        f"{' '.join(_ENDINGS)}; it is {file.media_type[:64]}, {(file.file_name or '')[:64]!r}."
    )
