"""Every media type, through HTTP and a real worker."""

import asyncio
import csv
import gzip
import io
import sys
import zlib
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
from aiohttp import FormData
from redis import Redis

from mlservice.errors import InvalidTable
from mlservice.intake import check
from mlservice.parent import Parent
from mlservice.sent import ARROW, CSV, FORM, JSON, MSGPACK, NDJSON, PARQUET, Sent, unwrap
from mlservice.settings import Settings
from mlservice.store import PIECE_BYTES
from mlservice.table import Whole
from tests.support import Client, create, get, iris_columns, make_request, work
from tests.test_arrow import to_arrow, to_parquet

CSV_HEADERS = {"Content-Type": CSV}


def to_csv(columns: dict[str, list[Any]], delimiter: str = ",") -> bytes:
    """Write a table as CSV."""
    out = io.StringIO(newline="")
    rows = zip(*columns.values(), strict=True)
    csv.writer(out, delimiter=delimiter).writerows([list(columns), *rows])
    return out.getvalue().encode()


def to_ndjson(columns: dict[str, list[Any]]) -> bytes:
    """Write a table as records, one a line."""
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return msgspec.json.Encoder().encode_lines(records)


def to_msgpack(columns: dict[str, list[Any]], **members: Any) -> bytes:
    """Write a table as arrays and lists of text."""
    packed = {
        name: column
        if str in map(type, column)
        else {"dtype": "<f8", "data": np.array(column, "<f8").tobytes()}
        for name, column in columns.items()
    }
    return msgpack.packb({"columns": packed, **members})


def form(
    fields: dict[str, str], file: bytes, *, name: str = "x.csv", media_type: str = CSV
) -> tuple[bytes, dict[str, str]]:
    """Write a form as curl does, and its headers."""
    boundary = "------------------------d74496d66958873e"
    parts = [
        *(f'Content-Disposition: form-data; name="{key}"\r\n\r\n{text}'.encode()
          for key, text in fields.items()),
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {media_type}\r\n\r\n".encode() + file,
    ]  # fmt: skip
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return body + f"--{boundary}--\r\n".encode(), headers


async def post(
    client: Client, body: bytes, headers: dict[str, str], query: str = ""
) -> tuple[int, Any]:
    """Post a training; return the answer's status and document."""
    # Not as bytes, of which the client would set the length before it compresses them.
    async with client.post(f"/models{query}", data=io.BytesIO(body), headers=headers) as response:
        return response.status, await response.json()


def test_every_format_of_a_table_with_gaps_and_texts_has_one_digest() -> None:
    """Kinds are decided by column, the same for the same data in every format."""
    columns: dict[str, list[Any]] = {
        "number": [0.1, -2.0, 1e300, 5e-324] * 3,
        "whole": [1, 2, -3, 2**40] * 3,
        "gaps": [None, 0.5, 1.0, None] * 3,
        "text": ["b", None, '\u00e9,\n"', "1"] * 3,
        "y": ["p", "q"] * 6,
    }
    names, rows = list(columns), [list(row) for row in zip(*columns.values(), strict=True)]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    forms = (columns, records, {"columns": names, "data": rows})
    sent = [Sent(body=msgspec.json.encode({"data": data, "target": "y"})) for data in forms]
    sent += [
        Sent(media_type=CSV, body=to_csv(columns)),
        Sent(media_type=NDJSON, body=to_ndjson(columns)),
        Sent(media_type=MSGPACK, body=to_msgpack(columns)),
        Sent(media_type=PARQUET, body=to_parquet(columns)),
        Sent(media_type=ARROW, body=to_arrow(columns)),
    ]

    datasets = [check(each, Settings())[1] for each in sent]

    assert len({dataset.digest() for dataset in datasets}) == 1
    kinds = [each.kind for each in datasets[0].features]
    assert kinds == ["number", "number", "number", "text"]
    assert all(dataset.features == datasets[0].features for dataset in datasets)


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
        (to_ndjson(iris_columns()), {"Content-Type": NDJSON}),
        (to_msgpack(iris_columns()), {"Content-Type": MSGPACK}),
        (to_arrow(iris_columns()), {"Content-Type": ARROW}),
        (to_parquet(iris_columns()), {"Content-Type": PARQUET}),
        form({}, to_parquet(iris_columns()), name="x.parquet", media_type="text/plain"),
        form({"name": "iris"}, text),
        form({}, to_ndjson(iris_columns()), name="x.JSONL", media_type="application/octet-stream"),
        (gzip.compress(text), CSV_HEADERS | {"Content-Encoding": "gzip"}),
        (gzip.compress(text), CSV_HEADERS | {"Content-Encoding": "X-GZip"}),
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


