"""Predictions of lines, streamed: CSV and NDJSON, row by row."""

import asyncio
import csv
import gzip
import io
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlservice.errors import InvalidRow
from mlservice.model import Model
from mlservice.predicting.answer import form_of
from mlservice.predicting.lines import CSV_LINES, NDJSON_LINES, rounded
from mlservice.predicting.matching import Wanted
from mlservice.predicting.options import Options
from mlservice.predicting.rows import MOST_ROW_BYTES, CsvReader, NdjsonReader
from mlservice.predicting.stream import Transformer
from mlservice.schemas import Feature
from mlservice.scoring import Scorer
from mlservice.settings import Settings
from tests.support import Client, make_model, store_model

URL = "/models/{}/predictions"
CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def mixed() -> Model:
    """Return a model of a number, a number that may be missing, and a text."""
    features = (
        Feature(name="n"),
        Feature(name="m", missing=True, fill=1.0),
        Feature(name="t", kind="text", categories=("x", "y, z")),
    )
    return make_model(described=features, coef=[[1.0, 2.0, 3.0, -3.0]], intercept=[0.0])


def transformer(
    model: Model, *, reads: str = "csv", writes: str = "csv", delimiter: str = ",", **options: Any
) -> Transformer:
    """Return what turns the text of rows into the text of their answers."""
    scorer = Scorer(model)
    wanted = Wanted(features=model.features, target=model.target)
    form = form_of(scorer, Options(**options))
    reader: Any = NdjsonReader()
    if reads == "csv":
        ignores = form.options.extra == "ignore"
        reader = CsvReader(wanted, delimiter, ignores_extra=ignores)
    return Transformer(reader, CSV_LINES if writes == "csv" else NDJSON_LINES, form, wanted)


def transformed(body: bytes, cuts: tuple[int, ...] = (), **options: Any) -> bytes:
    """Return the answer to a body that comes in pieces."""
    machine = transformer(options.pop("model", None) or mixed(), **options)
    ends = sorted({min(cut, len(body)) for cut in cuts})
    pieces = [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]
    found = [part for piece in pieces for part in machine.feed(piece)]
    return b"".join([*found, *machine.feed(b"", is_last=True)])


def errors_of(answer: bytes) -> list[str]:
    """Return the error of each row of an answer in CSV, empty where there is none."""
    return [row["error"] for row in csv.DictReader(io.StringIO(answer.decode()))]


CELLS = st.sampled_from(["1", "-2.5", "", "x", "y, z", "1e999", "é", '"', '"1"', "nan"])
ENDINGS = st.sampled_from(["\n", "\r\n", "\n\n"])


@st.composite
def csv_bodies(draw: st.DrawFn) -> bytes:
    """Draw CSV with rows that are right, wrong, quoted, ragged and empty."""
    lines = draw(st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=8))
    text = "n,m,t" + draw(ENDINGS)
    for line in lines:
        cells = [f'"{cell}"' if "," in cell or draw(st.booleans()) else cell for cell in line]
        text += ",".join(cells) + draw(ENDINGS)
    return text.encode()


@given(csv_bodies(), st.lists(st.integers(0, 200), max_size=6))
@hypothesis_settings(max_examples=150)
def test_pieces_of_csv_are_answered_as_the_whole(body: bytes, cuts: list[int]) -> None:
    """Wherever a body is cut, its answer is the same, and has a line for each record."""
    whole = transformed(body)

    assert transformed(body, tuple(cuts)) == whole
    assert len(errors_of(whole)) == len(whole.splitlines()) - 1


