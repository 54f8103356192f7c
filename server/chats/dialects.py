"""How an event of a chat is said to a client: as an object with its chat and number, or as older clients expect it. Pure."""

from __future__ import annotations

import uuid
from typing import Any

from server.realtime.events import Event

__all__ = ["Spoken", "said", "said_of_old"]

Spoken = tuple[str, Any]

CANNOT_SHOW = "The agent asks for a decision that this client cannot show. Open the chat in the page to answer it."


def said(event: Event, chat_id: uuid.UUID) -> Spoken:
    """The name and the payload of an event."""
    return event.type, {**event.load(), "chat_id": str(chat_id), "seq": event.seq}


def said_of_old(event: Event) -> Spoken | None:
    """What an older client is told of an event, a `message` of plain text: the answer, or why there is none; None for all else."""
    facts = event.load()
    if event.type == "message" and facts["role"] == "assistant":
        return "message", str(facts["content"])
    if event.type == "error":
        return "message", str(facts["message"])
    if event.type == "interrupt":
        return "message", CANNOT_SHOW
    return None
