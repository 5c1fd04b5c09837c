"""Who waits for a model is woken when it changes; the record stays the truth.

A message that is lost costs a second: whoever waits reads the record again by
then. One connection of a process hears for all who wait in it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

from redis.exceptions import RedisError

from mlservice.errors import StoreUnavailable
from mlservice.store import keys
from mlservice.store.events import Event
from mlservice.store.link import Link
from mlservice.store.records import Record

logger = logging.getLogger(__name__)

READ_AGAIN_S = 1.0
EVENTS_AT_ONCE = 200
_RECONNECT_S = 0.5


class Changes:
    """What this process hears of models that change.

    Parameters
    ----------
    link : Link
        The store.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._watches: dict[str, set[asyncio.Event]] = {}
        self.is_closed = False

    async def listen(self) -> None:
        """Hear of changes for ever, over a new connection when one is lost."""
        while True:
            try:
                await self._hear()
            except (RedisError, OSError) as error:
                logger.warning("changes are not heard: %s", type(error).__name__)
            await asyncio.sleep(_RECONNECT_S)

    async def _hear(self) -> None:
        outages = self._link.outages
        async with self._link.pubsub() as pubsub:
            await pubsub.subscribe(keys.CHANGES)
            # A subscription from before the store went away may be deaf.
            while self._link.outages == outages:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
                if message:
                    # Others may use the channel's name.
                    self._wake(message["data"].decode(errors="replace"))

    async def events(self, model_id: str, after: str = "") -> list[Event]:
        """Return a model's next events, those after the one with the id `after`."""
        start = f"({after}" if after else "-"
        found = await self._link.call(
            "XRANGE", keys.events(model_id), start, "+", "COUNT", EVENTS_AT_ONCE
        )
        return [Event.read(each) for each in found]

    def _wake(self, model_id: str) -> None:
        for watch in self._watches.get(model_id, ()):
            watch.set()

    def close(self) -> None:
        """Let everybody who waits go at once."""
        self.is_closed = True
        for model_id in self._watches:
            self._wake(model_id)

    @contextlib.contextmanager
    def watch(self, model_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the model changes."""
        watch = asyncio.Event()
        watches = self._watches.setdefault(model_id, set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.remove(watch)
            if not watches:
                del self._watches[model_id]

    async def until_ended(self, record: Record, patience_s: float) -> Record:
        """Return a model's record when its training has ended, or as it is by then.

        Parameters
        ----------
        record : Record
            As it was read last.
        patience_s : float
            Longest wait.

        Raises
        ------
        ModelNotFound
            If the model is deleted meanwhile.
        """
        deadline = time.monotonic() + patience_s
        with self.watch(record.id) as changed:
            while not record.has_ended:
                # A store that is away is waited for: the training exists.
                with contextlib.suppress(StoreUnavailable):
                    stored = await self._link.call("HGETALL", keys.record(record.id))
                    record = Record.read(record.id, stored)
                left_s = deadline - time.monotonic()
                if record.has_ended or left_s <= 0 or self.is_closed:
                    break
                await pause(changed, left_s)
        return record


async def pause(changed: asyncio.Event, most_s: float) -> None:
    """Wait for a change, and at most until the record must be read again."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(min(most_s, READ_AGAIN_S)):
            await changed.wait()
    changed.clear()
