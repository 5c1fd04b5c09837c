"""JSON records whose columns are numbers, read into arrays without a loop of Python.

The first record tells the names and kinds of all; where another one differs, the
careful reader, whose words tell what is wrong, reads them all.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from mlservice.cutting import Readable, by_pieces
from mlservice.table.columns import Column

# Rows as msgpack has them, or the cells of each column.
Block = memoryview | list[tuple[Any, ...]]

_first = msgspec.json.Decoder(list[dict[str, Any]])
_pack = msgspec.msgpack.Encoder().encode
# Below, making a type of records costs more than it saves.
_FROM_BYTES = 1 << 14
# Types that are kept; one takes some kilobytes.
_TYPES = 64
_MOST_COLUMNS = 1_000
_MOST_FIRST_BYTES = 1 << 16


class _Layout:
    """A type of records, and where in its msgpack each number stands."""

    def __init__(self, names: Sequence[str], are_numbers: Sequence[bool]) -> None:
        self._names, self._are_numbers = names, are_numbers
        self._fields = [f"f{place}" for place in range(len(names))]
        kinds: list[Any] = [float | None if each else Any for each in are_numbers]
        record = msgspec.defstruct(
            "Record",
            list(zip(self._fields, kinds, strict=True)),
            rename=dict(zip(self._fields, names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decode = msgspec.json.Decoder(list[record]).decode  # type: ignore[valid-type]  # made
        self._packed = self._packed_type()

    def _packed_type(self) -> np.dtype[np.void]:
        # A number is a byte, and the eight of float64 with the highest first.
        ends = np.cumsum([len(_pack(name)) + 9 for name in self._names])
        head = len(_pack(dict.fromkeys(self._names, 0.0))) - int(ends[-1])
        return np.dtype(
            {
                "names": self._fields,
                "formats": [">f8"] * len(ends),
                "offsets": (head + ends - 8).tolist(),
                "itemsize": head + int(ends[-1]),
            }
        )

    def block(self, text: Readable) -> Block:
        """Return the records of a list in JSON: packed, or a tuple of cells for each column."""
        records = self._decode(text)
        packed = _pack(records) if all(self._are_numbers) else b""
        begin = len(packed) - len(records) * self._packed.itemsize
        # A number that is missing has no eight bytes.
        if begin == len(_pack([None] * len(records))) - len(records):
            return memoryview(packed)[begin:]
        return list(zip(*map(msgspec.structs.astuple, records), strict=True))

    def columns(self, blocks: list[Block]) -> dict[str, Column]:
        """Return arrays of numbers, and lists where a cell is none."""
        packed = [block for block in blocks if isinstance(block, memoryview)]
        if len(packed) == len(blocks):
            # A fifth of the time that a loop over the records takes.
            rows = np.frombuffer(b"".join(packed), self._packed)
            arrays = [rows[field].astype(np.float64) for field in self._fields]
            return dict(zip(self._names, arrays, strict=True))
        parts = zip(*map(self._unpacked, blocks), strict=True)
        cells = (list(chain.from_iterable(part)) for part in parts)
        return dict(zip(self._names, map(_column, cells, self._are_numbers), strict=True))

    def _unpacked(self, block: Block) -> list[tuple[Any, ...]] | list[list[float]]:
        if isinstance(block, list):
            return block
        rows = np.frombuffer(block, self._packed)
        return [rows[field].tolist() for field in self._fields]


def _column(cells: list[Any], is_number: bool) -> Column:
    if is_number and None not in cells:
        return np.fromiter(cells, np.float64, len(cells))
    return cells


_layout_of = lru_cache(_TYPES)(_Layout)


def from_records(text: Readable) -> dict[str, Column] | None:
    """Return the columns of a list of objects that all have the members of the first.

    Returns
    -------
    dict of str to ndarray or list, or None
        None for anything else.

    Raises
    ------
    DecodeError
        If it is no JSON, or a record or a cell differs from those of the first.
    """
    view = memoryview(text)
    if len(view) < _FROM_BYTES:
        return None
    first = _first_of(bytes(view[:_MOST_FIRST_BYTES]))
    if not first or len(first) > _MOST_COLUMNS:
        return None
    are_numbers = tuple(type(cell) in (int, float) for cell in first.values())
    layout = _layout_of(tuple(first), are_numbers)
    return layout.columns(by_pieces(text, layout.block) or [layout.block(text)])


def _first_of(text: bytes) -> dict[str, Any] | None:
    """Return the first record; a brace within it is left to the careful reader."""
    found = _first.decode(text.partition(b"}")[0] + b"}]")
    return found[0] if found else None
