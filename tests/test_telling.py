"""Progress on its way to the store."""

import asyncio
from collections.abc import Sequence

from mlservice.errors import StoreUnavailable
from workers.telling import Progress, Telling


class Store:
    """Takes steps, once it may."""

    def __init__(self) -> None:
        self.told: list[list[Progress]] = []
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def tell(self, steps: Sequence[Progress]) -> None:
        """Take some steps."""
        self.is_asked.set()
        await self.may_answer.wait()
        self.told.append(list(steps))


async def test_what_is_over_soon_is_left_to_its_end() -> None:
    """A short fit costs the store no call of its own, and nothing is lost."""
    store = Store()
    telling = Telling(store.tell)
    steps: list[Progress] = [{"phase": "reading"}, {"phase": "fitting"}]

    for step in steps:
        telling.report(step)
    await telling.end()

    assert (store.told, telling.untold) == ([], steps)
    assert not store.is_asked.is_set()


async def test_steps_are_told_together_while_the_fit_goes_on() -> None:
    """What was reported meanwhile goes in one call."""
    store = Store()
    store.may_answer.set()
    telling = Telling(store.tell)

    telling.report({"phase": "reading"})
    telling.report({"phase": "fitting"})
    await asyncio.wait_for(store.is_asked.wait(), 5)
    await telling.end()

    assert (store.told, telling.untold) == ([[{"phase": "reading"}, {"phase": "fitting"}]], [])


async def test_what_is_on_its_way_arrives_before_the_end() -> None:
    """The end waits for the call under way, and takes along what came after it."""
    store = Store()
    telling = Telling(store.tell)
    telling.report({"phase": "fitting"})
    await asyncio.wait_for(store.is_asked.wait(), 5)
    telling.report({"phase": "storing"})

    ending = asyncio.create_task(telling.end())
    await asyncio.sleep(0)
    store.may_answer.set()
    await ending

    assert [step for steps in [*store.told, telling.untold] for step in steps] == [
        {"phase": "fitting"},
        {"phase": "storing"},
    ]


async def test_a_store_that_is_away_misses_steps_and_fails_nothing() -> None:
    """The fit goes on, and so does the telling."""
    asked = asyncio.Event()

    async def tell(_: Sequence[Progress]) -> None:
        asked.set()
        raise StoreUnavailable("It is away.")

    telling = Telling(tell)
    telling.report({"phase": "reading"})
    await asyncio.wait_for(asked.wait(), 5)
    await telling.end()
    telling.report({"phase": "fitting"})
    await telling.end()

    assert telling.untold == [{"phase": "fitting"}]


async def test_steps_that_nobody_takes_do_not_pile_up() -> None:
    """At most a hundred wait."""
    telling = Telling(Store().tell)

    for iteration in range(500):
        telling.report({"iteration": iteration})
    await telling.end()

    assert len(telling.untold) == 100
