"""`python -m workers`: a worker that waits for its store, and waits for it again."""

import os
import sys

from mlservice import logs
from mlservice.errors import BadSetting
from mlservice.settings import Settings


def main() -> None:
    """Work until SIGINT or SIGTERM."""
    try:
        settings = Settings.from_environ(os.environ)
        logs.configure(settings)
        # Here, so that a wrong variable is told in one line.
        from workers.patience import PatientWorker
        from workers.settings import worker_options

        PatientWorker(**worker_options(settings)).run()
    except BadSetting as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