@given(st.data())
@hypothesis_settings(max_examples=50)
def test_bad_rows_lose_no_others(data: st.DataObject) -> None:
    """Each good row has the answer that it has alone; each bad one has its error."""
    good = b"1,2,x"
    bad = data.draw(st.sampled_from([b"q,2,x", b"1,2", b",2,x", b'"1"x,2,x', b"\xff,2,x"]))
    kinds = data.draw(st.lists(st.booleans(), min_size=1, max_size=30))
    rows = [good if kind else bad for kind in kinds]
    answer = transformed(b"n,m,t\n" + b"\n".join(rows) + b"\n")

    told = errors_of(answer)
    assert [not error for error in told] == kinds
    alone = transformed(b"n,m,t\n1,2,x\n").splitlines()[1]
    assert answer.splitlines().count(alone) == sum(kinds)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (b"q,1,x", "Line 3: 'n' must be a number, it is 'q'."),
        (b",1,x", "Line 3: 'n' must be a number, it is missing."),
        (b"NA,1,x", "Line 3: 'n' must be a number, it is missing."),
        (b"1,1,", "Line 3: 't' must be text, it is missing."),
        (b"1,1", "Line 3: must have 3 fields, it has 2."),
        (b"1e999,1,x", "Line 3: 'n' must be finite, it is infinite."),
        (b"\xff,1,x", "Line 3: must be UTF-8, it is not."),
        (b'"1"x,1,x', "Line 3: must have a delimiter after a closing quote."),
        (b"q,q,x", "Line 3: 'n' must be a number, it is 'q'. Line 3: 'm' must be a number"),
    ],
)
def test_error_of_a_row_of_csv_says_what_must_be(row: bytes, error: str) -> None:
    """The rows beside it are predicted."""
    answer = transformed(b"n,m,t\n1,2,x\n" + row + b"\n1,2,x\n")

    first, told, last = errors_of(answer)
    assert (first, last) == ("", "")
    assert told.startswith(error)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", "must be JSON, it is not"),
        (b"5", "must be a JSON object: Expected `object`"),
        (b'{"n": 1}, {"n": 2}', "must be JSON, it is not"),
        (b'{"n": 1, "t": "x"}', "'m' must be given, it is left out"),
        (b'{"n": 1, "m": 1, "t": "x", "z": 1}', "'z' is not a feature of the model"),
        (b'{"n": "1", "m": 1, "t": "x"}', "'n' must be a number, it is text"),
        (b'{"n": 1, "m": 1, "t": 2}', "'t' must be text, it is a number"),
        (b'{"n": 1e999, "m": 1, "t": "x"}', "Number out of range"),
    ],
)
def test_error_of_a_line_of_ndjson_says_what_must_be(line: bytes, error: str) -> None:
    """The lines beside it are predicted."""
    good = b'{"t": "x", "n": 1, "m": null}'

    answer = transformed(b"\n".join([good, line, good]), reads="ndjson", writes="ndjson")

    first, told, last = map(json.loads, answer.splitlines())
    assert first == last == {"prediction": "yes", "probabilities": first["probabilities"]}
    assert error in told["error"]


def test_row_that_is_too_long_is_told_and_passed_over() -> None:
    """More than 1 MiB is not kept; the rows after it are predicted."""
    long = b"1,1," + b"x" * (2 * MOST_ROW_BYTES)
    body = b"n,m,t\n1,1,x\n" + long + b"\n1,1,x\n"

    answer = transformed(body, cuts=tuple(range(0, len(body), 65536)))

    told = errors_of(answer)
    assert [bool(error) for error in told] == [False, True, False]
    assert "at most 1048576 bytes" in told[1]


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("quoted", [False, True])
def test_bad_rows_among_many_are_told_with_their_lines(delimiter: str, quoted: bool) -> None:
    """Each has its own line, and the rows between are predicted as they are alone."""
    model = make_model(features=("a", "b"), coef=[[1.0, -1.0]], intercept=[0.0])
    rows = [["q" if row % 7 == 3 else f"{row / 100}", f'"{1}"' if quoted else "1"]
            for row in range(500)]  # fmt: skip
    text = "".join(delimiter.join(row) + "\n" for row in [["a", "b"], *rows])

    answer = transformed(text.encode(), cuts=(1000, 2000), model=model, delimiter=delimiter)

    told = list(csv.DictReader(io.StringIO(answer.decode())))
    for row, line in enumerate(told):
        if row % 7 == 3:
            assert line["error"] == f"Line {row + 2}: 'a' must be a number, it is 'q'."
        else:
            assert float(line["probability_yes"]) == pytest.approx(
                1 / (1 + np.exp(1 - row / 100)), abs=1e-12
            )


@pytest.mark.parametrize("reads", ["csv", "ndjson"])
def test_rows_after_one_that_is_too_long_are_all_answered_with_their_lines(reads: str) -> None:
    """Also where a piece of the body ends just where that row does."""
    good, wrong = (
        (b"1,1,x\n", b"q,1,x\n")
        if reads == "csv"
        else (b'{"n": 1, "m": 1, "t": "x"}\n', b'{"n": "q", "m": 1, "t": "x"}\n')
    )
    long = b"x" * (2 * MOST_ROW_BYTES) + b"\n"
    head = b"n,m,t\n" if reads == "csv" else b""
    begin = head + good + long
    cuts = (len(begin) - 5, len(begin), len(begin + good))

    answer = transformed(begin + good + wrong + good, cuts=cuts, reads=reads)

    line = 3 if reads == "csv" else 2
    told = errors_of(answer)
    assert [error.partition(":")[0] for error in told] == [
        "",
        f"Line {line}",
        "",
        f"Line {line + 2}",
        "",
    ]


