"""What README.md shows is what works: its scripts run as they stand, and its agent answers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import ROOT, Stack, plain_environment
from tests.talk import Line, Person

README = (ROOT / "README.md").read_text()
EXAMPLES = ROOT / "examples" / "first_conversation"


def block(language: str, beginning: str) -> str:
    """The code block of README.md in that language that begins so."""
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if text.startswith(beginning)]
    assert len(found) == 1
    return str(found[0])


def spoken(stack: Stack, *words: str) -> str:
    """What a program prints that talks to the server."""
    ended = subprocess.run(words, env=plain_environment(PARLEY_URL=stack.base_url), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_first_conversation_with_curl_runs_as_it_stands(stack: Stack, tmp_path: Path) -> None:
    script = tmp_path / "talk.sh"
    script.write_text(block("sh", "URL="))

    heard = spoken(stack, "sh", str(script))

    assert '"type":"connect_error"' not in heard
    assert re.search(r'42/chat,\["token",\{.*"delta":"Hello, agent"', heard)
    assert heard.rstrip().endswith("}")
    assert heard.count('"role":"assistant","agent_id":"echo","content":"Hello, agent"') == 2


def test_the_first_conversation_in_python_runs_as_it_stands(stack: Stack, tmp_path: Path) -> None:
    script = tmp_path / "talk.py"
    script.write_text(block("python", "import os"))

    heard = spoken(stack, sys.executable, str(script)).splitlines()

    assert heard[0].startswith("{'ok': True, ")
    assert [line.split()[0] for line in heard[1:]] == ["session", "message", "run", "step", "token", "step", "run", "message"]


def test_the_first_conversation_in_python_has_twenty_lines() -> None:
    assert len([line for line in block("python", "import os").splitlines() if line.strip()]) == 20


def test_the_examples_folder_holds_what_the_readme_shows() -> None:
    assert (EXAMPLES / "talk.sh").read_text() == block("sh", "URL=")
    assert (EXAMPLES / "talk.py").read_text() == block("python", "import os")


def test_the_agent_of_the_readme_answers(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(block("python", "from langgraph.graph"))
    (tmp_path / "langgraph.json").write_text(block("json", "{"))
    own = Stack.started(AGENTS_CONFIG=str(tmp_path / "langgraph.json"))
    try:
        ada = Person(own.base_url)
        line = Line(ada, ada.chat("echo", "greeter")).open(since=0)
        said = line.say("@greeter hi")
        assert line.answer_to(said["run_id"]) == "Hello! You said: hi"
        line.close()
    finally:
        own.stop()
