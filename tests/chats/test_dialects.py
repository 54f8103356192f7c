"""How an event is said to newer and to older clients."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest

from server.chats.dialects import said, said_of_old
from server.kit.clock import now
from server.realtime.events import Event

CHAT = uuid.uuid4()


def event(kind: str, **facts: Any) -> Event:
    return Event(f"chat:{CHAT}", 7, None, None, kind, orjson.dumps(facts), now())


@pytest.mark.parametrize("kind", ["message", "token", "step", "interrupt", "run", "error"])
def test_every_event_carries_its_chat_and_its_number(kind: str) -> None:
    assert said(event(kind, run_id="r"), CHAT) == (kind, {"run_id": "r", "chat_id": str(CHAT), "seq": 7})


@pytest.mark.parametrize(
    ("happened", "text"),
    [
        (event("message", role="assistant", content="The answer"), "The answer"),
        (event("message", role="user", content="The question"), None),
        (event("token", delta="The"), None),
        (event("step", name="answer", phase="start"), None),
        (event("run", status="success"), None),
        (event("error", code="x", message="It failed."), "It failed."),
    ],
)
def test_an_older_client_is_told_the_answer_or_why_there_is_none(happened: Event, text: str | None) -> None:
    assert said_of_old(happened) == (("message", text) if text is not None else None)


def test_an_older_client_is_told_that_it_cannot_answer_a_question() -> None:
    told = said_of_old(event("interrupt", value="Shall I?"))
    assert told is not None
    assert told[0] == "message"
    assert "Open the chat in the page" in told[1]