def test_quote_that_is_not_closed_is_one_bad_row() -> None:
    """Rows after it are predicted, once it is clear that it is not closed."""
    answer = transformed(b'n,m,t\n1,1,x\n1,1,"x\n1,1,x\n')

    assert [bool(error) for error in errors_of(answer)] == [False, True, False]


@pytest.mark.parametrize(
    "header", [b"", b"n,m\n1,2\n", b"n,m,t,z\n", b"n,n,m,t\n", b'n,m,"t\n', b"x" * (2 << 20)]
)
def test_names_that_do_not_fit_are_refused_before_the_answer(header: bytes) -> None:
    """What stands above the rows is right, or nothing is answered."""
    with pytest.raises(InvalidRow):
        transformed(header)


def test_index_without_a_name_is_passed_over() -> None:
    """What pandas writes is answered as if there were no index."""
    plain = transformed(b"n,m,t\n1,2,x\n3,,y\n")

    assert transformed(b",n,m,t\n0,1,2,x\n1,3,,y\n") == plain
    assert transformed(b'"",n,m,t\n"0",1,2,x\n"1",3,,y\n') == plain


def test_quoted_labels_and_names_are_read_back() -> None:
    """A class may hold whatever CSV quotes."""
    model = make_model(classes=('a,"b"\n', "c"), features=("x",), coef=[[1.0]], intercept=[0.0])

    answer = transformed(b"x\n-1\n1\n", model=model)

    rows = list(csv.DictReader(io.StringIO(answer.decode())))
    assert [row["prediction"] for row in rows] == ['a,"b"\n', "c"]
    assert float(rows[0]['probability_a,"b"\n']) > 0.5


def test_top_and_explain_stand_in_lines() -> None:
    """CSV has columns of the likeliest classes, NDJSON the contributions."""
    model = make_model(classes=(1, 2, 3), features=("x", "y"))

    top = list(csv.DictReader(io.StringIO(transformed(b"x,y\n1,0\n", model=model, top=2).decode())))
    told = transformed(b"x,y\n1,0\n", model=model, writes="ndjson", explain=True)

    assert list(top[0]) == [
        "prediction",
        "class_1",
        "probability_1",
        "class_2",
        "probability_2",
        "error",
        "warnings",
    ]
    assert top[0]["class_1"] == top[0]["prediction"]
    assert json.loads(told)["contributions"]["3"] == {"x": 5.0, "y": 0.0}


def test_many_classes_of_many_rows_are_answered_in_parts() -> None:
    """Memory is bounded by the numbers of an answer, not by the rows of a piece."""
    classes = tuple(range(1000))
    model = make_model(classes=classes, features=("x", "y"))
    machine = transformer(model)

    parts = list(machine.feed(b"x,y\n" + b"1,2\n" * 2500, is_last=True))

    assert [part.count(b"\n") for part in parts] == [1, 1000, 1000, 500]


@given(st.floats(0, 1), st.integers(1, 15))
def test_numbers_are_rounded_to_significant_digits(number: float, digits: int) -> None:
    """As printf's %g rounds; those below 1e-16 may keep more."""
    [found] = rounded(np.array([number]), digits).tolist()

    assert found == pytest.approx(
        float(f"{number:.{digits}g}"), rel=10.0 ** (1 - digits), abs=1e-22
    )
    if number > 1e-4:
        assert len(f"{found!r}".replace(".", "").strip("0")) <= digits


async def rows_of(count: int) -> AsyncIterator[bytes]:
    """Yield CSV of numbers in pieces that end anywhere."""
    yield b"n,m,t"
    for start in range(0, count, 100):
        yield "".join(f"\n{i},{-i},x" for i in range(start, start + 100)).encode()


async def test_long_body_is_answered_row_by_row(client: Client, settings: Settings) -> None:
    """Each row has its line, in order, and the end is told as such."""
    model_id = await store_model(settings, mixed())

    async with client.post(
        URL.format(model_id), params={"digits": "3"}, data=rows_of(20_000), headers=CSV
    ) as response:
        lines = (await response.text()).splitlines()

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["X-Request-ID"]
    assert len(lines) == 20_001
    assert lines[1] == "yes,0.0474,0.953,,"


