"""`mlservice keys`: what an operator types, and sees."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from mlservice.__main__ import main
from mlservice.store.grants import id_of

Run = Callable[..., Result]


@pytest.fixture
def run(valkey: str, redis: "Redis") -> Run:  # noqa: ARG001  # emptied first
    """Return what runs `mlservice keys` with the session's Valkey."""

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, ["keys", "--redis-url", valkey, *words])

    return call


def test_a_new_key_is_printed_alone_and_once(run: Run) -> None:
    """Standard output is the key, for scripts; afterwards nobody can read it again."""
    made = run("create", "--tenant", "a", "--scope", "train", "--label", "laptop", "--days", "7")
    listed = run("list")

    token = made.stdout.strip()
    grant_id = id_of(token)
    assert grant_id
    assert listed.stdout.startswith(f"{grant_id}  a  train  expires 20")
    assert listed.stdout.endswith("never used  laptop\n")
    assert token not in listed.stdout + made.stderr
    assert token.rpartition("_")[2] not in listed.stdout + made.stderr


def test_a_revoked_key_is_gone_from_the_list(run: Run) -> None:
    """Its id is what it is revoked by; a second time there is none."""
    grant_id = id_of(run("create", "--tenant", "a", "--scope", "predict").stdout.strip()) or ""

    assert run("revoke", grant_id).exit_code == 0
    assert run("list").stdout == ""
    again = run("revoke", grant_id)
    assert again.exit_code == 1
    assert f"There must be a key '{grant_id}'" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "--tenant", "A B", "--scope", "train"), "A tenant must be"),
        (("create", "--tenant", "a", "--scope", "open"), "predict, train, admin"),
        (("create", "--tenant", "a", "--scope", "train", "--days", "0"), "range"),
        (("create", "--tenant", "a", "--scope", "train", "--days", "nan"), "integer"),
        (("create", "--tenant", "a"), "--scope"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_the_reason(
    run: Run, words: tuple[str, ...], said: str
) -> None:
    """An operator's mistake is told, and nothing is made."""
    refused = run(*words)

    assert refused.exit_code == 2
    assert said.replace(", ", "") in refused.stderr.replace("'", "").replace(", ", "")
    assert run("list").stdout == ""


def test_keys_are_found_in_the_private_store_by_its_folder(
    valkey: str,
    redis: "Redis",  # emptied first
) -> None:
    """Beside `mlservice serve` no address is needed, only the folder it was given."""
    folder = str(Path(valkey.removeprefix("unix://")).parent)

    made = CliRunner().invoke(
        main, ["keys", "--data-dir", folder, "create", "--tenant", "a", "--scope", "admin"]
    )

    assert made.exit_code == 0
    assert redis.exists(f"mls:grant:{id_of(made.stdout.strip())}")


def test_without_a_store_the_operator_is_told_what_to_start(tmp_path: Path) -> None:
    """A folder without a running Valkey, and an address where none answers."""
    nowhere = CliRunner().invoke(main, ["keys", "--data-dir", str(tmp_path), "list"])
    silent = CliRunner().invoke(main, ["keys", "--redis-url", f"unix://{tmp_path}/x", "list"])

    assert (nowhere.exit_code, silent.exit_code) == (2, 1)
    assert "`mlservice serve` must run" in nowhere.stderr
    assert "The store must answer" in silent.stderr


@pytest.mark.parametrize("command", ["create", "list", "revoke"])
def test_how_a_command_is_used_is_shown_without_a_store(command: str, tmp_path: Path) -> None:
    """`--help` asks nobody."""
    words = ["keys", "--data-dir", str(tmp_path), command, "--help"]

    result = CliRunner().invoke(main, words)

    assert result.exit_code == 0
    assert f"Usage: main keys {command}" in result.stdout
