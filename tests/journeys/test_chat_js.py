"""The conversation of a JavaScript client (npm's socket.io-client), where Node.js is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.javascript import installed, needs_npm, told
from tests.stack import Stack
from tests.talk import Person

FOLDER = Path(__file__).parent / "js"

pytestmark = needs_npm


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_javascript_client_talks_breaks_off_and_comes_back(agents: Stack, ada: Person, transport: str) -> None:
    chat_id = ada.chat("slow")
    said = told(installed(FOLDER), "journey.js", agents.base_url, ada.tokens["access_token"], chat_id, transport)
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
