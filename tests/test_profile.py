"""What the rows of a training were like, in its model."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from msgspec import UNSET

from mlservice.learning import learn
from mlservice.model import decode, encode
from mlservice.preparation import Column, Texts
from mlservice.profile import FeatureProfile, Profile, profile_of
from mlservice.schemas import Preprocessing
from mlservice.sent import JSON, Sent
from mlservice.settings import Settings
from tests.support import iris_columns
from workers.training import train

MOST = 1.7976931348623157e308


def profiled(columns: dict[str, Column], rows: list[int] | None = None) -> Profile:
    """Return the profile of columns, their classes 0 and 1 in turn."""
    chosen = None if rows is None else np.array(rows, dtype=np.intp)
    preparation = learn(columns, Preprocessing(), chosen)
    length = len(preparation.numbers(columns, chosen))
    return profile_of(columns.values(), preparation, np.arange(length) % 2, chosen, n_classes=2)


@given(arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)))
def test_numbers_are_measured_as_numpy_measures_them(values: np.ndarray) -> None:
    """Least, most, mean and deviation are numpy's; deciles are values that occur."""
    holed = np.append(values, np.nan)

    [found] = profiled({"a": holed}).features

    assert (found.count, found.min, found.max) == (len(values), values.min(), values.max())
    assert found.mean == pytest.approx(values.mean(), abs=1e-9)
    assert found.std == pytest.approx(values.std(), abs=1e-9)
    nearest = np.quantile(values, np.arange(1, 10) / 10, method="nearest")
    assert found.deciles is not UNSET
    assert set(found.deciles) <= set(values.tolist())
    assert list(found.deciles) == sorted(found.deciles)
    ranks = np.searchsorted(np.sort(values), [found.deciles, nearest])
    assert np.abs(ranks[0] - ranks[1]).max() <= 1


@pytest.mark.parametrize("values", [[MOST, -MOST], [1e200, 2e200], [5e-324, 1e-323], [0.0, 0.0]])
def test_extreme_numbers_have_finite_measures(values: list[float]) -> None:
    """Squares that overflow are not taken."""
    columns: dict[str, Column] = {"a": np.array(values)}
    preparation = learn({"a": np.array([0.0, 1.0])}, Preprocessing())

    [found] = profile_of(columns.values(), preparation, np.array([0, 1]), n_classes=2).features

    assert np.isfinite(np.array([found.mean, found.std], dtype=np.float64)).all()
    assert found.min == min(values)


def test_texts_are_counted_by_category() -> None:
    """Each category has its rows; the missing ones come last and do not count as present."""
    column = Texts(("x", "y"), np.array([0, 1, 1, -1, 1]))

    profile = profiled({"a": column, "b": np.arange(5.0)})

    assert profile.features[0] == FeatureProfile(count=4, counts=(1, 3, 1))
    assert (profile.rows, profile.classes) == (5, (3, 2))


def test_only_the_rows_of_the_fit_count() -> None:
    """Rows that were held out are in no count and no range."""
    columns: dict[str, Column] = {"a": np.array([1.0, 2.0, 99.0])}
    columns["b"] = Texts(("x", "y"), np.array([0, 0, 1]))

    profile = profiled(columns, rows=[0, 1])

    assert profile.features[0].max == 2.0
    assert profile.features[1] == FeatureProfile(count=2, counts=(2,))


def test_large_tables_have_the_deciles_of_some_rows() -> None:
    """Deciles of 2,000,000 rows are near the true ones, least and most are exact."""
    values = np.random.default_rng(0).permutation(2_000_000) / 2_000_000

    [found] = profiled({"a": values}).features

    assert found.min == 0.0
    assert found.max == values.max()
    assert found.deciles is not UNSET
    assert np.abs(np.array(found.deciles) - np.arange(1, 10) / 10).max() < 0.005


@pytest.mark.parametrize("refit", ["true", "false"])
def test_trained_model_has_the_profile_of_its_rows(refit: str) -> None:
    """What is stored tells of all rows, or of those that were not held out."""
    body = {
        "data": iris_columns(),
        "target": "species",
        "evaluation": {"test_size": 0.2, "refit": refit == "true"},
    }
    sent = Sent(media_type=JSON, body=json.dumps(body).encode())

    profile = decode(encode(train(sent.header() + sent.body, Settings()).model)).profile

    assert profile is not None
    assert profile.classes == ((50, 50, 50) if refit == "true" else (40, 40, 40))
    assert (profile.features[0].min, profile.features[0].count) == (4.3, profile.rows)
