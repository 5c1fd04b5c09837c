"""`from mlservice import load`: an artifact file in a user's own Python."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlservice import load
from mlservice.catalogue import Params
from mlservice.errors import BrokenModel
from mlservice.model import encode
from mlservice.schemas import TrainingRequest
from mlservice.settings import Settings
from tests.support import IRIS_FEATURES, iris_columns
from workers.training import train


def test_an_artifact_file_gives_the_estimator_that_was_fitted(tmp_path: Path) -> None:
    """Loaded, the model predicts bit for bit what was fitted."""
    request = TrainingRequest(data=iris_columns(), target="species", params=Params(max_iter=500))
    trained = train(msgspec.json.encode(request), Settings())
    path = tmp_path / "iris.model"
    path.write_bytes(encode(trained.model))
    X = np.array([iris_columns()[name] for name in IRIS_FEATURES]).T

    loaded = load(path)

    oracle = LogisticRegression(max_iter=500).fit(X, np.array(iris_columns()["species"]))
    assert np.array_equal(loaded.predict(X), oracle.predict(X))
    assert np.allclose(loaded.predict_proba(X), oracle.predict_proba(X), rtol=0, atol=1e-9)
    assert loaded.get_params()["max_iter"] == 500


@pytest.mark.parametrize("damage", [b"", b"\x80\x04.", b"not a model"])
def test_a_file_that_is_no_artifact_is_refused(tmp_path: Path, damage: bytes) -> None:
    """What is not a stored model is told as that."""
    path = tmp_path / "x.model"
    path.write_bytes(damage)

    with pytest.raises(BrokenModel):
        load(str(path))


def test_reading_the_version_does_not_import_scikit_learn() -> None:
    """`import mlservice` stays light."""
    script = "import sys, mlservice; print(mlservice.__version__, 'sklearn' in sys.modules)"

    said = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert said.split()[1] == "False"
