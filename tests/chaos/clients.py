"""The clients: they train, follow, predict, cancel and delete, whatever happens."""

import asyncio
import uuid
from collections.abc import Mapping
from random import Random
from typing import Any

import aiohttp

from tests.chaos.stack import Stack
from tests.chaos.tasks import Task
from tests.history import History

PATIENCE_S = 20.0
RETRY_S = 0.1


class Caller:
    """A client that asks any of the APIs, and again when none answers.

    What it is answered is heard by the history.
    """

    def __init__(self, stack: Stack, history: History, random: Random) -> None:
        self._stack = stack
        self._random = random
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S), trace_configs=[history.trace()]
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def once(
        self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and document of one request; 0 if there was no answer."""
        url = self._stack.url(self._random.randrange(len(self._stack.apis)))
        if url is None:
            await asyncio.sleep(RETRY_S)
            return 0, None
        try:
            async with self._session.request(
                method, url + path, json=json, headers=headers
            ) as response:
                text = await response.read()
                return response.status, await response.json() if text else None
        except (aiohttp.ClientError, TimeoutError):
            return 0, None

    async def until_told(self, method: str, path: str, **request: Any) -> tuple[int, Any]:
        """Ask until there is an answer that says yes or no."""
        while True:
            status, document = await self.once(method, path, **request)
            if status not in (0, 429, 503):
                return status, document
            await asyncio.sleep(RETRY_S)


async def train(caller: Caller, history: History, task: Task) -> str:
    """Post a training until it is accepted, with one key; return its id."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    status, document = await caller.until_told(
        "POST", "/models", json=task.request, headers=headers
    )
    if status not in (201, 202):
        history.wrong.append(f"a training was refused: {document}")
        raise AssertionError(document)
    return str(document["id"])


async def predict(caller: Caller, history: History, model_id: str, query: str) -> int:
    """Ask for one row's prediction; return the status."""
    status, _ = await caller.once("GET", f"/models/{model_id}?{query}")
    if status == 404 and model_id not in history.deleting:
        history.lost.append(f"{model_id} is gone")
    return status


async def live(caller: Caller, history: History, tasks: list[Task], random: Random) -> None:
    """Train a model, follow it, use it and perhaps end it; again and again."""
    while True:
        task = random.choice(tasks)
        model_id = await train(caller, history, task)
        if random.random() < 0.2:
            await asyncio.sleep(random.uniform(0, 1))
            await caller.once("POST", f"/models/{model_id}/cancel")
        for _ in range(random.randint(5, 50)):
            await predict(caller, history, model_id, random.choice(task.queries))
            await asyncio.sleep(random.uniform(0.01, 0.1))
        if random.random() < 0.3:
            await caller.once("DELETE", f"/models/{model_id}")
