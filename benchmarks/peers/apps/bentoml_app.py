"""BentoML, a service with one API."""

import bentoml
import numpy as np
from fitted import fitted


@bentoml.service(workers=1)
class Classifier:
    """The estimator behind one method."""

    def __init__(self):
        self.estimator = fitted()

    @bentoml.api
    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the probabilities of each row."""
        return self.estimator.predict_proba(x)
