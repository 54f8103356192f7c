"""What clients send into a chat, checked before anything is done with it. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from server.kit.errors import Invalid, TooLarge

__all__ = ["client_id", "content", "value"]

CLIENT_ID_CHARS = 100


def content(sent: object, *, max_chars: int) -> str:
    """The text of a message. Raises Invalid, TooLarge."""
    if not isinstance(sent, str) or not sent.strip():
        raise Invalid("content: a text is required", fields={"content": ["A text is required."]})
    if len(sent) > max_chars:
        raise TooLarge(f"A message has at most {max_chars} characters.")
    if not _is_storable(sent):
        raise Invalid("content: holds a character that cannot be stored", fields={"content": ["Holds a NUL or half a character."]})
    return sent


def client_id(sent: object) -> str | None:
    """The client's own id of a message, if it has one. Raises Invalid."""
    if sent is None:
        return None
    if not isinstance(sent, str) or not 0 < len(sent) <= CLIENT_ID_CHARS or not _is_storable(sent):
        raise Invalid(f"client_message_id: a text of at most {CLIENT_ID_CHARS} characters is required")
    return sent


def value(sent: Any) -> Any:
    """A human's answer: whatever JSON can say. Raises Invalid."""
    try:
        written = orjson.dumps(sent)
    except TypeError:
        raise Invalid("value: cannot be stored; send what JSON can say, not too deeply nested") from None
    if b"\\u0000" in written:
        raise Invalid("value: holds a NUL character")
    return sent


def _is_storable(text: str) -> bool:
    """Whether the database takes it: no NUL, and no half of a surrogate pair."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False
