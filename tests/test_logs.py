"""Log lines for machines and for people."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from mlservice.logs import JsonFormatter, TextFormatter, configure, request_id
from mlservice.settings import Settings
from mlservice.store import Grants, Link, open_redis
from tests.conftest import watched


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Return the root logger without handlers; put back what there was."""
    logger, arq = logging.getLogger(), logging.getLogger("arq")
    handlers, levels = logger.handlers[:], (logger.level, arq.level)
    logger.handlers.clear()
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(levels[0])
    arq.setLevel(levels[1])


def make_record(message: str = "trained %s", *args: object) -> logging.LogRecord:
    """Return a record of a fixed time."""
    record = logging.LogRecord("mlservice.x", logging.WARNING, "x.py", 1, message, args, None)
    record.created, record.msecs = 1_700_000_000.0, 7.0
    return record


def test_json_line_has_time_level_logger_and_message() -> None:
    """A line is one JSON object, its time RFC 3339 in UTC."""
    line = JsonFormatter().format(make_record("trained %s", "iris"))

    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.007Z",
        "level": "warning",
        "logger": "mlservice.x",
        "message": "trained iris",
    }


def test_json_line_names_the_request() -> None:
    """A line that belongs to a request carries its id."""
    token = request_id.set("r-1")

    line = JsonFormatter().format(make_record("x"))

    request_id.reset(token)
    assert json.loads(line)["request"] == "r-1"


def test_json_line_holds_the_traceback() -> None:
    """A bug's traceback is in the line, and the line stays one line."""
    record = make_record("two\nlines")
    try:
        raise ValueError("a\nb")  # noqa: TRY301  # for its traceback
    except ValueError:
        record.exc_info = sys.exc_info()

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert "ValueError: a\nb" in json.loads(line)["exception"]


def test_json_line_keeps_letters_of_all_alphabets() -> None:
    """Text is written as it is, not as escapes."""
    assert "Größe" in JsonFormatter().format(make_record("Größe"))


def test_text_line_is_for_a_person() -> None:
    """On a terminal a line has time, level, logger and message."""
    line = TextFormatter().format(make_record("trained %s", "iris"))

    assert line.endswith(" WARNING mlservice.x: trained iris")


@pytest.mark.parametrize(
    ("name", "is_terminal", "formatter"),
    [
        ("json", True, JsonFormatter),
        ("text", False, TextFormatter),
        ("auto", True, TextFormatter),
        ("auto", False, JsonFormatter),
    ],
)
def test_format_is_the_one_that_the_settings_name(
    root: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    is_terminal: bool,
    formatter: type[logging.Formatter],
) -> None:
    """`auto` is text on a terminal and JSON elsewhere."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)

    configure(Settings.from_environ({"MLSERVICE_LOG_FORMAT": name}))

    assert [type(handler.formatter) for handler in root.handlers] == [formatter]


def test_level_is_the_one_that_the_settings_name(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is below the level is not written; what is written goes to standard error."""
    configure(Settings(log_level="warning"))

    root.info("hidden")
    root.warning("shown")

    written = capsys.readouterr()
    assert json.loads(written.err)["message"] == "shown"
    assert written.out == ""


def test_lines_of_arq_about_each_job_are_left_out(root: logging.Logger) -> None:
    """What arq says at info is not logged, even at level debug."""
    configure(Settings(log_level="debug"))

    assert root.isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("arq.worker").isEnabledFor(logging.INFO)


async def test_a_test_that_logs_what_is_sent_fails(settings: Settings) -> None:
    """The guard of all tests sees keys, rows and labels, and lets all else be."""
    link = Link(open_redis(settings), settings.store_timeout_s)
    token, _ = await Grants(link).create(tenant="a", scope="train")
    await link.close()

    for line in (f"key {token}", "sepal_length=5.9", "predicted virginica"):
        logger = logging.getLogger("alone")
        logger.propagate = False
        with pytest.raises(AssertionError), watched(logger):
            logger.warning("%s", line)
    with watched(logger):
        logger.warning("model e0526970: ready in 0.021 s")
