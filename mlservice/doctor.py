"""`mlservice doctor`: whether the store is there, fit to keep models, and has workers."""

import asyncio
import os
import time

import click

from mlservice.embedded.valkey import data_folder, socket_path
from mlservice.errors import BadSetting, StoreUnavailable
from mlservice.settings import Settings


@click.command()
@click.option("--data-dir", help="Folder of the private Valkey.")
@click.option("--redis-url", help="The Redis or Valkey, if it is not the private one.")
def doctor(**flags: str | None) -> None:
    """Tell what is wrong, and exit with 1 if something is."""
    try:
        settings = Settings.from_environ(os.environ).with_flags(**flags)
        if not settings.redis_url:
            path = socket_path(data_folder(settings.data_dir, os.environ))
            settings = settings.with_flags(redis_url=f"unix://{path}")
            if not path.exists():
                _tell("wrong", f"{path} is not there: start `mlservice serve`, or name a store")
        is_well = asyncio.run(_examine(settings))
    except BadSetting as error:
        raise click.UsageError(str(error)) from error
    raise SystemExit(0 if is_well else 1)


async def _examine(settings: Settings) -> bool:
    # Here, so that no other command waits for what the store needs.
    from mlservice import jobs
    from mlservice.store import Link, Trainings, open_redis
    from mlservice.store.checkup import accepted, examine, risks

    taken = accepted(settings)
    link = Link(open_redis(settings), settings.store_timeout_s)
    try:
        begun = time.perf_counter()
        found = await examine(link)
        _tell("ok", f"the store answers in {(time.perf_counter() - begun) * 1000:.1f} ms")
        _tell("ok", "it is {} {}".format(*found.version).replace("_version", ""))
        wrong = risks(found)
        for risk in wrong:
            _tell("taken" if risk.name in taken else "wrong", f"{risk.name}: {risk.detail}")
        workers = await Trainings(link, settings, jobs.entry).workers()
        _tell("ok" if workers else "wrong", f"{workers} workers were seen of late")
    except StoreUnavailable as problem:
        _tell("wrong", problem.detail)
        return False
    finally:
        await link.close()
    return bool(workers) and all(risk.name in taken for risk in wrong)


def _tell(verdict: str, what: str) -> None:
    click.echo(f"{verdict:5}  {what}")
