"""Ray Serve, one proxy and one replica."""

import os
import time

from fitted import fitted
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=100)
class Classifier:
    """The estimator behind HTTP."""

    def __init__(self):
        self.estimator = fitted()

    async def __call__(self, request: Request) -> dict:
        """Return the probabilities of each row."""
        rows = (await request.json())["instances"]
        return {"predictions": self.estimator.predict_proba(rows).tolist()}


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Classifier.bind(), route_prefix="/predict")
    while True:
        time.sleep(3600)
