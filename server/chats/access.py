"""Who may do what with a chat."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from server.accounts.models import User
from server.accounts.who import ended_among
from server.chats.models import Chat
from server.chats.tickets import Revoked, Ticket
from server.kit.db import db
from server.kit.errors import NotFound, Unauthenticated
from server.kit.http import parse_id
from server.workspaces.models import Member, Workspace

__all__ = ["ChatNotFound", "NotTheOwner", "own_chat", "readable_chat", "still_allowed", "still_open"]


class ChatNotFound(NotFound):
    """Chat not found"""


class NotTheOwner(Unauthenticated):
    """User is not the owner of the chat"""

    code = "not_the_owner"


def own_chat(chat_id: object, user_id: uuid.UUID) -> Chat:
    """The user's own chat, in a workspace that they (still) may write in. Raises ChatNotFound, NotTheOwner."""
    chat, is_owner, role = _standing(chat_id, user_id)
    if chat.created_by != user_id or not (is_owner or role == "editor"):
        raise NotTheOwner
    return chat


def readable_chat(chat_id: object, user: User) -> Chat:
    """A chat that the user may read: their own, or one of a workspace that they are in. Raises ChatNotFound, NotTheOwner."""
    chat, is_owner, role = _standing(chat_id, user.id)
    if not (is_owner or role is not None):
        raise NotTheOwner
    return chat


def still_allowed(ticket: Ticket) -> None:
    """Whoever a string was signed for is still signed in and may still talk in its chat. Raises Revoked."""
    if ended_among([ticket.credential]):
        raise Revoked
    try:
        own_chat(str(ticket.chat_id), ticket.user_id)
    except (ChatNotFound, NotTheOwner):
        raise Revoked from None


def still_open(pairs: set[tuple[uuid.UUID, uuid.UUID]]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """Those (chat, user) pairs whose user may still talk in the chat: one query, however many."""
    if not pairs:
        return set()
    theirs = sa.and_(Member.workspace_id == Workspace.id, Member.user_id == Chat.created_by, Member.role == "editor")
    found = (
        sa.select(Chat.id, Chat.created_by)
        .join(Workspace, Workspace.id == Chat.workspace_id)
        .outerjoin(Member, theirs)
        .where(Chat.id.in_({chat_id for chat_id, _ in pairs}))
        .where(sa.or_(Workspace.owner_id == Chat.created_by, Member.user_id.is_not(None)))
    )
    return {(chat_id, user_id) for chat_id, user_id in db.session.execute(found)} & pairs


def _standing(chat_id: object, user_id: uuid.UUID) -> tuple[Chat, bool, str | None]:
    theirs = sa.and_(Member.workspace_id == Workspace.id, Member.user_id == user_id)
    found = (
        sa.select(Chat, Workspace.owner_id == user_id, Member.role)
        .join(Workspace, Workspace.id == Chat.workspace_id)
        .outerjoin(Member, theirs)
        .where(Chat.id == parse_id(chat_id))
    )
    row = db.session.execute(found, execution_options={"populate_existing": True}).first()
    if row is None:
        raise ChatNotFound
    return row[0], row[1], row[2]
