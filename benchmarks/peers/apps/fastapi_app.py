"""FastAPI, a handler on the event loop."""

from fastapi import FastAPI
from fitted import fitted
from pydantic import BaseModel

app, estimator = FastAPI(), fitted()


class Rows(BaseModel):
    """Rows of numbers."""

    instances: list[list[float]]


@app.post("/predict")
async def predict(rows: Rows):
    """Return the probabilities of each row."""
    return {"predictions": estimator.predict_proba(rows.instances).tolist()}
