"""From a body's table to named columns, whatever form it was sent in.

A column is a list of the values that JSON gave, None where one is missing; or,
where the format delivers numbers, a float64 array with NaN for what is missing.
What a cell may be is judged by who reads the column.
"""

from mlservice.table.arrow import check_installed, from_arrow_stream, from_parquet
from mlservice.table.bounds import Extent, extent_of_arrow, extent_of_parquet
from mlservice.table.columns import MOST_FAULTS, Column, Faults, Table
from mlservice.table.coming import Coming, Whole
from mlservice.table.decimals import read_decimals
from mlservice.table.delimited import from_csv, has_index
from mlservice.table.forms import from_json
from mlservice.table.lines import from_ndjson
from mlservice.table.packed import from_msgpack
from mlservice.table.quick import is_wrapped, quick_table

__all__ = [
    "MOST_FAULTS",
    "Column",
    "Coming",
    "Extent",
    "Faults",
    "Table",
    "Whole",
    "check_installed",
    "extent_of_arrow",
    "extent_of_parquet",
    "from_arrow_stream",
    "from_csv",
    "from_json",
    "from_msgpack",
    "from_ndjson",
    "from_parquet",
    "has_index",
    "is_wrapped",
    "quick_table",
    "read_decimals",
]
