"""What Parquet files and Arrow streams decode to, told before anything is decoded.

A short body may claim to be, or to expand to, any number of rows and bytes. The
libraries believe it, so their headers are read here first: each page of a Parquet
file (compact Thrift) and each message of an Arrow stream (flatbuffers) has one.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlservice.errors import MalformedBody

_PAGE_SIZE = 2
_COMPRESSED_SIZE = 3
_BATCH, _DICTIONARY = 3, 2
# Thrift's types that are as long whatever they hold: true, false, a byte, a double.
_SIZES = {1: 0, 2: 0, 3: 1, 7: 8}
_MOST_DEPTH = 16


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How large a table is that a body says it is.

    Attributes
    ----------
    cells : int
        Rows times columns.
    decoded : int
        Bytes once they are decompressed.
    """

    cells: int
    decoded: int


def extent_of_parquet(body: bytes | bytearray) -> Extent:
    """Return what a Parquet file decodes to.

    Raises
    ------
    MalformedBody
        If its headers cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        metadata = parquet.ParquetFile(pa.BufferReader(pa.py_buffer(body))).metadata
        return Extent(
            cells=metadata.num_rows * metadata.num_columns,
            decoded=sum(_pages(body, metadata)),
        )
    except (pa.ArrowException, OSError, LookupError, ValueError) as error:
        raise MalformedBody("The body must be a whole Parquet file, it is not.") from error


def _pages(body: bytes | bytearray, metadata: Any) -> Iterator[int]:
    """Yield the decoded size of each page."""
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            starts = [chunk.data_page_offset]
            if chunk.has_dictionary_page:
                starts.append(chunk.dictionary_page_offset)
            at = min(starts)
            end = at + chunk.total_compressed_size
            while at < end:
                header = _Thrift(body, at)
                sizes = header.integers()
                if min(sizes.values()) < 0:
                    raise ValueError("A page is shorter than nothing.")
                yield sizes[_PAGE_SIZE]
                at = header.at + sizes[_COMPRESSED_SIZE]


class _Thrift:
    """A reader of Thrift's compact protocol."""

    def __init__(self, data: bytes | bytearray, at: int) -> None:
        self._data = data
        self.at = at

    def integers(self) -> dict[int, int]:
        """Return the integers of a struct by the number of their field; skip all else."""
        found: dict[int, int] = {}
        for field, kind in self._fields():
            if kind in (4, 5, 6):
                found[field] = self._zigzag()
            else:
                self._skip(kind, 0)
        # A field that is not there is no size that could be trusted.
        return {_PAGE_SIZE: found[_PAGE_SIZE], _COMPRESSED_SIZE: found[_COMPRESSED_SIZE]}

    def _fields(self) -> Iterator[tuple[int, int]]:
        field = 0
        while byte := self._byte():
            delta = byte >> 4
            field = field + delta if delta else self._zigzag()
            yield field, byte & 15

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _MOST_DEPTH:
            raise ValueError("A header is nested too deeply.")
        if kind in _SIZES:
            self.at += _SIZES[kind]
        elif kind in (4, 5, 6):
            self._varint()
        elif kind == 8:
            length = self._varint()
            self.at += length
        elif kind == 12:
            for _, inner in self._fields():
                self._skip(inner, depth + 1)
        else:
            self._skip_list(kind, depth)

    def _skip_list(self, kind: int, depth: int) -> None:
        if kind not in (9, 10):
            raise ValueError("A header has an unknown type.")
        byte = self._byte()
        length = byte >> 4 if byte >> 4 < 15 else self._varint()
        for _ in range(min(length, len(self._data))):
            # Within a list a boolean has a byte.
            self._skip(3 if byte & 15 in (1, 2) else byte & 15, depth + 1)

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("An integer is too long.")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)


def extent_of_arrow(body: bytes | bytearray) -> Extent:
    """Return what an Arrow stream decodes to; one that is not compressed is what it is.

    Raises
    ------
    MalformedBody
        If its headers cannot be read, or its buffers are compressed: the coding of
        the whole body says how large it is, they do not.
    """
    import pyarrow as pa
    from pyarrow import ipc

    try:
        columns = len(ipc.open_stream(pa.py_buffer(body)).schema)
        messages = ipc.MessageReader.open_stream(pa.py_buffer(body))
        rows = sum(_rows(message.metadata.to_pybytes()) for message in messages)
    except (pa.ArrowException, OSError, EOFError, struct.error, ValueError) as error:
        raise MalformedBody("The body must be a whole Arrow stream, it is not.") from error
    return Extent(cells=rows * max(columns, 1), decoded=len(body))


def _rows(message: bytes) -> int:
    """Return the rows of a message, which has a batch of them or else none."""
    root = struct.unpack_from("<I", message, 0)[0]
    kind_at, header_at = _field(message, root, 1), _field(message, root, 2)
    kind = message[kind_at] if kind_at else 0
    if kind not in (_BATCH, _DICTIONARY) or not header_at:
        return 0
    batch = _indirect(message, header_at)
    if kind == _DICTIONARY:
        batch = _indirect(message, _field(message, batch, 1))
    if _field(message, batch, 3):
        raise MalformedBody(
            "An Arrow stream must not be compressed within, it is; use Content-Encoding."
        )
    length_at = _field(message, batch, 0)
    rows = struct.unpack_from("<q", message, length_at)[0] if length_at else 0
    if rows < 0:
        raise ValueError("A batch has fewer rows than none.")
    return int(rows)


def _indirect(message: bytes, at: int) -> int:
    return int(at + struct.unpack_from("<I", message, at)[0])


def _field(message: bytes, table: int, number: int) -> int:
    """Return where a field of a flatbuffer's table stands, 0 where it is left out."""
    offset: int = struct.unpack_from("<i", message, table)[0]
    vtable = table - offset
    size: int = struct.unpack_from("<H", message, vtable)[0]
    place = 4 + 2 * number
    if place + 2 > size:
        return 0
    found: int = struct.unpack_from("<H", message, vtable + place)[0]
    return table + found if found else 0
