"""What the chats' routes take and answer."""

from __future__ import annotations

from marshmallow import EXCLUDE, Schema, fields, validate

__all__ = ["Authorized", "ChatAnswer", "ChatCreated", "ChatQuery", "Chats", "Done", "History", "HistoryQuery", "MessageAuthorized"]

HISTORY_LIMIT = 50
HISTORY_MAX = 200
LAST_SEQ = 2**63 - 1  # the largest number that an event can have


class Input(Schema):
    """A query; what is not known is passed over."""

    class Meta:
        unknown = EXCLUDE


class ChatQuery(Input):
    """Which chat."""

    chat_id = fields.String(load_default=None, metadata={"description": "The chat."})


class NewChatQuery(Input):
    """Where a chat is made."""

    workspace_id = fields.String(load_default=None, metadata={"description": "The workspace."})


class HistoryQuery(Input):
    """Which part of a chat's history."""

    before = fields.Integer(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=0, max=LAST_SEQ),
        metadata={"description": "`next` of the page before."},
    )
    limit = fields.Integer(load_default=HISTORY_LIMIT, validate=validate.Range(min=1, max=HISTORY_MAX))


class Done(Schema):
    """That it was done."""

    msg = fields.String(required=True)


class ChatShape(Schema):
    """A chat."""

    chat_id = fields.String(required=True)
    workspace_id = fields.String(required=True)
    created_by = fields.String(required=True)
    name = fields.String(allow_none=True, metadata={"description": "The beginning of its first message."})
    created_at = fields.String()


class ChatWorkspace(Schema):
    """The workspace of a chat."""

    workspace_id = fields.String(required=True)
    owner = fields.String(required=True)
    name = fields.String()


class ChatCreated(Done):
    """A new chat."""

    chat = fields.Nested(ChatShape, required=True)
    workspace = fields.Nested(ChatWorkspace, required=True)


class ChatAnswer(Schema):
    """A chat and whose it is."""

    chat_id = fields.String(required=True)
    owner = fields.String(required=True)
    workspace_id = fields.String(required=True)
    name = fields.String(allow_none=True)
    created_at = fields.String()


class Chats(Schema):
    """The chats of a workspace, newest first."""

    chats = fields.List(fields.Nested(ChatShape), required=True)


class Signed(Schema):
    """A signed string and when it may be used."""

    string = fields.String(required=True, metadata={"description": "The same secret, under the name that older clients read."})
    chat_id = fields.String(required=True)
    created_at = fields.String(required=True)
    expires_at = fields.String(required=True)
    created_by = fields.String(required=True)


class Authorized(Signed):
    """A string that opens one Socket.IO connection to the chat."""

    connection_string = fields.String(required=True)


class MessageAuthorized(Signed):
    """A string that lets one message pass."""

    message_string = fields.String(required=True)


class MessageShape(Schema):
    """A message."""

    message_id = fields.String(required=True)
    chat_id = fields.String(required=True)
    seq = fields.Integer(required=True)
    role = fields.String(required=True, validate=validate.OneOf(["user", "assistant"]))
    user_id = fields.String()
    agent_id = fields.String()
    content = fields.String(required=True)
    run_id = fields.String(allow_none=True)
    client_message_id = fields.String()
    partial = fields.Boolean(  # type: ignore[assignment]
        metadata={"description": "True for an answer that was stopped before it was done; else absent."}
    )
    created_at = fields.String(required=True)


class History(Schema):
    """A page of a chat's history, newest first, and where the live events join it."""

    messages = fields.List(fields.Nested(MessageShape), required=True)
    next = fields.Integer(allow_none=True, metadata={"description": "Pass as `before` for the page before; null at the beginning."})
    last_seq = fields.Integer(required=True, metadata={"description": "The number of the chat's newest event."})
    replay_from = fields.Integer(
        required=True, metadata={"description": "Connect with this as `since` to see the runs in progress from their beginning."}
    )
