"""NDJSON: one record a line.

It is read in blocks, so that never more than one is held as records and columns at once.
"""

from array import array
from collections.abc import Iterator
from typing import Any

import msgspec

from mlservice.table.columns import Column, Faults, Table
from mlservice.table.forms import difference

BLOCK_BYTES = 1 << 20
_decoder = msgspec.json.Decoder(dict[str, Any])
# Numbers that float64 does not hold are infinite, for who judges the cells.
_beyond = msgspec.json.Decoder(dict[str, Any], float_hook=float)

Record = dict[str, Any]


def from_ndjson(body: bytes | bytearray) -> Table:
    """Read a table from records, one a line; empty lines are skipped.

    Raises
    ------
    InvalidTable
        With each line that is no JSON object or has other members than the
        first; or if there is no record.
    """
    faults = Faults()
    columns: dict[str, list[Any]] = {}
    lines = array("q")
    for block in _blocks(body):
        records = list(_records(block, faults))
        if not columns and records:
            columns = {name: [] for name in records[0][1]}
        for line, record in records:
            if record.keys() != columns.keys():
                differs = difference(columns.keys(), record.keys())
                faults.add(None, f"Line {line} {differs}.", line=line)
        if faults.count:
            continue
        lines.extend(line for line, _ in records)
        for name, column in columns.items():
            column.extend(record[name] for _, record in records)
    if not columns and not faults.count:
        faults.add("/data", "The table must have at least one row and column, it has none.")
    faults.check()
    named: dict[str, Column] = {**columns}
    return Table(named, line_of=lines.__getitem__)


def _blocks(body: bytes | bytearray) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the lines that are not empty with their numbers, in blocks of about 1 MiB."""
    start, first = 0, 1
    while start < len(body):
        stop = body.find(b"\n", start + BLOCK_BYTES) + 1 or len(body)
        lines = bytes(body[start:stop]).split(b"\n")
        yield [(first + i, line) for i, line in enumerate(lines) if line.strip()]
        start, first = stop, first + len(lines) - 1


def _records(block: list[tuple[int, bytes]], faults: Faults) -> Iterator[tuple[int, Record]]:
    for line, text in block:
        try:
            yield line, _decode(text)
        except msgspec.ValidationError:
            faults.add(None, f"Line {line} must be a JSON object, it is not.", line=line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            faults.add(None, f"Line {line} must be JSON, it is not: {error}.", line=line)
        except RecursionError:
            faults.add(None, f"Line {line} must not be nested this deeply.", line=line)


def _decode(text: bytes) -> Record:
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        if "out of range" not in str(error):
            raise
    return _beyond.decode(text)
