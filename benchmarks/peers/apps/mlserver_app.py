"""MLServer, its MLModel class around the estimator."""

from fitted import fitted
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Classifier(MLModel):
    """The estimator behind V2."""

    async def load(self) -> bool:
        """Fit the estimator."""
        self.estimator = fitted()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the probabilities of each row."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("predict_proba", self.estimator.predict_proba(rows))
        return InferenceResponse(model_name=self.name, outputs=[output])
