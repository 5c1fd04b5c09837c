"""Failures in the words of other servers, told by the path that was asked.

Under `/v2` and `/v1` a problem document has the member `error`, which the
clients of those protocols read, and under `/invocations` MLflow's `error_code`
and `message`. What those protocols know no status for is told by another.
"""

from mlservice.errors import Problem

_NOT_READY = "model-not-ready"
_WRONG = 422

# MLflow's names, of its protocol buffers.
_MLFLOW_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    422: "INVALID_PARAMETER_VALUE",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


def status_of(kind: type[Problem] | Problem, path: str) -> int:
    """Return the status that a problem is answered with under a path."""
    if _is_inference(path) and kind.slug == _NOT_READY:
        return 503
    foreign = _is_inference(path) or _is_mlflow(path)
    return 400 if foreign and kind.status == _WRONG else kind.status


def document_of(problem: Problem, path: str) -> dict[str, object]:
    """Return the document that a problem is answered with under a path."""
    document = problem.document() | {"status": status_of(problem, path)}
    # What could not be read as HTTP has no path, and may be of any protocol.
    if not path or _is_inference(path):
        return document | {"error": problem.detail}
    if _is_mlflow(path):
        code = _MLFLOW_CODES.get(problem.status, "BAD_REQUEST")
        return document | {"error_code": code, "message": problem.detail}
    return document


def _is_inference(path: str) -> bool:
    return path.startswith(("/v2/", "/v1/")) or path in {"/v2", "/v1"}


def _is_mlflow(path: str) -> bool:
    return path.endswith("/invocations")
