"""MLflow's ScoringServerClient, with frames, arrays and lists."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from tests.conformance.conftest import FEATURES, ROWS, Service

FRAME = pd.DataFrame(ROWS, columns=list(FEATURES))


def client_of(service: Service) -> ScoringServerClient:
    """Return a client of the service."""
    host, port = service.address.split(":")
    return ScoringServerClient(host, int(port))


def test_the_server_is_found_ready(service: Service) -> None:
    """The client waits for `/ping`, and reads the version."""
    client = client_of(service)

    client.wait_server_ready(timeout=5)

    assert client.get_version()[0].isdigit()


@pytest.mark.parametrize(
    "data",
    [
        FRAME,
        FRAME[list(reversed(FEATURES))],
        np.array(ROWS),
        ROWS,
    ],
    ids=["frame", "frame in another order", "array", "lists"],
)
def test_invocations_are_predicted_as_natively(service: Service, data: Any) -> None:
    """Each kind of data that the client takes gives the classes."""
    answer = client_of(service).invoke(data)

    assert answer["predictions"] == service.labels
    assert answer.get_predictions()[0].tolist() == service.labels


def test_a_failure_is_raised_with_its_message(service: Service) -> None:
    """A frame without the features is refused, by name."""
    with pytest.raises(Exception, match=r"error code 400.*sepal_length"):
        client_of(service).invoke(pd.DataFrame({"other": [1]}))


def test_a_warning_stands_beside_the_predictions(service: Service) -> None:
    """A number that training had not seen takes nothing from what the client reads."""
    answer = client_of(service).invoke(FRAME.assign(petal_width=99.0))

    assert len(answer.get_predictions()) == len(ROWS)
    assert [each["column"] for each in answer["warnings"]] == ["petal_width"]
