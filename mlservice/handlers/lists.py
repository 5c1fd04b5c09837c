"""Lists of models, page by page, all or some."""

from dataclasses import dataclass
from typing import get_args
from urllib.parse import urlencode

from aiohttp import web

from mlservice.errors import Fault, InvalidParameter
from mlservice.query import read_query
from mlservice.schemas import ModelList, State
from mlservice.wire import caller, respond

LISTED, MOST_LISTED = 50, 500
MOST_NAME = 200
STATES: tuple[str, ...] = get_args(State)


@dataclass(frozen=True, kw_only=True)
class _Page:
    limit: int
    cursor: int | None
    filters: dict[str, str]


async def list_models(request: web.Request) -> web.Response:
    """List models, newest first."""
    page = _page(request)
    summaries, more = await caller(request).models.page(
        limit=page.limit,
        before=page.cursor,
        state=page.filters.get("state", ""),
        prefix=page.filters.get("name", ""),
    )
    following = None if more is None else str(more)
    listed = ModelList(models=summaries, next=following)
    if following is None:
        return respond(listed)
    query = urlencode({"limit": page.limit, **page.filters, "cursor": following})
    return respond(listed, headers={"Link": f'</models?{query}>; rel="next"'})


def _page(request: web.Request) -> _Page:
    """Read what a list takes, and refuse every other parameter."""
    numbers: dict[str, int] = {}
    filters: dict[str, str] = {}
    for name, text in read_query(request.rel_url.raw_query_string):
        if name in numbers or name in filters:
            raise _wrong(name, f"{name} must be given once, it is given again.")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        if (name == "limit" and 1 <= number <= MOST_LISTED) or (name == "cursor" and number):
            numbers[name] = number
        elif (name == "state" and text in STATES) or (name == "name" and _is_name(text)):
            filters[name] = text
        else:
            raise _wrong_parameter(name, text)
    return _Page(filters=filters, limit=numbers.get("limit", LISTED), cursor=numbers.get("cursor"))


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MOST_NAME


def _wrong_parameter(name: str, text: str) -> InvalidParameter:
    was = f"it is {text[:64]!r}."
    rules = {
        "limit": f"limit must be a number from 1 to {MOST_LISTED}, {was}",
        "cursor": f"cursor must be the next of an earlier page, {was}",
        "state": f"state must be one of {', '.join(STATES)}, {was}",
        "name": f"name must have 1 to {MOST_NAME} characters, it has {len(text)}.",
    }
    known = ", ".join(rules)
    detail = rules.get(name, f"The parameters are {known}, {name[:64]!r} is none of them.")
    return _wrong(name, detail)


def _wrong(name: str, detail: str) -> InvalidParameter:
    return InvalidParameter(detail, errors=[Fault(parameter=name, detail=detail)])