async def test_row_is_answered_before_the_next_is_sent(client: Client, settings: Settings) -> None:
    """A client may wait for each answer before it asks again."""
    model_id = await store_model(settings, mixed())
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while (line := await queue.get()) is not None:
            yield line

    await queue.put(b'{"n": 1, "m": 2, "t": "x"}\n')
    async with client.post(URL.format(model_id), data=body(), headers=NDJSON) as response:
        for number in range(3):
            line = await response.content.readline()
            assert json.loads(line)["prediction"] == "yes"
            await queue.put(json.dumps({"n": number, "m": 2, "t": "x"}).encode() + b"\n")
        await queue.put(None)
        rest = await response.content.read()

    assert rest.count(b"\n") == 1


async def test_wrong_names_answer_422_before_the_answer_begins(
    client: Client, settings: Settings
) -> None:
    """The header line is judged as a whole table is."""
    model_id = await store_model(settings, mixed())

    async with client.post(URL.format(model_id), data=b"n,z\n1,2\n", headers=CSV) as response:
        document = await response.json()

    assert response.status == 422
    assert len(document["errors"]) == 3


class TestIdle:
    """What happens when nothing moves."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Return settings with a short patience."""
        return Settings(redis_url=settings.redis_url, prediction_idle_s=0.2)

    async def test_body_that_stops_breaks_the_answer_off(
        self, client: Client, settings: Settings
    ) -> None:
        """The answer ends as one that was cut, never as a whole one."""
        model_id = await store_model(settings, mixed())
        stop = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"n,m,t\n1,2,x\n"
            await stop.wait()

        async with client.post(URL.format(model_id), data=body(), headers=CSV) as response:
            assert (await response.content.readline()).startswith(b"prediction")
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
        stop.set()

    async def test_body_that_never_begins_is_refused(
        self, client: Client, settings: Settings
    ) -> None:
        """Before the answer begins there is a problem to tell."""
        model_id = await store_model(settings, mixed())
        stop = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"n,m"
            await stop.wait()

        async with client.post(URL.format(model_id), data=body(), headers=CSV) as response:
            assert response.status == 400
        stop.set()

    async def test_client_that_reads_nothing_is_left(
        self, client: Client, settings: Settings
    ) -> None:
        """Its rows are not read on for ever, nor their answers kept."""
        model_id = await store_model(settings, mixed())
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = (
            f"POST {URL.format(model_id)} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n"
        )
        writer.write((head + "Content-Length: 900000000\r\n\r\nn,m,t\n").encode())

        async def push() -> None:
            while True:
                writer.write(b"1,2,x\n" * 10_000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            async with asyncio.timeout(20):
                await push()
        writer.close()
        del reader


class TestLateReader:
    """What happens when a client sends everything before it reads anything."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Return settings with a short patience."""
        return Settings(redis_url=settings.redis_url, prediction_idle_s=3)

    async def test_client_that_reads_after_it_has_sent_is_answered(
        self, client: Client, settings: Settings
    ) -> None:
        """Some megabytes of the answer wait for it."""
        model_id = await store_model(settings, mixed())
        # More than the buffers of both ends hold, what is answered too.
        body = b"n,m,t,target\n" + b"1,2,x,%s\n" % (b"z" * 100) * 150_000
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, (client.host, client.port))
            head = f"POST {URL.format(model_id)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            head += "Content-Type: text/csv\r\nConnection: close\r\n"
            head += f"Content-Length: {len(body)}\r\n\r\n"
            await loop.sock_sendall(connection, head.encode() + body)

            answer = bytearray()
            while piece := await loop.sock_recv(connection, 1 << 20):
                answer += piece

        assert len(answer) > 6_000_000
        assert answer.count(b"\nyes,") == 150_000
        assert answer.endswith(b"0\r\n\r\n")


async def test_broken_coding_in_the_middle_breaks_the_answer_off(
    client: Client, settings: Settings
) -> None:
    """What was answered stands; that it is not all can be seen."""
    model_id = await store_model(settings, mixed())
    packed = gzip.compress(b"n,m,t\n" + b"".join(b"%d,2,x\n" % i for i in range(300_000)))

    async with client.post(
        URL.format(model_id),
        data=packed[:-8] + bytes(8),
        headers=CSV | {"Content-Encoding": "gzip"},
    ) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()
        assert response.status == 200


async def test_explanation_in_csv_is_refused(client: Client, settings: Settings) -> None:
    """A line of CSV has no place for it."""
    model_id = await store_model(settings, mixed())

    async with client.post(
        URL.format(model_id) + "?explain=true", data=b"n,m,t\n1,2,x\n", headers=CSV
    ) as response:
        assert response.status == 406
