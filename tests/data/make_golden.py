"""Writes the golden file of the current format: `python tests/data/make_golden.py`.

A golden file is written once, when its format is new, and then kept: a test
holds that each is still read as the same model.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from mlservice.model import VERSION, encode  # noqa: E402  # found by the path above
from tests.test_model import GOLDEN_5  # noqa: E402

if __name__ == "__main__":
    (HERE / f"model_format_{VERSION}.msgpack").write_bytes(encode(GOLDEN_5))
