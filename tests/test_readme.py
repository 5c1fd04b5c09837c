"""The README's commands, run in order against a service of their own."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.documents import ROOT
from tests.support import get, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(60)]

README = ROOT / "README.md"
ADDRESS = "localhost:8000"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What differs from run to run, or from machine to machine.
VARYING = (
    (UUID, "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "<digest>"),
    (re.compile(r'"instance":"[^"]*"'), '"instance":"<request>"'),
    (re.compile(r'"\d+\.\d+(\.\d+)?"'), '"<version>"'),
)
FLOAT = r"(-?\d+\.\d+(?:e-?\d+)?)"
# A fit ends when it is near enough, and processors add in different orders on the way there.
FIT = 0.005


def steps() -> Iterator[tuple[str, str]]:
    """Yield each command of the README's console blocks, and the output that stands below it."""
    for block in re.findall(
        r"^```console\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


def normalised(output: str) -> str:
    """Return an output without what differs from run to run."""
    for pattern, name in VARYING:
        output = pattern.sub(name, output)
    return output


def agrees(output: str, shown: str) -> bool:
    """Tell whether an output is the one shown, where `…` stands for anything."""
    shown = normalised(shown)
    words, numbers = re.split(FLOAT, shown)[::2], re.findall(FLOAT, shown)
    pattern = FLOAT.join(re.escape(part).replace("…", ".*") for part in words)
    found = re.fullmatch(pattern, normalised(output), re.DOTALL)
    return found is not None and all(
        abs(float(one) - float(other)) < FIT
        for one, other in zip(found.groups(), numbers, strict=True)
    )


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """Start the service with a data folder of its own; return its address."""
    command = [sys.executable, "-m", "mlservice", "serve", "--port", "0", "--data-dir"]
    process = await asyncio.create_subprocess_exec(
        *command, str(tmp_path / "data"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout
        banner = (await process.stdout.readline()).decode()
        found = re.search(r"http://\S+", banner)
        assert found, f"the service said {banner!r}"
        yield found[0]
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def run(command: str) -> str:
    """Return what a shell prints for a command at the root of the repository."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", command, cwd=ROOT, stdout=subprocess.PIPE
    )
    printed, _ = await shell.communicate()
    return printed.decode()


async def wait_until_trained(url: str) -> None:
    """Wait until no model is queued or in training."""
    async with aiohttp.ClientSession() as session:

        async def trained() -> bool:
            models = (await get(session, f"{url}/models"))["models"]
            return all(model["state"] in ("ready", "failed") for model in models)

        await until(trained, within_s=30)


async def test_the_readme_shows_what_its_commands_print(url: str) -> None:
    """Each command of the README prints what the README shows below it."""
    variables, model_id = "", ""
    differences = []
    for command, shown in steps():
        here = command.replace(ADDRESS, url.removeprefix("http://"))
        if re.match(r"\w+=", here):
            variables = UUID.sub(model_id, here) + "; "
            continue

        output = await run(variables + here)

        if not agrees(output, shown):
            differences.append(f"$ {command}\n{output}instead of\n{shown}")
        if found := UUID.search(output):
            model_id = found[0]
        await wait_until_trained(url)
    assert not differences, "\n".join(differences)


def test_the_readme_has_a_command_for_each_thing_a_model_can_do() -> None:
    """The README trains, describes, predicts, lists and deletes."""
    commands = [command for command, _ in steps() if command.startswith("curl")]

    assert len(commands) >= 5
    for part in ("-d @train.json", "/models/$ID", "?sepal_length=", "/models\n", "-X DELETE"):
        assert any(part in f"{command}\n" for command in commands), part


def test_the_comparison_finds_a_wrong_number() -> None:
    """An output that differs in what a reader would see is told from the one shown."""
    assert agrees('{"a":0.12345,"b":1}\n', '{"a":0.12346,…}\n')
    assert agrees('{"a":4.76e-4,"b":0.2349}\n', '{"a":0.0004705,"b":0.2353}\n')
    assert not agrees('{"a":0.2,"b":1}\n', '{"a":0.1,…}\n')
    assert not agrees('{"a":0.1,"c":1}\n', '{"a":0.1,"b":1}\n')


async def test_what_is_written_for_pandas_runs(url: str, tmp_path: Path) -> None:
    """The Python of docs/api.md trains a frame with a missing value and predicts it."""
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    [block] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    file = tmp_path / "frame.py"
    shown = "print(len(predictions), predictions.error.isna().all(), *predictions.columns)"
    file.write_text(block.replace(ADDRESS, url.removeprefix("http://")) + shown, "utf-8")

    printed = await run(f"{sys.executable} {file}")

    assert printed == "6 True prediction probability_setosa probability_versicolor error warnings\n"


async def test_the_commands_of_the_protocols_are_answered(url: str) -> None:
    """Each `sh` block of docs/protocols.md runs as it stands, and no answer is a problem."""
    text = (ROOT / "docs" / "protocols.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    jq = "import json, sys; print(json.load(sys.stdin)['id'])"
    script = f'jq() {{ {sys.executable} -c "{jq}"; }}\n' + "\n".join(blocks)

    printed = await run(script.replace(ADDRESS, url.removeprefix("http://")))

    assert len(blocks) == 4
    assert "/problems/" not in printed, printed
    assert printed.count("virginica") >= 4
