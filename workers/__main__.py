"""`python -m workers`: a worker that waits for its store, and waits for it again."""

import argparse
import asyncio
import importlib.util
import os
import sys

from mlservice import logs
from mlservice.errors import BadSetting
from mlservice.settings import Settings

_USAGE = argparse.ArgumentParser(
    prog="python -m workers",
    description="Train what is queued in the store, until Ctrl-C or SIGTERM.",
    epilog="It takes no arguments: settings are environment variables, such as "
    "MLSERVICE_REDIS_URL and MLSERVICE_WORKER_SLOTS; docs/operating.md has all of them.",
)


def main() -> None:
    """Work until SIGINT or SIGTERM."""
    _USAGE.parse_args()
    try:
        settings = Settings.from_environ(os.environ)
        logs.configure(settings)
        # Here, so that a wrong variable is told in one line.
        from workers.patience import PatientWorker
        from workers.settings import worker_options

        _use_uvloop()
        PatientWorker(**worker_options(settings)).run()
    except BadSetting as error:
        sys.exit(f"Error: {error}")


def _use_uvloop() -> None:
    """Run on uvloop where the extra `fast` has installed it: a large body takes half the time."""
    if importlib.util.find_spec("uvloop"):
        import uvloop

        asyncio.set_event_loop(uvloop.new_event_loop())


if __name__ == "__main__":
    main()
