"""The signed strings of a chat: one opens a connection, one lets one message pass, one brings a lost connection back.

Each is bound to a purpose, a chat and a user; the first two are good for one use, which is a unique row written in the transaction of
what it allowed.
"""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from server.kit import signing
from server.kit.clock import after
from server.kit.errors import Unauthenticated
from server.kit.signing import Signed, StringInvalid
from server.settings import Settings

__all__ = [
    "CONNECTION",
    "MESSAGE",
    "RESUME",
    "Revoked",
    "StringInvalid",
    "Ticket",
    "connection_string",
    "message_string",
    "read",
    "resume_token",
    "use_until",
]

CONNECTION = "chat.connection"
MESSAGE = "chat.message"
RESUME = "chat.resume"


class Revoked(Unauthenticated):
    """What this was signed for has ended."""

    code = "revoked"


@dataclass(frozen=True)
class Ticket:
    """What a string says. id: unique to it, for one use. number: which of a line of resume tokens it is."""

    id: str
    chat_id: uuid.UUID
    user_id: uuid.UUID
    credential: str
    number: int


def connection_string(chat_id: uuid.UUID, user_id: uuid.UUID, credential: str, settings: Settings) -> Signed:
    """A string that opens one connection to the chat."""
    payload = _payload(secrets.token_urlsafe(16), chat_id, user_id, credential)
    return signing.sign(CONNECTION, payload, life_s=settings.connection_string_s)


def message_string(chat_id: uuid.UUID, user_id: uuid.UUID, credential: str, settings: Settings) -> Signed:
    """A string that lets one message pass."""
    payload = _payload(secrets.token_urlsafe(16), chat_id, user_id, credential)
    return signing.sign(MESSAGE, payload, life_s=settings.message_string_s)


def resume_token(ticket: Ticket, settings: Settings) -> Signed:
    """The token of that number of a connection."""
    payload = _payload(ticket.id, ticket.chat_id, ticket.user_id, ticket.credential, ticket.number)
    return signing.sign(RESUME, payload, life_s=settings.resume_token_s)


def read(purpose: str, text: object, *, life_s: int) -> Ticket:
    """What a string says, if it was signed for that purpose in time. Raises StringInvalid, StringExpired."""
    payload = signing.read(purpose, text, life_s=life_s)
    try:
        return Ticket(payload["i"], uuid.UUID(payload["c"]), uuid.UUID(payload["u"]), payload["k"], payload.get("n", 0))
    except (KeyError, ValueError, AttributeError):
        raise StringInvalid from None


def use_until(life_s: int) -> dt.datetime:
    """How long the use of a string has to be remembered: twice its life, whatever the clocks of two processes say."""
    return after(2 * life_s + 60)


def _payload(ticket_id: str, chat_id: uuid.UUID, user_id: uuid.UUID, credential: str, number: int = 0) -> dict[str, Any]:
    return {"i": ticket_id, "c": str(chat_id), "u": str(user_id), "k": credential, "n": number}
