"""The example clients of the LangGraph door work as they stand, with a key and without one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.conftest import web_beside
from tests.stack import ROOT, Stack, plain_environment
from tests.talk import Person

EXAMPLES = ROOT / "examples" / "langgraph_clients"
CLIENTS = ("with_sdk.py", "with_http.py", "with_curl.sh")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    return str(Person(stack.base_url).call("POST", "/user/api_key", json={"name": "examples"})["api_key"])


@pytest.fixture(params=[CLIENTS[0], CLIENTS[1], pytest.param(CLIENTS[2], marks=needs_curl)])
def program(request: pytest.FixtureRequest) -> Path:
    return EXAMPLES / str(request.param)


def carried_out(program: Path, url: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """An example that has ended."""
    words = [sys.executable if program.suffix == ".py" else "bash", str(program)]
    given = {name: value for name, value in plain_environment(PARLEY_URL=url, **environ).items() if name != "PYTHONPATH"}
    return subprocess.run(words, env=given, capture_output=True, text=True, timeout=60, check=False)


def check(heard: str) -> None:
    """One run of a named thread: its events from 0, without gaps or doubles over the broken line, and its result."""
    run_id = re.findall(r"^run (\S+) on example-thread-\d+", heard, re.MULTILINE)[0]
    numbers = [int(number) for number in re.findall(rf"^(?:id: )?{run_id}_event_(\d+)", heard, re.MULTILINE)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 5
    assert re.search(r"Hello (from|over) (curl|HTTP|the SDK)", heard.splitlines()[-1] + heard.splitlines()[-2])
    assert "success" in heard.splitlines()[-1]


def test_an_example_starts_follows_comes_back_and_shows_the_result(stack: Stack, key: str, program: Path) -> None:
    done = carried_out(program, stack.base_url, PARLEY_API_KEY=key)
    assert done.returncode == 0, done.stderr
    check(done.stdout)


def test_an_example_wants_no_key_of_an_open_server(stack: Stack, key: str) -> None:
    with web_beside(stack, AUTH="open") as url:
        for name in CLIENTS[:2] if shutil.which("curl") is None else CLIENTS:
            done = carried_out(EXAMPLES / name, url)
            assert done.returncode == 0, done.stderr
            check(done.stdout)


def test_an_example_says_what_is_wrong(stack: Stack, program: Path) -> None:
    refused = carried_out(program, stack.base_url, PARLEY_API_KEY="parley_wrong")
    assert refused.returncode != 0
    assert "401" in refused.stderr + refused.stdout
    assert "Traceback" not in refused.stderr


def test_the_readme_names_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert [each.name for each in sorted(EXAMPLES.glob("with_*")) if f"`{each.name}`" not in text] == []
