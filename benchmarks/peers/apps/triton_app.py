"""PyTriton: Triton's server before a Python function."""

import os

import numpy as np
from fitted import fitted
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

estimator = fitted()


@batch
def infer(x):
    """Return the probabilities of each row."""
    return [estimator.predict_proba(x)]


if __name__ == "__main__":
    config = TritonConfig(http_port=int(os.environ["PORT"]), allow_grpc=False, allow_metrics=False)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="model",
            infer_func=infer,
            inputs=[Tensor(name="x", dtype=np.float64, shape=(-1,))],
            outputs=[Tensor(name="predict_proba", dtype=np.float64, shape=(-1,))],
            config=ModelConfig(max_batch_size=16384),
            strict=False,
        )
        triton.serve()
