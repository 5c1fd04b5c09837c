"""What was acknowledged to clients, heard on their connections, and what must come of it."""

import re
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import msgspec

from tests.oracle import oracle

_of_model = re.compile(r"/models/([0-9a-f]{8}-[0-9a-f-]{27})(/cancel)?$").search
_ready = re.compile(r"/(ready|ping|health)$").search


class Anything:
    """Has every problem: a test says itself which one it expects."""

    def __contains__(self, problem: object) -> bool:
        return bool(problem)


@dataclass
class History:
    """Every answer that promised something, and every wrong one.

    Parameters
    ----------
    excused : container of str
        Problems that a training may fail by because of what was done to it.
    """

    excused: Container[str] = field(default_factory=Anything)
    accepted: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    cancelling: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    predicted: list[tuple[str, str, list[float]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def trace(self) -> aiohttp.TraceConfig:
        """Return what a client's session tells this history by."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._is_asked)
        trace.on_request_chunk_sent.append(_is_sent)
        trace.on_request_end.append(self._is_answered)
        trace.on_request_exception.append(self._is_unanswered)
        trace.on_response_chunk_received.append(self._is_read)
        return trace

    async def _is_asked(
        self,
        session: aiohttp.ClientSession,  # noqa: ARG002
        context: SimpleNamespace,
        request: aiohttp.TraceRequestStartParams,
    ) -> None:
        context.body = bytearray()
        context.model = None
        if found := _of_model(request.url.path):
            context.model = found[1]
            context.kind = "cancel" if found[2] else request.method
            # It may be done and never answered.
            self._set(context.kind, "ing").add(found[1])

    def _set(self, kind: str, end: str) -> set[str]:
        sets = {
            ("cancel", "ing"): self.cancelling,
            ("cancel", "ed"): self.cancelled,
            ("DELETE", "ing"): self.deleting,
            ("DELETE", "ed"): self.deleted,
        }
        return sets.get((kind, end), set())

    async def _is_answered(
        self,
        session: aiohttp.ClientSession,  # noqa: ARG002
        context: SimpleNamespace,
        end: aiohttp.TraceRequestEndParams,
    ) -> None:
        status, headers = end.response.status, end.response.headers
        self.answers[status] += 1
        context.status = status
        if status >= 500 and not _is_told_to_wait(end):
            self.failures.append(f"{end.method} {end.url.path} was answered {status}")
        if status in (201, 202) and (end.method, end.url.path) == ("POST", "/models"):
            key = end.headers.get("Idempotency-Key", "")
            self.accept(headers["Location"].rpartition("/")[2], bytes(context.body), key)
        elif context.model and status in (202, 204):
            self._set(context.kind, "ed").add(context.model)

    async def _is_unanswered(
        self,
        session: aiohttp.ClientSession,  # noqa: ARG002
        context: SimpleNamespace,  # noqa: ARG002
        request: aiohttp.TraceRequestExceptionParams,  # noqa: ARG002
    ) -> None:
        self.answers[0] += 1

    async def _is_read(
        self,
        session: aiohttp.ClientSession,  # noqa: ARG002
        context: SimpleNamespace,
        answer: aiohttp.TraceResponseChunkReceivedParams,
    ) -> None:
        query = answer.url.raw_query_string
        if context.model in self.accepted and context.status == 200 and query:
            told = msgspec.json.decode(answer.chunk)["probabilities"]
            self.predicted.append((str(context.model), query, list(told.values())))

    def accept(self, model_id: str, body: bytes, key: str = "") -> None:
        """Note a training that was acknowledged; one key must never name two models."""
        if key and self.keys.setdefault(key, model_id) != model_id:
            self.wrong.append(f"key {key} made {self.keys[key]} and {model_id}")
        self.accepted[model_id] = body

    def compare(self) -> list[str]:
        """Return which predictions were not those of an offline fit."""
        found = []
        for model_id, query, told in self.predicted:
            fit = oracle(self.accepted[model_id])
            if fit and fit.differs(fit.read(parse_qsl(query)), [told]):
                found.append(f"model {model_id} predicts {told} for {query}")
        return found

    def judge(self, model_id: str, state: str, problem: str) -> None:
        """Note what is wrong with a model's end, or that it is lost."""
        if state == "gone" and model_id not in self.deleting:
            self.lost.append(f"{model_id} is gone")
        elif wrong := self._misfit(model_id, state, problem):
            self.wrong.append(wrong)

    def _misfit(self, model_id: str, state: str, problem: str) -> str:
        if model_id in self.deleted:
            return "" if state == "gone" else f"{model_id} was deleted and is {state}"
        if state == "gone":
            return ""
        if model_id in self.cancelled:
            return "" if state == "cancelled" else f"{model_id} was cancelled and is {state}"
        if state == "cancelled":
            return "" if model_id in self.cancelling else f"{model_id} was cancelled by nobody"
        if state == "failed":
            return "" if problem in self.excused else f"{model_id} failed: {problem}"
        return "" if state == "ready" else f"{model_id} is {state}"


async def _is_sent(
    session: aiohttp.ClientSession,  # noqa: ARG001
    context: SimpleNamespace,
    piece: aiohttp.TraceRequestChunkSentParams,
) -> None:
    context.body += piece.chunk


def _is_told_to_wait(end: aiohttp.TraceRequestEndParams) -> bool:
    """Tell whether a failure is a 503 as it must be, or the answer of who asks for health."""
    is_told: Any = "Retry-After" in end.response.headers or _ready(end.url.path)
    return end.response.status == 503 and bool(is_told)
