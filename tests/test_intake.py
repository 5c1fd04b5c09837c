"""Every media type, through HTTP and a real worker."""

import csv
import gzip
import io
import zlib
from typing import Any

import msgspec
import pytest
from redis import Redis

from mlservice.errors import InvalidTable
from mlservice.intake import CSV, JSON, Sent, check, unwrap
from mlservice.settings import Settings
from mlservice.store import PIECE_BYTES
from tests.support import Client, create, get, iris_columns, make_request, work

CSV_HEADERS = {"Content-Type": CSV}


def to_csv(columns: dict[str, list[Any]], delimiter: str = ",") -> bytes:
    """Write a table as CSV."""
    out = io.StringIO(newline="")
    rows = zip(*columns.values(), strict=True)
    csv.writer(out, delimiter=delimiter).writerows([list(columns), *rows])
    return out.getvalue().encode()


async def post(
    client: Client, body: bytes, headers: dict[str, str], query: str = ""
) -> tuple[int, Any]:
    """Post a training; return the answer's status and document."""
    # Not as bytes, of which the client would set the length before it compresses them.
    async with client.post(f"/models{query}", data=io.BytesIO(body), headers=headers) as response:
        return response.status, await response.json()


async def test_every_format_gives_the_same_model(client: Client, settings: Settings) -> None:
    """One table, all formats: one digest, the same coefficients."""
    query = "?target=species&params.max_iter=1000"
    ids = [await create(client, make_request())]
    for body, headers in bodies():
        status, document = await post(client, body, headers, query)
        assert status == 202, document
        ids.append(document["id"])

    await work(settings)

    documents = [await get(client, f"/models/{each}") for each in ids]
    assert {document["state"] for document in documents} == {"ready"}
    assert len({document["provenance"]["data_digest"] for document in documents}) == 1
    first = documents[0]["coefficients"]
    assert [document["coefficients"] for document in documents] == [first] * len(ids)


def bodies() -> list[tuple[bytes, dict[str, str]]]:
    """Return iris in every format and content coding."""
    text = to_csv(iris_columns())
    return [
        (text, CSV_HEADERS),
        (text.replace(b"\r\n", b"\n"), {"Content-Type": "Text/CSV; Charset=UTF-8"}),
        (gzip.compress(text), CSV_HEADERS | {"Content-Encoding": "gzip"}),
        (zlib.compress(text), CSV_HEADERS | {"Content-Encoding": "deflate"}),
    ]


async def test_options_stand_in_the_query(client: Client) -> None:
    """The answer has the options of the query; the target defaults to the last column."""
    body = to_csv(iris_columns(), ";")

    status, document = await post(
        client, body, CSV_HEADERS, "?name=iris&params.C=0.5&params.solver=saga&delimiter=%3B"
    )

    assert status == 202
    assert (document["name"], document["target"]) == ("iris", "species")
    assert (document["params"]["C"], document["params"]["solver"]) == (0.5, "saga")


@pytest.mark.parametrize("rows", [1, 200_000])
async def test_wrong_options_are_refused_at_once_however_large_the_body(
    client: Client, redis: "Redis", rows: int
) -> None:
    """Each wrong option is told before anything is stored."""
    body = b"a,b\n" + b"1.5,x\n" * rows

    status, document = await post(client, body, CSV_HEADERS, "?params.C=-1&colour=red")

    assert (status, document["type"]) == (422, "/problems/invalid-parameter")
    assert {fault["parameter"] for fault in document["errors"]} == {"params.C", "colour"}
    assert redis.keys("mls:data:*") == []


@pytest.mark.parametrize("delimiter", ["", "x", "%22", "%2C%2C", "%00", "%0A"])
async def test_a_wrong_delimiter_is_refused(client: Client, delimiter: str) -> None:
    """A delimiter is one of those that are known."""
    status, document = await post(client, b"a,b\n1,2\n", CSV_HEADERS, f"?delimiter={delimiter}")

    assert status == 422
    assert [fault["parameter"] for fault in document["errors"]] == ["delimiter"]


