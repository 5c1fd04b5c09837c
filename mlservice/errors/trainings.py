"""Why a training was not taken, or ended without a model."""

from mlservice.errors.problem import ClientProblem, TrainingProblem


class TooManyTrainings(ClientProblem):
    """As many of one's trainings, or bytes of them, are open as the limit allows.

    `Retry-After` is about the time until those that wait have been trained; the
    detail names the limit.
    """

    slug, title, status = "too-many-trainings", "Too many trainings are open", 429


class NumericalFailure(TrainingProblem):
    """The solver found no finite coefficients.

    The numbers of the table are too large or too different in size.
    Bring the columns to similar scales, as `"preprocessing": {"scale": "standard"}`
    does, and train again.
    """

    slug, title, status = "numerical-failure", "The solver found no finite coefficients", 422


class TrainingTimeout(TrainingProblem):
    """The training took longer than its limit and was stopped.

    The detail tells the limit, which is `MLSERVICE_TRAINING_TIMEOUT_S`. Ask for fewer
    points, folds or iterations, or send fewer rows.
    """

    slug, title, status = "training-timeout", "The training took too long", 422


class TrainingMemory(TrainingProblem):
    """The training needed more memory than its limit and was stopped.

    The limit is `MLSERVICE_TRAINING_MEMORY_BYTES`. Send fewer rows, or text columns
    of fewer categories; of a small table `POST /models?dry_run=true` estimates the memory.
    """

    slug, title, status = "training-memory", "The training needed too much memory", 422


class TrainerKilled(TrainingProblem):
    """The process that fitted the model was killed from outside.

    Most often the system had no memory left. Other trainings are not affected.
    Send it again; if it happens again, its worker needs more memory.
    """

    slug, title, status = "trainer-killed", "The training's process was killed", 500


class WorkerLost(TrainingProblem):
    """The workers that took the training died each time, and no attempt is left.

    The system's log tells why they died: most often it had no memory left. Send it
    again when that is mended.
    """

    slug, title, status = "worker-lost", "The training's workers died", 500


class QueueTimeout(TrainingProblem):
    """No worker took the training in time. See that a worker runs, and send it again."""

    slug, title, status = "queue-timeout", "No worker took the training", 503


class DataLost(TrainingProblem):
    """The training's data were gone before it began. Send them again."""

    slug, title, status = "data-lost", "The training's data were lost", 500
