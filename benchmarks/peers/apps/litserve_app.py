"""LitServe, one worker on the CPU."""

import os

import litserve
from fitted import fitted


class Classifier(litserve.LitAPI):
    """The estimator behind /predict."""

    def setup(self, device):
        """Fit the estimator."""
        self.estimator = fitted()

    def decode_request(self, request):
        """Return the rows."""
        return request["instances"]

    def predict(self, rows):
        """Return the probabilities of each row."""
        return self.estimator.predict_proba(rows).tolist()

    def encode_response(self, output):
        """Return the answer's document."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
