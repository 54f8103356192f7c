"""The HTTP door of the chats."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app

from server.accounts.who import credential, me, signed_in
from server.chats import actions, tickets
from server.chats.access import own_chat, readable_chat
from server.chats.models import Chat, chats_of, history, replay_point
from server.chats.schemas import (
    Authorized,
    ChatAnswer,
    ChatCreated,
    ChatQuery,
    Chats,
    Done,
    History,
    HistoryQuery,
    MessageAuthorized,
    NewChatQuery,
)
from server.kit.clock import iso
from server.kit.errors import Refusal
from server.kit.http import answer, query
from server.kit.signing import Signed
from server.settings import Settings
from server.workspaces.access import access
from server.workspaces.actions import before_delete

__all__ = ["door"]

door = Blueprint("chats", __name__)
door.record_once(lambda state: before_delete(state.app, actions.forget_chats_of))

CHATS_LIMIT = 1000
Fields = dict[str, Any]


@door.post("/chat")
@signed_in
@query(NewChatQuery)
@answer(ChatCreated)
def create_chat(asked: Fields) -> Fields:
    """Create a chat in a workspace.

    Refused: 400 `Missing workspace id`, 404 `Workspace not found`, 401 `User is not the owner of the workspace`.
    """
    if not asked["workspace_id"]:
        raise Refusal("Missing workspace id")
    chat, workspace = actions.create(asked["workspace_id"], me())
    home = {"workspace_id": workspace.id, "owner": workspace.owner_id, "name": workspace.name}
    return {"msg": "Chat created successfully", "chat": _shown(chat), "workspace": home}


@door.get("/chat")
@signed_in
@query(ChatQuery)
@answer(ChatAnswer)
def show_chat(asked: Fields) -> Fields:
    """Show a chat of one's own. Refused: 404 `Chat not found`, 401 `User is not the owner of the chat`."""
    chat = own_chat(asked["chat_id"], me().id)
    return {**_shown(chat), "owner": chat.created_by}


@door.delete("/chat")
@signed_in
@query(ChatQuery)
@answer(Done)
def delete_chat(asked: Fields) -> Fields:
    """Delete a chat of one's own, with its messages; its sockets are closed. Refused: 404, 401."""
    actions.delete(own_chat(asked["chat_id"], me().id))
    return {"msg": "Chat deleted successfully"}


@door.get("/chat/authorize")
@signed_in
@query(ChatQuery)
@answer(Authorized)
def authorize(asked: Fields) -> Fields:
    """Get a string that opens one Socket.IO connection to the chat, for a short while. Refused: 404, 401."""
    chat = own_chat(asked["chat_id"], me().id)
    signed = tickets.connection_string(chat.id, me().id, credential(), _settings())
    return {"connection_string": signed.text, **_signed(signed, chat)}


@door.get("/chat/authorize/message")
@signed_in
@query(ChatQuery)
@answer(MessageAuthorized)
def authorize_message(asked: Fields) -> Fields:
    """Get a string that lets one message pass, for a short while. Refused: 404, 401."""
    chat = own_chat(asked["chat_id"], me().id)
    signed = tickets.message_string(chat.id, me().id, credential(), _settings())
    return {"message_string": signed.text, **_signed(signed, chat)}


@door.get("/chat/<chat_id>/messages")
@signed_in
@query(HistoryQuery)
@answer(History)
def list_messages(asked: Fields, chat_id: str) -> Fields:
    """List the messages of a chat, newest first. Refused: 404 `Chat not found`, 401 for who may not read it."""
    chat = readable_chat(chat_id, me())
    last_seq, replay_from = replay_point(chat.id)
    messages = history(chat.id, before_seq=asked["before"], limit=asked["limit"])
    shown = [{**message.shown(), "chat_id": chat.id, "seq": message.seq} for message in messages]
    is_full = len(messages) == asked["limit"]
    return {"messages": shown, "next": messages[-1].seq if is_full else None, "last_seq": last_seq, "replay_from": replay_from}


@door.get("/workspace/<workspace_id>/chats")
@signed_in
@answer(Chats)
def list_chats(workspace_id: str) -> Fields:
    """List the chats of a workspace, newest first. Refused: 404 `Workspace not found`, 403 for who is not in it."""
    workspace = access(workspace_id, me())
    return {"chats": [_shown(chat) for chat in chats_of(workspace.id, limit=CHATS_LIMIT)]}


def _shown(chat: Chat) -> Fields:
    return {
        "chat_id": chat.id,
        "workspace_id": chat.workspace_id,
        "created_by": chat.created_by,
        "name": chat.name,
        "created_at": iso(chat.created_at),
    }


def _signed(signed: Signed, chat: Chat) -> Fields:
    moments = {"created_at": iso(signed.created_at), "expires_at": iso(signed.expires_at)}
    return {"string": signed.text, "chat_id": chat.id, "created_by": me().id, **moments}


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
