"""Connections to the store, and how their loss is told."""

import asyncio

import pytest
import uvloop
from redis.exceptions import ConnectionError as LostConnection

from mlservice.settings import Settings
from mlservice.store import open_pool


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_that_was_closed_counts_as_lost(
    settings: Settings, loop: "type[asyncio.AbstractEventLoop]"
) -> None:
    """On either event loop it is redis-py's own error, which callers know."""

    async def send() -> None:
        connection = open_pool(settings).make_connection()  # type: ignore[no-untyped-call]  # redis-py 5 types few of its own
        await connection.connect()
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        await connection.send_command("PING", check_health=False)
        await connection.read_response()

    with asyncio.Runner(loop_factory=loop) as runner, pytest.raises(LostConnection):
        runner.run(send())
