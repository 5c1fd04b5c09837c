"""`mlservice keys`: make, list and revoke clients' keys."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from mlservice.embedded.valkey import data_folder, socket_path
from mlservice.errors import BadSetting, StoreUnavailable
from mlservice.scopes import SCOPES, Scope
from mlservice.settings import Settings

if TYPE_CHECKING:
    from mlservice.store import Grant, Grants

T = TypeVar("T")
MOST_DAYS = 36_500


@click.group()
@click.option("--data-dir", help="Folder of the private Valkey.")
@click.option("--redis-url", help="The Redis or Valkey, if it is not the private one.")
@click.pass_context
def keys(context: click.Context, /, **flags: str | None) -> None:
    """Make, list and revoke keys."""
    try:
        context.obj = Settings.from_environ(os.environ).with_flags(**flags)
    except BadSetting as error:
        raise click.UsageError(str(error)) from error


def _with_store(settings: Settings) -> Settings:
    """Return the settings with the address of the private Valkey, unless they have another."""
    if settings.redis_url:
        return settings
    path = socket_path(data_folder(settings.data_dir, os.environ))
    if not path.exists():
        raise BadSetting(
            f"Keys are in the store: `mlservice serve` must run ({path} is not there), "
            "or MLSERVICE_REDIS_URL name another."
        )
    return msgspec.structs.replace(settings, redis_url=f"unix://{path}")


@keys.command()
@click.option("--tenant", required=True, help="Whose models and aliases the key is for.")
@click.option("--scope", type=click.Choice(SCOPES), required=True, help="What it allows.")
@click.option("--label", default="", help="What people call it.")
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    help="How long it works; left out: until it is revoked.",
)
@click.pass_obj
def create(settings: Settings, *, tenant: str, scope: Scope, label: str, days: int | None) -> None:
    """Make a key and print it, this once."""
    token, grant = _run(
        settings,
        lambda grants: grants.create(tenant=tenant, scope=scope, label=label, days=days or 0),
    )
    click.echo(token)
    click.echo(_line(grant), err=True)


@keys.command(name="list")
@click.pass_obj
def list_all(settings: Settings) -> None:
    """List keys by what they are known by: never the keys themselves."""
    for grant in _run(settings, lambda grants: grants.all()):
        click.echo(_line(grant))


@keys.command()
@click.argument("grant_id", metavar="ID")
@click.pass_obj
def revoke(settings: Settings, *, grant_id: str) -> None:
    """Take a key away; it stops working everywhere within a second."""
    if not _run(settings, lambda grants: grants.revoke(grant_id)):
        raise click.ClickException(f"There must be a key {grant_id[:64]!r}, there is none.")


def _line(grant: "Grant") -> str:
    from mlservice.store.records import time_of

    expires = f"expires {time_of(grant.expires_ms)}" if grant.expires_ms else "does not expire"
    used = f"used {time_of(grant.used_ms)}" if grant.used_ms else "never used"
    label = f"  {grant.label}" if grant.label else ""
    return f"{grant.id}  {grant.tenant}  {grant.scope}  {expires}  {used}{label}"


def _run(settings: Settings, work: "Callable[[Grants], Awaitable[T]]") -> T:
    # Here, so that `serve` starts without it.
    from mlservice.store import Grants, Link, open_redis

    async def run(settings: Settings) -> T:
        link = Link(open_redis(settings), settings.store_timeout_s)
        try:
            return await work(Grants(link))
        finally:
            await link.close()

    try:
        # Not before: to show how a command is used needs no store.
        return asyncio.run(run(_with_store(settings)))
    except BadSetting as error:
        raise click.UsageError(str(error)) from error
    except StoreUnavailable as error:
        raise click.ClickException(error.detail) from error
