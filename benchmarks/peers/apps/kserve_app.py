"""KServe, its Model class around the estimator."""

import os

import numpy as np
from fitted import fitted
from kserve import InferResponse, Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response


class Classifier(Model):
    """The estimator as KServe's own scikit-learn server has it."""

    def __init__(self):
        super().__init__("model")
        self.estimator = fitted()
        self.ready = True

    def predict(self, payload, headers=None) -> dict | InferResponse:
        """Return the probabilities of each row, in V1 or V2."""
        rows = np.asarray(get_predict_input(payload))
        return get_predict_response(payload, self.estimator.predict_proba(rows), self.name)


if __name__ == "__main__":
    server = ModelServer(http_port=int(os.environ["PORT"]), workers=1, enable_grpc=False)
    server.start([Classifier()])
