"""MLflow's scoring server: a model from code, which it saves and serves."""

import mlflow
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Classifier(PythonModel):
    """The estimator as a function of rows."""

    def load_context(self, context):
        """Fit the estimator."""
        from fitted import fitted

        self.estimator = fitted()

    def predict(self, context, model_input, params=None):
        """Return the probabilities of each row."""
        return self.estimator.predict_proba(model_input)


set_model(Classifier())

if __name__ == "__main__":
    import sys

    mlflow.pyfunc.save_model(sys.argv[1], python_model=__file__, pip_requirements=[])