async def test_a_query_that_cannot_be_decoded_is_malformed(client: Client) -> None:
    """Bytes that are not UTF-8 are refused, not replaced."""
    status, document = await post(client, b"a,b\n1,2\n", CSV_HEADERS, "?target=%25ff")
    assert (status, document["type"]) == (422, "/problems/invalid-table")


async def test_another_charset_is_refused(client: Client) -> None:
    """Text is UTF-8."""
    status, document = await post(
        client, b"a,b\n1,2\n", {"Content-Type": "text/csv; charset=latin1"}
    )

    assert (status, document["type"]) == (415, "/problems/unsupported-media-type")


async def test_faults_of_a_text_name_line_and_cell(client: Client) -> None:
    """Row, column and line of each wrong cell are told, the quoted newline counted."""
    body = b'a,b,y\n"1\n",2,x\n3,,y\n5,6,\n'

    status, document = await post(client, body, CSV_HEADERS)

    assert (status, document["type"]) == (422, "/problems/invalid-table")
    found = {(fault["pointer"], fault.get("line")) for fault in document["errors"]}
    assert ("/data/y/2", 5) in found


async def test_a_large_body_is_checked_by_its_worker(client: Client, settings: Settings) -> None:
    """What is wrong with it stands in the failed model, with its line; a good one trains."""
    rows = b"1.5,2.5,x\n2.5,0.5,y\n" * (PIECE_BYTES // 18)
    ids = []
    for body in (rows, rows + b"1,2\n"):
        status, document = await post(client, b"a,b,y\n" + body, CSV_HEADERS, "?name=large")
        assert (status, document["rows"]) == (202, None)
        ids.append(document["id"])

    await work(settings)

    good, bad = [await get(client, f"/models/{each}") for each in ids]
    assert (good["state"], good["name"], good["target"]) == ("ready", "large", "y")
    assert good["rows"] == rows.count(b"\n")
    assert (bad["state"], bad["error"]["type"]) == ("failed", "/problems/invalid-table")
    assert bad["error"]["errors"][0]["line"] == rows.count(b"\n") + 2


async def test_decoded_size_is_what_counts(client: Client) -> None:
    """A small body that decodes to more than the limit is refused."""
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * (70 * PIECE_BYTES))

    status, _ = await post(client, bomb, CSV_HEADERS | {"Content-Encoding": "gzip"})

    assert status == 413


@pytest.mark.parametrize("media_type", [JSON, CSV])
@pytest.mark.parametrize("body", [b"", b"a,b\n1,2\n", b"\x82\xff", b'{"data": 1}'])
def test_what_was_stored_is_what_was_sent(body: bytes, media_type: str) -> None:
    """Media type, options and bytes come back, whatever the bytes are."""
    options = [("target", "b")] if media_type == CSV else []
    sent = Sent(media_type=media_type, options=options, body=body)

    read = unwrap(bytearray(sent.header() + body))

    assert (read.media_type, read.body) == (media_type, body)
    assert [tuple(pair) for pair in read.options] == options


def test_a_body_without_a_header_is_json() -> None:
    """What is in the store from before is read as it was meant."""
    body = msgspec.json.encode(make_request())

    request, dataset = check(unwrap(body), Settings())

    assert (request.target, len(dataset.y)) == ("species", 150)


def test_whole_numbers_of_a_csv_are_labels_and_others_are_not() -> None:
    """A class is an integer, never a measurement, also where numbers come as floats."""
    taken = check(Sent(media_type=CSV, body=b"a,y\n1,0\n2,1.0\n"), Settings())[1]

    with pytest.raises(InvalidTable) as refused:
        check(Sent(media_type=CSV, body=b"a,y\n1,0\n2,1.5\n3,\n"), Settings())

    with pytest.raises(InvalidTable, match=r"Row 1 of the target must be below 2\*\*53"):
        check(Sent(media_type=CSV, body=b"a,y\n1,0\n2,9007199254740993\n"), Settings())

    assert taken.classes == (0, 1)
    assert [(each.pointer, each.line) for each in refused.value.errors] == [
        ("/data/y/1", 3),
        ("/data/y/2", 4),
    ]
