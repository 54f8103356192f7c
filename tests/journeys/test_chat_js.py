"""The conversation of a JavaScript client (npm's socket.io-client), where Node.js is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stack import Stack
from tests.talk import Person

FOLDER = Path(__file__).parent / "js"

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js with npm")


@pytest.fixture(scope="session")
def installed() -> Path:
    """The folder of the JavaScript client, with what it needs in place."""
    if not (FOLDER / "node_modules" / ".package-lock.json").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, capture_output=True, timeout=100)
    return FOLDER


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_javascript_client_talks_breaks_off_and_comes_back(agents: Stack, ada: Person, installed: Path, transport: str) -> None:
    chat_id = ada.chat("slow")
    command = ["node", "journey.js", agents.base_url, ada.tokens["access_token"], chat_id, transport]
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=installed, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["ack"]["ok"]
    seqs = [data["seq"] for _, data in said["newer"] if "seq" in data]
    assert seqs == list(range(1, len(seqs) + 1))
    assert [kind for kind, _ in said["newer"]].count("session") == 4
    answer = "".join(f"{number} " for number in range(1, 61))
    assert "".join(data["delta"] for kind, data in said["newer"] if kind == "token" and data["run_id"] == said["ack"]["run_id"]) == answer
    assert [data for kind, data in said["older"] if kind == "message"] == [answer, "1 2 "]
    assert {kind for kind, _ in said["older"]} == {"feedback", "message"}
    assert said["floods"] == [{"ok": True}] * 40
    assert said["refused"] == "invalid"
    contents = [message["content"] for message in ada.messages(chat_id)]
    assert contents == ["n=60 delay=0.02", answer, "n=2", "1 2 "]
