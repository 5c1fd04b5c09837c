"""How rows are parted, and which parts are refused."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from mlservice.dataset import prepare
from mlservice.errors import InvalidEvaluation, InvalidRequest, InvalidTable
from mlservice.schemas import read_training
from mlservice.settings import Settings
from mlservice.splits import Splits

ROWS = 40


def splits_of(**evaluation: Any) -> Splits:
    """Return the parts of 40 rows in classes of 30 and 10, 8 groups, and days in reverse."""
    data = {
        "x": list(range(ROWS)),
        "who": [f"person {row % 8}" for row in range(ROWS)],
        "day": [f"2025-01-{31 - row // 2:02}" for row in range(ROWS)],
        "week": list(range(ROWS))[::-1],
        "y": [int(row % 4 == 0) for row in range(ROWS)],
    }
    used = {"x", "week", "y", *evaluation.values()}
    data = {name: cells for name, cells in data.items() if name in used}
    body = {"data": data, "target": "y", "evaluation": evaluation}
    return prepare(read_training(msgspec.json.encode(body)), Settings()).splits


def rows_of(splits: Splits) -> list[list[list[int]]]:
    """Return the rows of each part."""
    parts = [part for part in (splits.hold_out(), *splits.folds()) if part]
    return [[rows.tolist() for rows in part] for part in parts]


def detail_of(**evaluation: Any) -> tuple[str | None, str]:
    """Return the place and the words of a refusal."""
    with pytest.raises(InvalidEvaluation) as refused:
        splits_of(**evaluation)
    [fault] = refused.value.errors
    return fault.pointer, fault.detail


def test_quarter_is_held_out_by_default_in_the_classes_shares() -> None:
    """Without a word, a stratified 25 % of the rows are measured on."""
    splits = splits_of()

    part = splits.hold_out()

    assert part
    fitted, measured = part
    assert sorted([*fitted, *measured]) == list(range(ROWS))
    assert len(measured) == 10
    assert 2 <= splits.y[measured].sum() <= 3
    assert splits.evaluation.test_size == 0.25
    assert list(splits.folds()) == []


@pytest.mark.parametrize(
    "evaluation",
    [{}, {"folds": 4}, {"stratify": False, "folds": 3}, {"group": "who", "folds": 3},
     {"group": "who", "stratify": False, "folds": 3}, {"order": "day", "folds": 3}],
)  # fmt: skip
def test_parts_are_the_same_each_time(evaluation: dict[str, Any]) -> None:
    """The service checks the parts that the worker measures on."""
    first, second = splits_of(**evaluation), splits_of(**evaluation)

    assert rows_of(first) == rows_of(second)


def test_random_state_parts_otherwise() -> None:
    """Another seed holds out other rows."""
    parts = {tuple(splits_of(random_state=seed).hold_out()[1]) for seed in range(3)}  # type: ignore[index]  # there is one

    assert len(parts) == 3


@pytest.mark.parametrize("stratify", [True, False])
def test_rows_of_a_group_stay_together(stratify: bool) -> None:
    """No group is on both sides, neither of the hold-out nor of a fold."""
    splits = splits_of(group="who", folds=4, stratify=stratify)

    parts = [splits.hold_out(), *splits.folds()]
    for part in parts:
        assert part
        who = [{row % 8 for row in rows} for rows in part]
        assert not who[0] & who[1]


@pytest.mark.parametrize("cell", [lambda row: (row * 7) % 11, lambda row: f"{(row * 7) % 11}"])
def test_parts_of_groups_are_those_of_the_cells_themselves(cell: Any) -> None:
    """Who gives scikit-learn the column, numbers or text, gets the parts that are told here."""
    cells = [cell(row) for row in range(ROWS)]
    data = {"x": list(range(ROWS)), "who": cells, "y": [int(row % 4 == 0) for row in range(ROWS)]}
    asked = {"group": "who", "folds": 3}
    body = msgspec.json.encode({"data": data, "target": "y", "evaluation": asked})
    splits = prepare(read_training(body), Settings()).splits
    y = data["y"]

    [held_out, *folds] = rows_of(splits)

    alone = GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=0).split(y, y, cells)
    folder = StratifiedGroupKFold(3, shuffle=True, random_state=0).split(y, y, cells)
    assert held_out == [rows.tolist() for rows in next(alone)]
    assert folds == [[rows.tolist() for rows in part] for part in folder]


@pytest.mark.parametrize("column", ["day", "week"])
def test_last_rows_in_order_are_held_out(column: str) -> None:
    """With an order, text or numbers, the test part is the last part, and folds go forward."""
    splits = splits_of(order=column, folds=3)

    part = splits.hold_out()

    assert part
    assert set(part[1]) == set(range(10))
    for fitted, measured in splits.folds():
        assert min(fitted) > max(measured) or column == "day"
        assert min(fitted) // 2 >= max(measured) // 2


def test_each_row_is_measured_by_one_fold() -> None:
    """Folds part the rows, each in the classes' shares."""
    splits = splits_of(folds=5)

    seen = Counter(row for _, measured in splits.folds() for row in measured.tolist())

    assert seen == Counter(range(ROWS))
    assert all(splits.y[measured].sum() == 2 for _, measured in splits.folds())


