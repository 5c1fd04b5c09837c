"""`python -m workers`: the same worker as arq's command line starts."""

from arq.worker import run_worker

from workers.settings import WorkerSettings

if __name__ == "__main__":
    run_worker(WorkerSettings)
