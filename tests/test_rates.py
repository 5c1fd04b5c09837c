"""Rates: bursts up to the limit, then evenly."""

import pytest

from mlservice import rates as room
from mlservice.rates import Rate


class Clock:
    """A clock that a test sets forward."""

    now_s = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def test_a_burst_up_to_the_limit_passes_and_the_next_waits() -> None:
    """Each tells how many are left; the one too many tells how long to wait."""
    rate = Rate(3, 60, Clock())

    standings = [rate.take("a") for _ in range(4)]

    assert [each.left for each in standings] == [2, 1, 0, 0]
    assert [each.wait_s for each in standings] == [0, 0, 0, pytest.approx(20)]


def test_room_comes_back_evenly() -> None:
    """A third of the time brings back a third of the limit."""
    clock = Clock()
    rate = Rate(3, 60, clock)
    for _ in range(3):
        rate.take("a")

    clock.now_s += 20

    assert rate.take("a").wait_s == 0
    assert rate.take("a").wait_s > 0


def test_one_who_waits_does_not_wait_longer_for_asking() -> None:
    """What was refused is not counted."""
    clock = Clock()
    rate = Rate(1, 10, clock)
    rate.take("a")

    waits = [rate.take("a").wait_s for _ in range(5)]

    assert waits == [pytest.approx(10)] * 5


def test_one_does_not_use_up_what_is_anothers() -> None:
    """Each has a limit of its own."""
    rate = Rate(1, 60, Clock())
    rate.take("a")

    assert rate.look("a") > 0
    assert rate.look("b") == 0
    assert rate.take("b").wait_s == 0


def test_those_who_wait_for_nothing_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is bounded, and who has just been counted stays counted."""
    monkeypatch.setattr(room, "MOST_KEPT", 3)
    clock = Clock()
    rate = Rate(1, 60, clock)
    for who in ("a", "b"):
        rate.take(who)
    clock.now_s += 61
    for who in ("c", "d"):
        rate.take(who)

    assert rate.look("c") > 0
    assert rate.look("d") > 0
    assert rate.look("a") == 0