def test_column_that_parts_rows_is_no_feature() -> None:
    """The group and the order are known, and not learnt from."""
    data = {"x": [1, 2], "who": ["a", "b"], "y": [0, 1]}
    body = {"data": data, "target": "y", "evaluation": {"group": "who"}}

    dataset = prepare(read_training(msgspec.json.encode(body)), Settings())

    assert [feature.name for feature in dataset.features] == ["x"]


def test_small_table_is_not_parted_and_says_so() -> None:
    """Where a class would have fewer than 2 rows in a part, the default is left out."""
    body = {"data": {"x": [1, 2, 3, 4, 5, 6], "y": [0, 1, 0, 1, 0, 1]}, "target": "y"}

    splits = prepare(read_training(msgspec.json.encode(body)), Settings()).splits

    assert splits.hold_out() is None
    assert splits.evaluation.test_size == 0
    [warning] = splits.told
    assert warning.code == "no-test-part"
    assert "the test part must have 2 rows of each class" in warning.detail


@pytest.mark.parametrize("size", [0.001, 0.01, 0.9999])
def test_part_that_was_asked_for_and_is_too_small_is_refused(size: float) -> None:
    """What was asked for is done or refused, never left out."""
    pointer, detail = detail_of(test_size=size)

    assert pointer == "/evaluation/test_size"
    assert detail.startswith("The table is too small for a test part: ")


@pytest.mark.parametrize(
    ("evaluation", "pointer", "detail"),
    [
        ({"folds": 1}, "folds", "folds must be 0 or 2 to 20, it is 1."),
        ({"folds": 11}, "folds", "Each class must have a row for each of the 11 folds, 1 has 10."),
        ({"folds": 9, "group": "who"}, "folds", "9 folds need more groups than the table has."),
        ({"group": "z"}, "group", "group must be a column beside the target, 'z' is none."),
        ({"order": "y"}, "order", "order must be a column beside the target, 'y' is the target."),
        (
            {"group": "who", "order": "day"},
            "order",
            "Rows are parted by group or by order, both were named.",
        ),
    ],
)
def test_parts_that_cannot_be_made_are_refused(
    evaluation: dict[str, Any], pointer: str, detail: str
) -> None:
    """The member that is wrong is named, with what it must be."""
    assert detail_of(**evaluation) == (f"/evaluation/{pointer}", detail)


def test_training_part_needs_every_class() -> None:
    """A class that is only in the last part cannot be learnt from the first."""
    data = {"x": [1, 2, 3, 4], "day": [1, 2, 3, 4], "y": [0, 0, 0, 1]}
    body = {"data": data, "target": "y", "evaluation": {"order": "day", "test_size": 0.5}}

    with pytest.raises(InvalidEvaluation, match="training part must have a row of each class"):
        prepare(read_training(msgspec.json.encode(body)), Settings())


def test_fold_needs_every_class() -> None:
    """A fold that would be fitted without a class is refused."""
    data = {"x": [1, 2, 3, 4], "day": [1, 2, 3, 4], "y": [0, 0, 0, 1]}
    body = {"data": data, "target": "y", "evaluation": {"order": "day", "folds": 2}}

    with pytest.raises(InvalidEvaluation, match="2 folds cannot be made"):
        prepare(read_training(msgspec.json.encode(body)), Settings())


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["a", None], "text, it is missing"),
        ([1, None], "a number, it is missing"),
        (["a", 1], "text, it is a number"),
        ([1, [2]], "a number, it is a list"),
        (["a", {}], "text, it is an object"),
    ],
)
@pytest.mark.parametrize("role", ["group", "order"])
def test_column_that_parts_rows_has_no_gaps_and_one_kind(
    role: str, cells: list[Any], words: str
) -> None:
    """Rows without a group or a place in the order are told with their place."""
    data = {"x": [1, 2], "part": cells, "y": [0, 1]}
    body = {"data": data, "target": "y", "evaluation": {role: "part"}}

    with pytest.raises(InvalidTable) as refused:
        prepare(read_training(msgspec.json.encode(body)), Settings())

    [fault] = refused.value.errors
    assert fault.pointer == "/data/part/1"
    assert fault.detail == f"Row 1 of 'part', the {role}, must be {words}."


@pytest.mark.parametrize(
    "evaluation",
    [{"test_size": 1}, {"test_size": -0.1}, {"folds": 21}, {"fold": 2}, {"random_state": -1}],
)
def test_member_out_of_range_is_refused(evaluation: dict[str, Any]) -> None:
    """Ranges and names are checked with the rest of the request."""
    with pytest.raises(InvalidRequest):
        splits_of(**evaluation)
