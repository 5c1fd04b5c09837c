"""What was sent to be predicted: a body and its media type, read as a table and options."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec

from mlservice.cutting import by_pieces
from mlservice.errors import BodyTooLarge, Fault, InvalidRow, InvalidTable
from mlservice.intake import delimiter_of, open_form
from mlservice.limits import check_size
from mlservice.predicting.matching import Wanted, match
from mlservice.predicting.options import Options, read_options
from mlservice.preparation import Column
from mlservice.schemas import read_cells
from mlservice.sent import ARROW, CSV, FORM, JSON, MSGPACK, NDJSON, PARQUET, Sent
from mlservice.settings import Settings, variable
from mlservice.table import (
    Table,
    check_installed,
    extent_of_arrow,
    extent_of_parquet,
    from_arrow_stream,
    from_csv,
    from_json,
    from_msgpack,
    from_ndjson,
    from_parquet,
    is_wrapped,
    quick_table,
)

MEDIA_TYPES = (JSON, CSV, NDJSON, MSGPACK, PARQUET, ARROW, FORM)
_anything = msgspec.json.Decoder(Any)
_beyond = msgspec.json.Decoder(Any, float_hook=float)
_list = msgspec.json.Decoder(list[Any])

Read = tuple[Table, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A table's columns as a model reads them, and what is asked of them."""

    rows: int
    columns: dict[str, Column]
    options: Options


def read_question(sent: Sent, wanted: Wanted, limits: Settings) -> Question:
    """Read a body, and match its table to a model.

    Parameters
    ----------
    sent : Sent
        Its options are those of the query.
    wanted : Wanted
        What the model reads.
    limits : Settings
        How large a compact body may be once it is decoded.

    Raises
    ------
    ClientProblem
        If the body is not of its media type, an option is wrong, or the table is
        not one that the model can score: then with each place that is wrong.
    """
    if sent.media_type == FORM:
        sent = open_form(sent)
    options = read_options(own(sent.options), {})
    if sent.media_type == JSON:
        return _of_json(sent, wanted)
    check_extent(sent.media_type, sent.body, limits)
    table, members = _READERS[sent.media_type](sent, wanted)
    if members:
        options = read_options(own(sent.options), members)
    columns = match(table, wanted, ignores_extra=options.extra == "ignore")
    return Question(rows=table.rows, columns=columns, options=options)


def check_extent(media_type: str, body: bytes | bytearray, limits: Settings) -> None:
    """Refuse what says that it is larger than may be, before anything is decoded.

    Raises
    ------
    BodyTooLarge
        If it decodes to more bytes than a body may have.
    TableTooLarge
        If it has more cells than a prediction may have.
    MalformedBody
        If it does not say how large it is.
    """
    extent_of = {PARQUET: extent_of_parquet, ARROW: extent_of_arrow}.get(media_type)
    if extent_of is None:
        return
    check_installed()
    extent = extent_of(body)
    most = limits.prediction_body_bytes
    if extent.decoded > most:
        raise BodyTooLarge(
            f"The body may have at most {most} bytes ({variable('prediction_body_bytes')}), "
            f"decoded it has {extent.decoded}."
        )
    check_size("cells of a table", extent.cells, "prediction_cells", limits)


def own(pairs: Any) -> list[tuple[str, str]]:
    """Return the options that are the prediction's, not the reader's."""
    return [(name, text) for name, text in pairs if name != "delimiter"]


def _of_json(sent: Sent, wanted: Wanted) -> Question:
    table, data, members = _parse(sent.body)
    options = read_options(own(sent.options), members or {})
    try:
        table = table or from_json(_table_of(data))
        columns = match(table, wanted, ignores_extra=options.extra == "ignore")
    except (InvalidTable, InvalidRow) as problem:
        if members is None:
            problem.errors = tuple(map(_bare, problem.errors))
        raise
    return Question(rows=table.rows, columns=columns, options=options)


def _parse(body: bytes | bytearray) -> tuple[Table | None, Any, dict[str, Any] | None]:
    """Return the table, or else its JSON; and what stands beside it, None where it stands alone."""
    if quick := quick_table(body):
        return quick[0], None, quick[1]
    document = _decoded(body)
    if isinstance(document, dict) and is_wrapped(document.keys()):
        data = document["data"]
        if isinstance(data, dict) or (isinstance(data, list) and _has_rows(data)):
            del document["data"]
            return None, data, document
    return None, document, None


def _decoded(body: bytes | bytearray) -> Any:
    if lists := by_pieces(body, _list.decode):
        return list(chain.from_iterable(lists))
    return read_cells(_anything, _beyond, body)


def _has_rows(data: list[Any]) -> bool:
    return bool(data) and isinstance(data[0], dict | list)


def _table_of(data: Any) -> dict[str, Any] | list[dict[str, Any]]:
    """Refuse what is neither an object nor a list of objects."""
    wrong = "The table must be an object, or a list of objects"
    if isinstance(data, dict):
        return data
    if not isinstance(data, list):
        raise _no_table(None, f"{wrong}; it is neither.")
    for row, record in enumerate(data):
        if not isinstance(record, dict):
            raise _no_table(f"/data/{row}", f"{wrong}; row {row} is none.")
    return data


def _no_table(pointer: str | None, detail: str) -> InvalidTable:
    return InvalidTable(detail, errors=[Fault(pointer=pointer or "/data", detail=detail)])


def _bare(fault: Fault) -> Fault:
    return msgspec.structs.replace(fault, pointer=(fault.pointer or "").removeprefix("/data"))


_Reader = Callable[[Sent, Wanted], Read]
_READERS: dict[str, _Reader] = {
    CSV: lambda sent, wanted: (
        from_csv(sent.body, delimiter_of(sent.options), wanted.texts),
        {},
    ),
    NDJSON: lambda sent, _: (from_ndjson(sent.body), {}),
    MSGPACK: lambda sent, _: from_msgpack(sent.body),
    PARQUET: lambda sent, _: (from_parquet(sent.body), {}),
    ARROW: lambda sent, _: (from_arrow_stream(sent.body), {}),
}