BEYOND = {
    "columns": b'{"a": [1, 1e999, "x", -1e999], "b": ["x", "y", "z", null], "g": [1, 2, 1e999, 3]'
    b', "w": [1, 1, 1, 1e999], "y": [0, 1, 1e999, 0]}',
    "split": b'{"columns": ["a", "b", "g", "w", "y"], "data": [[1, "x", 1, 1, 0]'
    b', [1e999, "y", 2, 1, 1], ["x", "z", 1e999, 1, 1e999], [-1e999, null, 3, 1e999, 0]]}',
    "records": b'[{"a": 1, "b": "x", "g": 1, "w": 1, "y": 0}'
    b', {"a": 1e999, "b": "y", "g": 2, "w": 1, "y": 1}'
    b', {"a": "x", "b": "z", "g": 1e999, "w": 1, "y": 1e999}'
    b', {"a": -1e999, "b": null, "g": 3, "w": 1e999, "y": 0}]',
}


@pytest.mark.parametrize("form", [*BEYOND, "ndjson"])
async def test_numbers_beyond_float64_are_told_with_all_else_by_row_and_column(
    client: Client, form: str
) -> None:
    """They are neither infinity nor a fault of the whole table."""
    query, headers = "", {"Content-Type": JSON}
    if form == "ndjson":
        body = BEYOND["records"].strip(b"[]").replace(b"}, {", b"}\n{")
        query = "?target=y&sample_weight=w&evaluation.group=g"
        headers = {"Content-Type": NDJSON}
    else:
        options = b', "target": "y", "sample_weight": "w", "evaluation": {"group": "g"}}'
        body = b'{"data": ' + BEYOND[form] + options

    status, document = await post(client, body, headers, query)

    assert (status, document["type"]) == (422, "/problems/invalid-table")
    cells = [("y", 2), ("a", 1), ("a", 2), ("a", 3), ("g", 2), ("w", 3)]
    assert [fault["pointer"] for fault in document["errors"]] == [
        {
            "split": f"/data/data/{row}/{'abgwy'.index(name)}",
            "records": f"/data/{row}/{name}",
        }.get(form, f"/data/{name}/{row}")
        for name, row in cells
    ]
    assert document["error_count"] == len(cells)


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
    # Beside the loop, which the service shares here.
    bomb = await asyncio.to_thread(gzip.compress, b"a,b\n" + b"1,2\n" * (70 * PIECE_BYTES))

    status, _ = await post(client, bomb, CSV_HEADERS | {"Content-Encoding": "gzip"})

    assert status == 413


@pytest.mark.parametrize("size", [1, 1000, 10**6])
@pytest.mark.parametrize("media_type", [CSV, NDJSON])
def test_what_was_sent_may_come_in_pieces(media_type: str, size: int) -> None:
    """Header, parent and body are told apart wherever a piece ends; the table is the whole one."""
    lines = [b'{"a": %d, "y": %d}' % (i, i % 2) for i in range(3000)]
    if media_type == CSV:
        lines = [b"a,y", *(b"%d,%d" % (i, i % 2) for i in range(3000))]
    parent = Parent(id="before", file=b"p" * 70_000)
    sent = Sent(media_type=media_type, body=b"\n".join(lines), parent=parent)
    stored = sent.header() + bytes(sent.body)
    body, room = bytearray(len(stored) + 100), len(stored) + 100

    class Slow(Whole):
        def reach(self, wanted: int) -> int:
            nonlocal room
            while len(body) - room < wanted and room > 100:
                came = len(stored) + 100 - room
                at, piece = len(body) - room, stored[came : came + size]
                body[at : at + len(piece)] = piece
                room -= len(piece)
            if room == 100 and len(body) - room < wanted:
                del body[len(body) - room :]
                room = 0
            return len(body) - room

    read = unwrap(body, Slow(body))
    _, dataset = check(read, Settings())

    assert read.parent
    assert (read.parent.id, bytes(read.parent.file)) == ("before", parent.file)
    assert dataset.X[:, 0].tolist() == list(range(3000))


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


async def test_fields_of_a_form_are_options(client: Client) -> None:
    """What stands beside the file counts as if it stood in the query, the delimiter too."""
    fields = {"target": "sepal_length", "params.C": "0.5", "delimiter": "|", "name": "Ä b"}
    columns = iris_columns() | {"sepal_length": [i % 2 for i in range(150)]}
    columns["species"] = list(range(150))
    body, headers = form(fields, to_csv(columns, "|"), name="Ä.csv", media_type="text/plain")

    status, document = await post(client, body, headers)

    assert status == 202, document
    assert (document["target"], document["name"]) == ("sepal_length", "Ä b")
    assert document["params"]["C"] == 0.5


