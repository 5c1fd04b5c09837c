"""JSON of a body read as its declaration, what is wrong told by its place."""

import re
from typing import Any, TypeVar

import msgspec

from mlservice.errors import Fault, InvalidRequest, MalformedJson, escape
from mlservice.schemas.aliases import AliasRequest
from mlservice.schemas.choices import choices, unknown_member
from mlservice.schemas.trainings import TrainingRequest

T = TypeVar("T")
Readable = bytes | bytearray | memoryview | msgspec.Raw

_training = msgspec.json.Decoder(TrainingRequest)
# In three times the time: numbers that float64 does not hold are infinite in a table.
_beyond = msgspec.json.Decoder(TrainingRequest, float_hook=float)
_alias = msgspec.json.Decoder(AliasRequest)


def read_training(body: bytes | bytearray) -> TrainingRequest:
    """Read the body of `POST /models`, without judging the table's cells.

    A cell that float64 does not hold is infinite, so that each is told with its place.

    Raises
    ------
    MalformedJson
        If the body is not JSON, or nested too deeply to be read.
    InvalidRequest
        If a member is missing, unknown, out of range or of the wrong type.
    """
    return read_cells(_training, _beyond, body)


def read_alias(body: bytes) -> AliasRequest:
    """Read the body of `PUT /aliases/{alias}`; it raises what `read_training` does."""
    return read_json(_alias, body)


def read_json(decoder: "msgspec.json.Decoder[T]", body: Readable) -> T:
    """Read JSON as the decoder's type; it raises what `read_training` does."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_member(decoder.type, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(_not_json(body, error)) from error
    except RecursionError as error:
        raise MalformedJson("The body must not be nested this deeply.") from error


def read_cells(
    decoder: "msgspec.json.Decoder[T]", beyond: "msgspec.json.Decoder[T]", body: Readable
) -> T:
    """Read JSON that has a table as `read_json` does, by `beyond` what float64 does not hold."""
    try:
        return read_json(decoder, body)
    except InvalidRequest as problem:
        if "out of range" not in problem.detail:
            raise
    return read_json(beyond, body)


def check_members(members: dict[str, Any]) -> None:
    """Refuse options that stand beside a table which is not JSON.

    Raises
    ------
    InvalidRequest
        If a member is unknown, out of range or of the wrong type.
    """
    if "data" in members:
        detail = "data must not stand beside another form of the table."
        raise InvalidRequest(detail, errors=[Fault(pointer="/data", detail=detail)])
    try:
        msgspec.convert({"target": "", **members, "data": {}}, TrainingRequest)
    except msgspec.ValidationError as error:
        raise _wrong_member(TrainingRequest, error) from error


def _not_json(body: Readable, error: Exception) -> str:
    if not memoryview(body):
        return "The body must be JSON, it is empty."
    return f"The body must be JSON, it is not: {error}."


def _wrong_member(kind: Any, error: msgspec.ValidationError) -> InvalidRequest:
    said, _, path = str(error).partition(" - at ")
    pointer = _pointer(path)
    if (name := unknown_member(error)) is not None:
        pointer = f"{pointer}/{escape(name)}"
    said = choices(kind, error) or said
    where = pointer or "the top of the body"
    return InvalidRequest(
        f"What was sent is wrong at {where}: {said}.",
        errors=[Fault(pointer=pointer, detail=said)],
    )


def _pointer(path: str) -> str:
    # msgspec writes `$.data[3].name`; after `[...]`, any member of a mapping, it is lost.
    known = path.strip("`").rpartition("$")[2].partition("[...]")[0]
    return re.sub(r"\[(\d+)\]", r"/\1", known).replace(".", "/")
