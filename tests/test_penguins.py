"""A real table, with missing numbers and text: the penguins of Palmer Station.

Horst, Hill and Gorman (2020), https://allisonhorst.github.io/palmerpenguins/.
"""

import asyncio
import csv
import io
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from mlservice.settings import Settings
from tests.support import Client, create, get, work

CSV = {"Content-Type": "text/csv"}
TEXTS = {"species", "island", "sex"}
ROW = (
    "island=Biscoe&bill_length_mm=50.1&bill_depth_mm=15.2&flipper_length_mm=225"
    "&body_mass_g=5500&year=2008"
)


def shipped() -> str:
    """Return the CSV of the package, `NA` where a value is not available."""
    file = Path(str(distribution("palmerpenguins").locate_file("palmerpenguins/data/penguins.csv")))
    return file.read_text("utf-8")


def penguins() -> list[dict[str, Any]]:
    """Return its records, null where a value is not available."""
    return [
        {name: _value(name, text) for name, text in row.items()}
        for row in csv.DictReader(io.StringIO(shipped()))
    ]


def _value(name: str, text: str) -> str | float | None:
    if text == "NA":
        return None
    return text if name in TEXTS else float(text)


async def trained(client: Client, settings: Settings, **body: Any) -> Any:
    """Train on a body and return the finished document."""
    model_id = await create(client, {"target": "species", **body})
    await work(settings)
    return await get(client, f"/models/{model_id}")


async def test_penguins_train_with_no_option_but_the_target(
    client: Client, settings: Settings
) -> None:
    """Records with nulls and text give a model, and its accuracy on held-out rows."""
    model = await trained(client, settings, data=penguins())

    assert model["state"] == "ready", model["error"]
    assert model["rows"] == 344
    assert model["metrics"]["test"]["accuracy"] > 0.95
    features = {each["name"]: each for each in model["features"]}
    assert features["island"]["categories"] == ["Biscoe", "Dream", "Torgersen"]
    assert [name for name, each in features.items() if each["missing"]] == [
        *("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex")
    ]
    assert features["body_mass_g"]["fill"] == 4050.0


async def test_penguin_of_which_the_sex_is_not_known_is_predicted(
    client: Client, settings: Settings
) -> None:
    """A value that was missing in training may be left empty, and a new one is told."""
    model = await trained(client, settings, data=penguins())

    unknown, new = [
        await get(client, f"/models/{model['id']}?{ROW}&sex={sex}") for sex in ("", "hermaphrodite")
    ]

    assert unknown["prediction"] == new["prediction"] == "Gentoo"
    assert "warnings" not in unknown
    assert [each["parameter"] for each in new["warnings"]] == ["sex"]


async def test_standardised_penguins_converge_and_are_told_in_grams_and_millimetres(
    client: Client, settings: Settings
) -> None:
    """Numbers of unlike sizes are fitted in few steps; coefficients stay in the input's units."""
    model = await trained(
        client, settings, data=penguins(), preprocessing={"scale": "standard", "impute": "mean"}
    )

    assert model["converged"] is True
    assert model["warnings"] == []
    assert model["metrics"]["test"]["accuracy"] > 0.98
    coefficients = model["coefficients"]["Gentoo"]
    assert 0 < coefficients["body_mass_g"] < 0.01 < coefficients["flipper_length_mm"] < 1
    assert "sex=" in coefficients


async def test_penguins_as_csv_are_the_same_table(client: Client, settings: Settings) -> None:
    """Empty fields of CSV are the nulls of JSON: one digest, one model."""
    records = penguins()
    lines = [",".join(records[0])] + [
        ",".join("" if cell is None else str(cell) for cell in record.values())
        for record in records
    ]
    response = await client.post(
        "/models?target=species&preprocessing.impute=mean",
        data="\n".join(lines).encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert response.status == 202, await response.text()

    json_model = await trained(client, settings, data=records, preprocessing={"impute": "mean"})

    csv_model = await get(client, f"/models/{(await response.json())['id']}")
    assert csv_model["provenance"] == json_model["provenance"]
    assert csv_model["coefficients"] == json_model["coefficients"]


async def test_penguins_as_they_are_shipped_train_with_nothing_but_a_target(
    client: Client, settings: Settings
) -> None:
    """What is not available among numbers is missing, and may be so in a prediction."""
    text = await asyncio.to_thread(shipped)
    async with client.post("/models?target=species", data=text, headers=CSV) as response:
        model_id = (await response.json())["id"]
    await work(settings)

    model = await get(client, f"/models/{model_id}")

    assert model["state"] == "ready", model["error"]
    assert model["metrics"]["test"]["accuracy"] > 0.95
    numbers = [each for each in model["features"] if each["kind"] == "number"]
    assert [each["name"] for each in numbers if each["missing"]] == [
        *("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
    ]
    url = f"/models/{model_id}/predictions?extra=ignore"
    async with client.post(url, data=text, headers=CSV) as response:
        told = list(csv.DictReader(io.StringIO(await response.text())))
    assert len(told) == 344
    assert {row["error"] for row in told} == {""}


async def test_island_that_was_not_seen_counts_as_the_reference(
    client: Client, settings: Settings
) -> None:
    """With a reference its own category is known, and another is told as one that is not."""
    preprocessing = {"encode": "reference", "scale": "standard"}
    model = await trained(client, settings, data=penguins(), preprocessing=preprocessing)
    columns = set(model["coefficients"]["Gentoo"])

    known = await get(client, f"/models/{model['id']}?{ROW}&sex=female")
    unknown = await get(
        client, f"/models/{model['id']}?{ROW.replace('Biscoe', 'Deception')}&sex=female"
    )

    assert {"island=Dream", "island=Torgersen", "sex=male", "sex="} <= columns
    assert not {"island=Biscoe", "sex=female"} & columns
    assert "warnings" not in known
    assert [warning["code"] for warning in unknown["warnings"]] == ["unseen-category"]
    assert unknown["probabilities"] == known["probabilities"]