@pytest.mark.parametrize(
    ("fields", "query", "parameters"),
    [
        ({"colour": "red", "params.C": "x"}, "", {"colour", "params.C"}),
        ({"target": "b"}, "?target=b", {"target"}),
        ({"delimiter": "x"}, "", {"delimiter"}),
        ({"delimiter": ";"}, "?delimiter=%3B", {"delimiter"}),
    ],
)
async def test_wrong_fields_of_a_form_are_refused(
    client: Client, fields: dict[str, str], query: str, parameters: set[str]
) -> None:
    """A field that is unknown, repeated or wrong is told by its name."""
    status, document = await post(client, *form(fields, b"a,b\n1,2\n"), query)

    assert (status, document["type"]) == (422, "/problems/invalid-parameter")
    assert {fault["parameter"] for fault in document["errors"]} == parameters


async def test_file_of_an_unknown_kind_is_refused(client: Client) -> None:
    """Neither its media type nor its ending is known: 415 that says what is."""
    body, headers = form({}, b"x", name="x.xls", media_type="application/vnd.ms-excel")

    status, document = await post(client, body, headers)

    assert (status, document["type"]) == (415, "/problems/unsupported-media-type")
    assert ".csv" in document["detail"]


async def test_broken_form_is_malformed(client: Client) -> None:
    """However a form is cut or changed, the answer is 4xx."""
    whole, headers = form({"target": "b"}, b"a,b\n1,2\n2,3\n")
    broken = [whole[:at] for at in range(len(whole) - 2)]
    broken += [whole[:at] + b"\xff" + whole[at + 1 :] for at in range(0, len(whole), 3)]

    statuses = [(await post(client, body, headers))[0] for body in broken]

    assert {400, 422} >= set(statuses) - {202, 415}
    assert statuses[: len(whole) - 4] == [400] * (len(whole) - 4)


@pytest.mark.parametrize("body", [b"", b"--x--\r\n", b"--x\r\n", b"a,b\n1,2\n", b"--x\r\n\r\n"])
async def test_form_without_a_file_is_malformed(client: Client, body: bytes) -> None:
    """A form has one file."""
    status, document = await post(client, body, {"Content-Type": f"{FORM}; boundary=x"})

    assert (status, document["type"]) == (400, "/problems/malformed-body")


PART = b"--x\r\nContent-Disposition: form-data; %b\r\n%b\r\na,b\n1,p\n2,q\n\r\n"


@pytest.mark.parametrize(
    ("disposition", "others", "status", "says"),
    [
        (b'name="f"', b"", 400, "a part with a filename; it has 0"),
        (b'filename="x.csv"', b"", 202, ""),
        (b"filename*=UTF-8''%C3%A4.csv", b"", 202, ""),
        (b'filename="x.csv"', b"Content-Transfer-Encoding: BASE64\r\n", 400, "not as 'base64'"),
        (b'filename="x.csv"', b"Content-Transfer-Encoding: 8bit\r\n", 202, ""),
        (b'filename="x.csv"', b"Content-Type: text/csv; charset=UTF-8\r\n", 202, ""),
        (b'filename="x.csv"', b"Content-Type: text/csv; charset=latin1\r\n", 415, "is latin1"),
        (b'filename="x.csv.gz"', b"", 415, "it is text/plain, 'x.csv.gz'"),
    ],
)
async def test_a_file_of_a_form_is_what_its_part_says(
    client: Client, disposition: bytes, others: bytes, status: int, says: str
) -> None:
    """It needs a file's name and no other, and is read as it is or refused with what it is."""
    body = PART % (disposition, others) + b"--x--\r\n"
    headers = {"Content-Type": f"{FORM}; boundary=x"}

    found, document = await post(client, body, headers, "?evaluation.test_size=0")

    assert (found, says in document.get("detail", "")) == (status, True)


async def test_a_field_without_a_name_is_malformed(client: Client) -> None:
    """Which option it would be cannot be told."""
    body = PART % (b'filename="x.csv"', b"") + PART % (b'name=""', b"") + b"--x--\r\n"

    status, document = await post(client, body, {"Content-Type": f"{FORM}; boundary=x"})

    assert (status, document["type"]) == (400, "/problems/malformed-body")
    assert "must have a name" in document["detail"]


@pytest.mark.parametrize("body", [b"a;b\n1;p\n2;q\n", b"a\tb\n1\tp\n2\tq\n"])
async def test_a_table_of_one_column_that_has_a_delimiter_is_told_so(
    client: Client, body: bytes
) -> None:
    """Who forgot to name the delimiter reads how to."""
    status, document = await post(client, body, CSV_HEADERS)

    assert (status, document["type"]) == (422, "/problems/invalid-table")
    assert "delimiter=%3B" in document["detail"]


async def test_a_media_type_that_is_none_is_told_as_it_was_sent(client: Client) -> None:
    """Not as what the framework takes for it."""
    status, document = await post(client, b"a,b\n", {"Content-Type": "csv; header=present"})

    assert status == 415
    assert document["detail"].endswith(", it is csv.")


