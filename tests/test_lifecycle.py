"""Train, describe, list and delete, through HTTP."""

from mlservice.settings import Settings
from tests.support import Client, create, get, make_request, work


async def test_training_ends_ready_and_predicts(client: Client, settings: Settings) -> None:
    """A posted table becomes a model that predicts by name."""
    model_id = await create(client, make_request())

    await work(settings)

    document = await get(client, f"/models/{model_id}")
    assert document["state"] == "ready"
    answer = await get(
        client,
        f"/models/{model_id}?petal_width=1.8&petal_length=5.1&sepal_width=3.0&sepal_length=5.9",
    )
    assert answer["prediction"] == "virginica"
