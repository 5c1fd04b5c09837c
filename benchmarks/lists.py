"""A page of models whose documents are large: `python -m benchmarks.lists`.

Imports models of 30,000 coefficients, whose documents have more than 1 MB each, and asks
for all of them in one page.
"""

import statistics
import time
from urllib.request import Request, urlopen

import click
import numpy as np

from benchmarks.measure import fetch, service
from mlservice.catalogue import Params
from mlservice.model import MEDIA_TYPE, Model, encode
from mlservice.params import resolve
from mlservice.schemas import Feature

FEATURES = 10_000


def file() -> bytes:
    """Return the file of a model of three classes."""
    return encode(
        Model(
            features=tuple(Feature(name=f"feature_{i}") for i in range(FEATURES)),
            target="y",
            classes=(0, 1, 2),
            coef=np.random.default_rng(0).normal(size=(3, FEATURES)),
            intercept=np.zeros(3),
            n_iter=(1,),
            params=resolve(Params(), [0, 1, 2], shape=(1, FEATURES)),
        )
    )


def page(api: str, limit: int) -> float:
    """Return how long a page takes, in ms."""
    begun = time.perf_counter()
    with urlopen(f"{api}/models?limit={limit}") as response:  # our own service
        response.read()
    return (time.perf_counter() - begun) * 1e3


@click.command()
@click.option("--models", default=100, show_default=True, help="Models of the page.")
@click.option("--times", default=20, show_default=True, help="How often it is asked for.")
def main(models: int, times: int) -> None:
    """Time a page of large models."""
    body = file()
    with service() as (api, _):
        fetch(f"{api}/health/live")
        for _ in range(models):
            sent = Request(f"{api}/models", data=body, headers={"Content-Type": MEDIA_TYPE})
            with urlopen(sent) as response:  # our own service
                size = len(response.read())
        taken = [page(api, models) for _ in range(times)]
    click.echo(
        f"{models} models, documents of {size / 1e6:.1f} MB: least {min(taken):.1f} ms, "
        f"p50 {statistics.median(taken):.1f} ms"
    )


if __name__ == "__main__":
    main()
