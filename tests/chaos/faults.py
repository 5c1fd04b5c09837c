"""The faults: each does its harm, waits for as long as it lasts, and mends what it broke."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from random import Random

import psutil
from redis import Redis

from tests.chaos.stack import Stack

Fault = Callable[[Stack, Random], Awaitable[None]]


async def kill_worker(stack: Stack, random: Random) -> None:
    """A worker is killed, and started again a little later."""
    worker = random.choice(stack.workers)
    await worker.end(signal.SIGKILL)
    await asyncio.sleep(random.uniform(0, 4))
    worker.start()


async def stop_worker(stack: Stack, random: Random) -> None:
    """A worker is told to stop, and started again."""
    worker = random.choice(stack.workers)
    await worker.end(signal.SIGTERM)
    worker.start()


async def freeze_worker(stack: Stack, random: Random) -> None:
    """A worker stands still for longer than its lease, or shorter, and wakes up."""
    worker = random.choice(stack.workers)
    worker.send(signal.SIGSTOP)
    await asyncio.sleep(random.uniform(1, 6))
    worker.send(signal.SIGCONT)


async def kill_child(stack: Stack, random: Random) -> None:
    """A process that fits, or waits to, is killed."""
    children = random.choice(stack.workers).children()
    if children:
        with contextlib.suppress(psutil.NoSuchProcess):
            random.choice(children).kill()


async def kill_api(stack: Stack, random: Random) -> None:
    """An API is killed and started again."""
    api = random.choice(stack.apis)
    await api.end(signal.SIGKILL)
    api.start()


async def kill_store(stack: Stack, random: Random) -> None:
    """The store is killed, and started again with what its file has."""
    await stack.store.end(signal.SIGKILL)
    await asyncio.sleep(random.uniform(0, 3))
    stack.store.start()


async def freeze_store(stack: Stack, random: Random) -> None:
    """The store stands still."""
    stack.store.send(signal.SIGSTOP)
    await asyncio.sleep(random.uniform(0.5, 6))
    stack.store.send(signal.SIGCONT)


async def cut_connections(stack: Stack, random: Random) -> None:  # noqa: ARG001
    """Every connection to the store is reset."""
    stack.proxy.cut()


async def abandon_connections(stack: Stack, random: Random) -> None:  # noqa: ARG001
    """Every connection to the store is half open for ever."""
    stack.proxy.abandon()


async def close_proxy(stack: Stack, random: Random) -> None:
    """The store refuses connections."""
    await stack.proxy.close()
    await asyncio.sleep(random.uniform(0.5, 5))
    await stack.proxy.open()


async def freeze_proxy(stack: Stack, random: Random) -> None:
    """The store takes everything and answers nothing."""
    stack.proxy.freeze()
    await asyncio.sleep(random.uniform(0.5, 5))
    stack.proxy.thaw()


async def delay(stack: Stack, random: Random) -> None:
    """Every word to and from the store is late."""
    stack.proxy.delay_s = random.uniform(0.02, 0.2)
    await asyncio.sleep(random.uniform(1, 5))
    stack.proxy.delay_s = 0.0


async def trickle(stack: Stack, random: Random) -> None:
    """The store's answers come a few at a time."""
    stack.proxy.bytes_per_s = random.uniform(5_000, 50_000)
    await asyncio.sleep(random.uniform(1, 5))
    stack.proxy.bytes_per_s = 0.0


async def lose_answers(stack: Stack, random: Random) -> None:
    """Steps are executed and their answers lost, or never executed."""
    trap = random.choice([stack.proxy.cut_after, stack.proxy.cut_before])
    trap(b"EVALSHA", times=random.randint(1, 5))


async def kill_clients(stack: Stack, random: Random) -> None:
    """The store throws its clients out and forgets its scripts."""
    kinds = random.choice([["pubsub"], ["normal"], ["normal", "pubsub"]])

    def harm() -> None:
        with Redis.from_url(stack.store_url) as client:
            for kind in kinds:
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            client.script_flush()

    with contextlib.suppress(OSError):
        await asyncio.to_thread(harm)


FAULTS: tuple[Fault, ...] = (
    kill_worker,
    stop_worker,
    freeze_worker,
    kill_child,
    kill_api,
    kill_store,
    freeze_store,
    cut_connections,
    abandon_connections,
    close_proxy,
    freeze_proxy,
    delay,
    trickle,
    lose_answers,
    kill_clients,
)
