"""What compact bodies decode to, before they are decoded."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import ipc, parquet

from mlservice.errors import MalformedBody
from mlservice.table.bounds import extent_of_arrow, extent_of_parquet

TABLE = pa.table(
    {
        "n": np.arange(50_000.0),
        "z": np.zeros(50_000),
        "t": ["x", "yy", None, "zzz", ""] * 10_000,
        "b": [True, False] * 25_000,
    }
)


def parquet_of(table: Any, **options: Any) -> bytes:
    """Return a table as Parquet."""
    out = io.BytesIO()
    parquet.write_table(table, out, **options)
    return out.getvalue()


def arrow_of(table: Any, **options: Any) -> bytes:
    """Return a table as an Arrow stream."""
    out = io.BytesIO()
    with ipc.new_stream(out, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=7_000)
    return out.getvalue()


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_pages_of_parquet_are_as_large_as_its_chunks_say(
    compression: str, version: str, use_dictionary: bool
) -> None:
    """Whatever writes them, the sizes of pages add up, headers aside, to those of their chunks."""
    body = parquet_of(
        TABLE,
        compression=compression,
        data_page_version=version,
        use_dictionary=use_dictionary,
        row_group_size=20_000,
        data_page_size=10_000,
        write_page_checksum=True,
    )

    found = extent_of_parquet(body)

    metadata = parquet.ParquetFile(io.BytesIO(body)).metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    claimed = sum(group.column(i).total_uncompressed_size for group in groups for i in range(4))
    assert found.cells == 200_000
    assert 0.9 * claimed <= found.decoded <= claimed


def test_bomb_of_parquet_is_as_large_as_it_decodes_to() -> None:
    """A few kilobytes that are millions of zeros are told as millions of bytes."""
    body = parquet_of(
        pa.table({"z": np.zeros(2_000_000)}), compression="zstd", use_dictionary=False
    )

    assert len(body) < 20_000
    assert extent_of_parquet(body).decoded >= 16_000_000


def test_rows_of_arrow_are_counted_without_reading_them() -> None:
    """Batches and their dictionaries say how many rows they have."""
    assert extent_of_arrow(arrow_of(TABLE.drop(["b"]))).cells == 150_000

    coded = pa.table({"t": TABLE["t"].combine_chunks().dictionary_encode()})
    assert 50_000 <= extent_of_arrow(arrow_of(coded)).cells <= 50_100


def test_batch_that_claims_rows_it_does_not_have_is_counted() -> None:
    """A column of nothing takes no bytes, however long it says it is."""
    body = arrow_of(pa.table({"n": pa.nulls(7_000)}))
    claimed = body.replace((7_000).to_bytes(8, "little"), (10**15).to_bytes(8, "little"))

    assert extent_of_arrow(claimed).cells == 10**15


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_arrow_is_refused(compression: str) -> None:
    """What its buffers decode to is told nowhere that can be trusted."""
    with pytest.raises(MalformedBody, match="Content-Encoding"):
        extent_of_arrow(arrow_of(TABLE, compression=compression))


SMALL = TABLE.slice(0, 20)
BODIES = [
    (extent_of_parquet, parquet_of(SMALL)),
    (extent_of_parquet, parquet_of(SMALL, data_page_version="2.0", compression="gzip")),
    (extent_of_arrow, arrow_of(SMALL)),
]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_headers_are_refused_or_told(data: st.DataObject) -> None:
    """A changed or cut body has an extent or is malformed, never anything else."""
    extent_of, body = data.draw(st.sampled_from(BODIES))
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(body))) :]

    try:
        assert extent_of(bytes(damaged)).decoded is not None
    except MalformedBody:
        return
