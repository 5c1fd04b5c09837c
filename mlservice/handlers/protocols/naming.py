"""Models as other protocols name them: by an id or an alias, and perhaps a version.

An id has the version 1. An alias has one for each model that it pointed at, the
oldest 1; without a version it means the newest.
"""

from aiohttp import web
from msgspec import UNSET, UnsetType

from mlservice.cache import CACHE
from mlservice.errors import ModelNotFound
from mlservice.scoring import Scorer
from mlservice.store import Alias
from mlservice.wire import caller, named_model

MOST_LISTED = 1_000
LATEST, PREVIOUS = "latest", "previous"
# The version of an id.
ONLY = "1"


async def versioned_model(request: web.Request) -> str:
    """Return the id of the model that the path names, its version or label included.

    Raises
    ------
    ModelNotFound
        If there is no such model, or it has no such version.
    """
    version = request.match_info.get("version") or request.match_info.get("label")
    if version is None:
        return await named_model(request)
    name = request.match_info["id"]
    model_id = await named_model(request)
    by_version = {ONLY: model_id, LATEST: model_id}
    if model_id != name:
        by_version = _targets(await caller(request).aliases.get(name))
    if version not in by_version:
        raise ModelNotFound(
            f"The version must be one of {', '.join(sorted(by_version)[:20])}, "
            f"it is {version[:64]!r}."
        )
    return by_version[version]


async def versioned_scorer(request: web.Request) -> Scorer:
    """Return the model that the path names, ready to score.

    Raises
    ------
    ModelNotFound, ModelNotReady, BrokenModel, StoreUnavailable
        As `versioned_model` and `ModelCache.get` do.
    """
    model_id = await versioned_model(request)
    return await request.app[CACHE].get(model_id, caller(request).models)


async def scorer_of(request: web.Request, alias: str) -> Scorer:
    """Return the model that an alias of the caller means; it raises what `versioned_scorer` does.

    For paths that name no model.
    """
    model_id = await caller(request).aliases.resolve(alias)
    return await request.app[CACHE].get(model_id, caller(request).models)


def _targets(alias: Alias) -> dict[str, str]:
    """Return an alias's models by version, and by label."""
    models = [model_id for model_id, _ in alias.targets]
    found = {str(alias.revision - place): model_id for place, model_id in enumerate(models)}
    return found | dict(zip((LATEST, PREVIOUS), models, strict=False))


def asked_version(request: web.Request) -> str | UnsetType:
    """Return the version that was asked for, if one was."""
    return request.match_info.get("version", UNSET)


async def meant_version(request: web.Request) -> str:
    """Return the version that the path names, or that its label or its model's name means."""
    if version := request.match_info.get("version"):
        return version
    if await named_model(request) == (name := request.match_info["id"]):
        return ONLY
    newest = await caller(request).aliases.revision(name)
    return str(newest - 1 if request.match_info.get("label") == PREVIOUS else newest)


async def versions(request: web.Request) -> list[str]:
    """Return the versions of the model that the path names, the newest last."""
    model_id = await named_model(request)
    if model_id == (name := request.match_info["id"]):
        return [ONLY]
    alias = await caller(request).aliases.get(name)
    newest = alias.revision
    return [str(version) for version in range(newest - len(alias.targets) + 1, newest + 1)]


async def listed(request: web.Request) -> list[tuple[str, str, str]]:
    """Return name, newest version and state of each alias and of the newest 1,000 models."""
    aliases = await caller(request).aliases.all()
    page, _ = await caller(request).models.page(limit=MOST_LISTED)
    # An alias points at nothing but a model that is ready.
    named = [(alias.name, str(alias.revision), "ready") for alias in aliases]
    return named + [(each.id, ONLY, each.state) for each in page]