async def test_a_delimiter_stands_once(client: Client) -> None:
    """Which of two would be meant is not guessed, for predictions neither."""
    status, document = await post(client, b"a,b\n", CSV_HEADERS, "?delimiter=%3B&delimiter=%7C")

    assert (status, document["detail"]) == (422, "delimiter must stand once, it stands 2 times.")


async def test_form_with_two_files_is_malformed(client: Client) -> None:
    """Which of two files would be meant is not guessed."""
    body, headers = form({}, b"a,b\n1,2\n")
    twice = body.replace(b"--\r\n", b"\r\n") + body.partition(b"\r\n")[2]

    status, document = await post(client, twice, headers)

    assert (status, document["type"]) == (400, "/problems/malformed-body")


async def test_aiohttps_own_form_is_read(client: Client) -> None:
    """A form that a client library writes is read as it is."""
    data = FormData({"target": "species"})
    data.add_field("file", to_csv(iris_columns()), filename="iris.csv", content_type=CSV)

    async with client.post("/models", data=data) as response:
        assert response.status == 202


async def test_options_stand_beside_a_packed_table(client: Client) -> None:
    """msgpack has them as JSON has, and the query may have others."""
    body = to_msgpack(iris_columns(), target="species", params={"C": 0.5}, name="iris")
    headers = {"Content-Type": MSGPACK}

    taken, document = await post(client, body, headers, "?evaluation.test_size=0")
    twice, _ = await post(client, body, headers, "?target=species")
    wrong, fault = await post(client, to_msgpack(iris_columns(), params={"C": "1"}), headers)
    both, _ = await post(client, to_msgpack(iris_columns(), data={}), headers)

    assert (taken, twice, wrong, both) == (202, 422, 422, 422)
    assert (document["name"], document["params"]["C"]) == ("iris", 0.5)
    assert fault["errors"][0]["pointer"] == "/params/C"


async def test_compact_formats_need_their_extra(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow 415 names the extra, before anything is stored."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    sent = [(to, {"Content-Type": kind}) for to, kind in ((b"x", PARQUET), (b"x", ARROW))]
    sent.append(form({}, b"x", name="x.parquet", media_type="text/plain"))

    for body, headers in sent:
        status, document = await post(client, body, headers)
        assert (status, document["type"]) == (415, "/problems/unsupported-media-type")
        assert "mlservice[arrow]" in document["detail"]


async def test_faults_of_a_compact_format_end_the_training(
    client: Client, settings: Settings
) -> None:
    """Its options are checked at once; what is in it is told by the failed model."""
    wrong, _ = await post(client, b"x", {"Content-Type": PARQUET}, "?colour=red")
    status, queued = await post(client, b"PAR1", {"Content-Type": PARQUET})

    await work(settings)

    document = await get(client, f"/models/{queued['id']}")
    assert (wrong, status) == (422, 202)
    assert document["error"]["type"] == "/problems/malformed-body"


async def test_every_group_of_options_may_stand_in_the_query(
    client: Client, settings: Settings
) -> None:
    """Weights, evaluation and preprocessing are told of a CSV as of JSON: one model."""
    columns = iris_columns() | {"weight": [1.0 + i % 3 for i in range(150)]}
    columns["sepal_width"][7] = None
    members = {
        "sample_weight": "weight",
        "evaluation": {"test_size": 0.5, "random_state": 3},
        "preprocessing": {"impute": "mean", "scale": "standard"},
    }
    query = "?target=species&params.max_iter=1000&sample_weight=weight&evaluation.test_size=0.5"
    query += "&evaluation.random_state=3&preprocessing.impute=mean&preprocessing.scale=standard"

    ids = [await create(client, make_request(data=columns, **members))]
    status, document = await post(client, to_csv(columns), CSV_HEADERS, query)
    assert status == 202, document
    await work(settings)

    first, second = [await get(client, f"/models/{each}") for each in (*ids, document["id"])]
    assert first["state"] == second["state"] == "ready"
    assert first["coefficients"] == second["coefficients"]
    assert first["metrics"] == second["metrics"]
    assert first["provenance"]["data_digest"] == second["provenance"]["data_digest"]


@pytest.mark.parametrize("may_clear", [True, False])
def test_a_body_that_was_read_leaves_its_memory_to_the_matrix(may_clear: bool) -> None:
    """A worker has the body no longer while it builds what is fitted; the service keeps it."""
    text = b"a,y\n1,0\n2,1\n"
    sent = Sent(media_type=CSV, body=bytearray(text))

    dataset = check(sent, Settings(), may_clear=may_clear)[1]

    assert dataset.X.tolist() == [[1], [2]]
    assert sent.body == (b"" if may_clear else text)
