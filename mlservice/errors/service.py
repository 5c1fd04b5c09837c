"""Failures of the service itself: its bugs, its store, its load."""

from mlservice.errors.problem import ServerProblem


class InternalError(ServerProblem):
    """The service has a bug. Its log has the details under the request's id (`instance`)."""

    slug, title, status = "internal-error", "The service failed", 500


class StoreUnavailable(ServerProblem):
    """The store (Redis or Valkey) does not answer, or refuses to write.

    Models that this process has in memory go on predicting. Try again after
    `Retry-After` seconds.
    """

    slug, title, status = "store-unavailable", "The store is not available", 503


class StoreFull(ServerProblem):
    """The store has no room for new work.

    What is under way can finish, and models go on predicting. Delete models, give the store more
    memory, or try again after `Retry-After` seconds.
    """

    slug, title, status = "store-full", "The store is full", 503


class QueueFull(ServerProblem):
    """As many trainings, or bytes of them, are open in all as the limit allows.

    `Retry-After` is about the time until those that wait have been trained; the
    detail names the limit.
    """

    slug, title, status = "queue-full", "Too many trainings are open in all", 503


class Overloaded(ServerProblem):
    """The service has as many connections or requests as it takes at a time.

    `Retry-After` says when to try again. Health checks are still answered.
    """

    slug, title, status = "overloaded", "The service is busy", 503
