"""The circuit breaker of the store."""

import pytest

from mlservice.store.breaker import Breaker
from tests.support import until


async def test_a_probe_that_fails_in_an_unforeseen_way_is_not_the_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever a probe raises is logged, and the next one finds the store back."""
    answers: list[Exception | bool] = [
        RuntimeError("unable to perform operation on a transport"),
        False,
        True,
    ]

    async def probe() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    breaker = Breaker(probe, pause_s=0.01)
    breaker.suspect(0.0, is_late=True)
    assert not breaker.is_closed

    async def is_back() -> bool:
        return breaker.is_closed

    await until(is_back, within_s=5)
    await breaker.close()

    assert answers == []
    assert "the store cannot be probed" in caplog.text
