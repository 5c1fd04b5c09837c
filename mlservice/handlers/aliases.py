"""Names of models: move, list, describe and delete aliases."""

import re

import msgspec
from aiohttp import web

from mlservice.errors import AliasMoved
from mlservice.schemas import AliasDocument, AliasList, AliasTarget, Description, read_alias
from mlservice.store import Alias
from mlservice.validators import has_already
from mlservice.wire import JSON, caller, check_media_type, read_small, respond

# Strong ones: a weak tag matches nothing here (RFC 9110, section 13.1.1).
_tags = re.compile(r'(?<!W/)"(\d{1,18}-\d{1,18})"').findall


async def move(request: web.Request) -> web.Response:
    """Point an alias at a model; with `If-Match`, only if nobody has moved it since."""
    check_media_type(request, JSON)
    name = request.match_info["alias"]
    wanted = read_alias(await read_small(request))
    alias = await caller(request).aliases.move(
        name, await caller(request).aliases.resolve(wanted.model), tags=_tags_asked(request)
    )
    return _answer(alias, warnings=await _differences(request, alias))


def _tags_asked(request: web.Request) -> str:
    """Return the tags that `If-Match` names, "*", or "0" for `If-None-Match: *`."""
    if request.headers.get("If-None-Match", "").strip() == "*":
        return "0"
    sent = ",".join(request.headers.getall("If-Match", ())).strip()
    if not sent or sent == "*":
        return sent
    if not (tags := _tags(sent)):
        raise AliasMoved(f"If-Match must be an ETag of the alias, it is {sent[:64]!r}.")
    return ",".join(tags)


async def _differences(request: web.Request, alias: Alias) -> list[str]:
    """Tell how the features differ from those of the model before, if there was one."""
    if len(alias.targets) < 2:
        return []
    after, before = [await _features(request, model_id) for model_id, _ in alias.targets[:2]]
    if not before or before == after:
        return []
    lost, new = sorted(before - after), sorted(after - before)
    parts = [f"no longer {', '.join(lost)}"] if lost else []
    parts += [f"now {', '.join(new)}"] if new else []
    return [f"The features differ from those of the model before: {'; '.join(parts)}."]


async def _features(request: web.Request, model_id: str) -> set[str]:
    """Return the names and kinds of a model's features, or nothing if it is gone."""
    for record in await caller(request).models.records([model_id]):
        description = msgspec.json.decode(record.description, type=Description)
        return {f"{feature.name} ({feature.kind})" for feature in description.features or []}
    return set()


async def describe(request: web.Request) -> web.Response:
    """Tell where an alias points, and where it did before."""
    alias = await caller(request).aliases.get(request.match_info["alias"])
    answer = _answer(alias)
    if has_already(request, answer.headers["ETag"]):
        return web.Response(status=304, headers={"ETag": answer.headers["ETag"]})
    return answer


async def list_all(request: web.Request) -> web.Response:
    """List all aliases, by name."""
    found = await caller(request).aliases.all()
    return respond(AliasList(aliases=[_document(alias) for alias in found]))


async def delete(request: web.Request) -> web.Response:
    """Delete an alias; the model that it pointed at stays."""
    await caller(request).aliases.remove(request.match_info["alias"])
    return web.Response(status=204)


def _answer(alias: Alias, *, warnings: list[str] | None = None) -> web.Response:
    document = _document(alias, warnings=warnings)
    return respond(document, headers={"ETag": f'"{alias.tag}"'})


def _document(alias: Alias, *, warnings: list[str] | None = None) -> AliasDocument:
    history = [AliasTarget(model=model, moved_at=moved) for model, moved in alias.targets]
    return AliasDocument(
        alias=alias.name,
        model=history[0].model,
        moved_at=history[0].moved_at,
        previous=history[1].model if len(history) > 1 else None,
        history=history,
        warnings=warnings or [],
    )
