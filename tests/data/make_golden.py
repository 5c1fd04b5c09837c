"""Writes the golden file of the current format: `python tests/data/make_golden.py`.

A golden file is written once, when its format is new, and then kept: a test
holds that each is still read as the same model.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from mlservice.model import VERSION, encode  # noqa: E402  # found by the path above
from tests.support import DEFAULT_PARAMS, make_model  # noqa: E402

if __name__ == "__main__":
    golden = make_model(
        classes=("setosa", "versicolor", "virginica"),
        features=("length", "width/~ü"),
        coef=[[0.1, -0.2], [5e-324, -0.0], [1.7976931348623157e308, 1 / 3]],
        intercept=[-1.0, 0.0, 1e-16],
        params=DEFAULT_PARAMS | {"C": None, "class_weight": {"setosa": 2.0}},
    )
    (HERE / f"model_format_{VERSION}.msgpack").write_bytes(encode(golden))
