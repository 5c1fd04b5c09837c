"""The model that every peer serves: the iris flowers, or 30 measurements of tumours."""

import os

from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression

DATA = {"iris": load_iris, "cancer": load_breast_cancer}


def fitted():
    """Return the fitted estimator that PEER_DATA names."""
    X, y = DATA[os.environ["PEER_DATA"]](return_X_y=True)
    return LogisticRegression(solver="newton-cholesky", max_iter=1000).fit(X, y)
