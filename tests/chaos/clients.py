"""The clients: they train, follow, predict, cancel and delete, whatever happens."""

import asyncio
import uuid
from collections.abc import Mapping
from random import Random
from typing import Any

import aiohttp

from tests.chaos.history import History, Task
from tests.chaos.stack import Stack

# What a client may be told while the store or the API is away.
HARMLESS = {503}
PATIENCE_S = 20.0
RETRY_S = 0.1


class Caller:
    """A client that asks any of the APIs, and again when none answers.

    Every status that must not be is noted in the history.
    """

    def __init__(self, stack: Stack, history: History, random: Random) -> None:
        self._stack = stack
        self._history = history
        self._random = random
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S))

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
                self._history.answers[response.status] += 1
                if response.status >= 500 and response.status not in HARMLESS:
                    self._history.wrong.append(f"{method} {path}: {await response.text()}")
                text = await response.read()
                return response.status, await response.json() if text else None
        except (aiohttp.ClientError, TimeoutError):
            self._history.answers[0] += 1
            return 0, None

    async def until_told(self, method: str, path: str, **request: Any) -> tuple[int, Any]:
        """Ask until there is an answer that says yes or no."""
        while True:
            status, document = await self.once(method, path, **request)
            if status not in (0, 429, *HARMLESS):
                return status, document
            await asyncio.sleep(RETRY_S)


async def train(caller: Caller, history: History, task: Task) -> str:
    """Post a training until it is accepted, with one key; return its id."""
    key = str(uuid.uuid4())
    status, document = await caller.until_told(
        "POST", "/models", json=task.request, headers={"Idempotency-Key": key}
    )
    if status not in (201, 202):
        history.wrong.append(f"a training was refused: {document}")
        raise AssertionError(document)
    history.accept(key, document["id"], task)
    return str(document["id"])


async def predict(caller: Caller, history: History, model_id: str, random: Random) -> int:
    """Ask for one row's prediction; return the status."""
    task = history.accepted[model_id]
    row = random.randrange(len(task.rows))
    values = zip(task.features, task.rows[row].tolist(), strict=True)
    query = "&".join(f"{name}={value!r}" for name, value in values)
    status, document = await caller.once("GET", f"/models/{model_id}?{query}")
    if status == 200:
        history.compare(model_id, row, document["probabilities"])
    elif status == 404 and model_id not in history.deleting:
        history.lost.append(f"{model_id} is gone")
    return status


async def live(caller: Caller, history: History, tasks: list[Task], random: Random) -> None:
    """Train a model, follow it, use it and perhaps end it; again and again."""
    while True:
        model_id = await train(caller, history, random.choice(tasks))
        if random.random() < 0.2:
            await asyncio.sleep(random.uniform(0, 1))
            history.cancelling.add(model_id)
            status, _ = await caller.once("POST", f"/models/{model_id}/cancel")
            if status == 202:
                history.cancelled.add(model_id)
        for _ in range(random.randint(5, 50)):
            await predict(caller, history, model_id, random)
            await asyncio.sleep(random.uniform(0.01, 0.1))
        if random.random() < 0.3:
            history.deleting.add(model_id)
            status, _ = await caller.once("DELETE", f"/models/{model_id}")
            if status == 204:
                history.deleted.add(model_id)
