"""The error tree and its problem documents."""

import re

import pytest

from mlservice import errors
from mlservice.errors import (
    BodyTooLarge,
    ClientProblem,
    Fault,
    InvalidTable,
    Problem,
    ServerProblem,
    TrainingProblem,
    explanation,
    problems,
)

KINDS = list(problems())


def test_document_holds_the_members_of_rfc_9457() -> None:
    """A problem's document has type, title, status and detail."""
    problem = BodyTooLarge("The body must be smaller.")

    document = problem.document()

    assert document == {
        "type": "/problems/body-too-large",
        "title": "The body is too large",
        "status": 413,
        "detail": "The body must be smaller.",
    }


def test_document_lists_faults_without_absent_places() -> None:
    """A fault stands with the place it has, and without the one it lacks."""
    faults = [Fault(detail="a", pointer=""), Fault(detail="b", parameter="x")]

    document = InvalidTable("wrong", errors=faults).document()

    assert document["errors"] == (
        {"detail": "a", "pointer": ""},
        {"detail": "b", "parameter": "x"},
    )


def test_document_holds_extension_members() -> None:
    """Members of the problem's own stand beside the standard ones."""
    document = InvalidTable("wrong", members={"error_count": 21}).document()

    assert document["error_count"] == 21


def test_problem_keeps_headers_out_of_its_document() -> None:
    """Headers are for the response, not for the document."""
    problem = BodyTooLarge("wrong", headers={"Retry-After": "5"})

    assert problem.headers == {"Retry-After": "5"}
    assert "5" not in problem.document().values()


def test_text_of_a_problem_is_its_detail() -> None:
    """What a log writes of a problem is its detail."""
    assert str(BodyTooLarge("The body is large.")) == "The body is large."


def test_slugs_are_unique() -> None:
    """No two problem types share a page."""
    slugs = [kind.slug for kind in KINDS]

    assert sorted(slugs) == sorted(set(slugs))


def test_problems_stand_in_the_order_of_status() -> None:
    """The list of problem types is sorted."""
    assert [kind.status for kind in KINDS] == sorted(kind.status for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_problem_type_is_complete(kind: type[Problem]) -> None:
    """Each problem type has a slug, a title and words of its own."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.slug)
    assert kind.title
    assert not kind.title.endswith(".")
    assert explanation(kind).endswith(".")
    assert explanation(kind) != explanation(kind.__mro__[1])


@pytest.mark.parametrize("kind", KINDS)
def test_status_is_of_the_branch(kind: type[Problem]) -> None:
    """Clients' problems are 4xx, the service's 5xx, a training's either."""
    branches = {ClientProblem: {4}, ServerProblem: {5}, TrainingProblem: {4, 5}}

    allowed = next(first for branch, first in branches.items() if issubclass(kind, branch))

    assert kind.status // 100 in allowed


def test_tree_in_the_docstring_is_the_tree() -> None:
    """The classes that the module's docstring draws are those between root and leaves."""
    drawn = set(re.findall(r"\b[A-Z]\w+(?=\s{2,}|\n)", errors.__doc__ or ""))

    assert drawn == {
        "MlserviceError",
        "BadSetting",
        "Problem",
        *(branch.__name__ for branch in Problem.__subclasses__()),
    }
