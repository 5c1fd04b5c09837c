"""Parquet and Arrow streams, by pyarrow, which is the extra `arrow`.

What such a body decodes to has no bound by its size: `bounds` tells it first where
a prediction is asked for, and a training reads it in a process with a memory limit.
Numbers of an Arrow stream are views of the body where they can be.
"""

import importlib.util
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlservice.errors import MalformedBody, UnsupportedMediaType, escape
from mlservice.table.columns import Column, Faults, Table

# Integers beyond are not told apart by float64.
_EXACT = 2**53
# What pandas calls an index without a name.
_is_index = re.compile(r"__index_level_\d+__").fullmatch


def check_installed() -> None:
    """Refuse a body that needs pyarrow where it is not installed.

    Raises
    ------
    UnsupportedMediaType
        It names the extra.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UnsupportedMediaType(
            "The extra arrow must be installed for this media type, it is not: "
            "pip install 'mlservice[arrow]'."
        )


def from_parquet(body: bytes | bytearray) -> Table:
    """Read a table from a Parquet file.

    Raises
    ------
    UnsupportedMediaType
        If pyarrow is not installed.
    MalformedBody
        If the file is cut, changed, or none.
    InvalidTable
        With each column that holds neither numbers nor booleans nor text.
    """
    check_installed()
    from pyarrow import parquet

    def read(source: Any) -> Any:
        file = parquet.ParquetFile(source)
        # A text that a short file repeats is not written out each time.
        texts = [each.name for each in file.schema_arrow if _is_text(each.type)]
        return parquet.ParquetFile(source, read_dictionary=texts).read(use_threads=False)

    return _read(body, read)


def from_arrow_stream(body: bytes | bytearray) -> Table:
    """Read a table from an Arrow IPC stream; it raises what `from_parquet` does."""
    check_installed()
    from pyarrow import ipc

    return _read(body, lambda source: ipc.open_stream(source).read_all())


def _read(body: bytes | bytearray, read: Any) -> Table:
    import pyarrow as pa

    try:
        found = read(pa.BufferReader(pa.py_buffer(body)))
        # Offsets beyond their data, and text that is not UTF-8.
        found.validate(full=True)
        return _table(found)
    # pyarrow's own is an ArrowException too, and says nothing about the file.
    except pa.ArrowMemoryError:
        raise MemoryError from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = f"it is not ({type(error).__name__})"
        raise MalformedBody(f"The body must be a whole file of its type, {said}.") from error


def _table(found: Any) -> Table:
    faults = Faults()
    found = found.select([i for i, name in enumerate(found.column_names) if not _is_index(name)])
    names = found.column_names
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.add(f"/data/{escape(name)}", f"Column names must differ, {name!r} stands twice.")
    if not found.num_rows or not names:
        faults.add("/data", "The table must have at least one row and column, it has none.")
    faults.check()
    columns = zip(names, found.columns, strict=True)
    table = Table({name: _column(name, column, faults) for name, column in columns})
    faults.check()
    return table


def _column(name: str, column: Any, faults: Faults) -> Column:
    from pyarrow import types

    # Most are, and there may be thousands.
    if types.is_floating(column.type):
        return _numbers(name, column, faults)
    if types.is_dictionary(column.type) and not _is_text(column.type.value_type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if types.is_boolean(kind) or (types.is_integer(kind) and not _is_exact(column)):
        return list(column.to_pylist())
    if types.is_dictionary(kind) or _is_text(kind):
        return _texts(column)
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_integer(kind) or types.is_decimal(kind):
        return _numbers(name, column, faults)
    detail = f"Column {name!r} must hold numbers, booleans or text, it holds {kind}."
    faults.add(f"/data/{escape(name)}", detail[:200])
    return []


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_exact(column: Any) -> bool:
    from pyarrow import compute

    least, most = compute.min_max(column).as_py().values()
    return least is None or max(most, -least) < _EXACT


def _texts(column: Any) -> list[str | None]:
    """Return texts, equal ones as one object: a short file may repeat a long text."""
    from pyarrow import types

    texts: list[str | None] = []
    for chunk in column.chunks:
        coded = chunk if types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        values = coded.dictionary.to_pylist()
        texts += [None if code is None else values[code] for code in coded.indices.to_pylist()]
    return texts


def _numbers(name: str, column: Any, faults: Faults) -> NDArray[np.float64]:
    from pyarrow import float64

    numbers: NDArray[np.float64] = column.cast(float64(), safe=False).to_numpy()
    if np.isfinite(numbers).all():
        return numbers
    for row in np.flatnonzero(np.isinf(numbers)).tolist():
        detail = f"Row {row} of {name!r} must be finite, it is infinite."
        faults.add(f"/data/{escape(name)}/{row}", detail)
    return numbers
