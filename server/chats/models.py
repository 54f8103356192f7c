"""The tables of chats, and what is read of them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kit.clock import iso, new_id, now
from server.kit.db import Base, db
from server.realtime.log import last_number
from server.realtime.models import EventRow
from server.runs.models import Run
from server.runs.rules import ACTIVE

__all__ = [
    "Chat",
    "Connection",
    "Message",
    "chats_of",
    "history",
    "message_by_client_id",
    "others_words",
    "replay_point",
    "stream_of",
    "thread_of",
]


class Chat(Base):
    """A conversation in a workspace; its creator's."""

    __tablename__ = "chats"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    workspace_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    created_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # The beginning of its first message.
    name: Mapped[str | None]
    created_at: Mapped[dt.datetime] = mapped_column(default=now)


class Message(Base):
    """Something that was said, by a person or an agent."""

    __tablename__ = "messages"
    __table_args__ = (
        sa.Index("ix_messages_chat", "chat_id", "seq"),
        sa.Index(
            "uq_messages_client_id",
            "chat_id",
            "client_message_id",
            unique=True,
            postgresql_where=sa.text("client_message_id IS NOT NULL"),
        ),
        sa.Index("uq_messages_answer", "run_id", unique=True, postgresql_where=sa.text("role = 'assistant'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    chat_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("chats.id", ondelete="CASCADE"))
    # Its number in the chat's log.
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    role: Mapped[str]
    user_id: Mapped[uuid.UUID | None]
    # The agent that said it, or that it was said to.
    agent_id: Mapped[str]
    content: Mapped[str]
    run_id: Mapped[uuid.UUID | None]
    client_message_id: Mapped[str | None]
    # It was stopped before it was done.
    is_partial: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[dt.datetime] = mapped_column(default=now)

    def shown(self) -> dict[str, Any]:
        """As it is sent and listed (without chat and number)."""
        speaker = {"user_id": str(self.user_id)} if self.role == "user" else {"agent_id": self.agent_id}
        shown: dict[str, Any] = {
            "message_id": str(self.id),
            "role": self.role,
            **speaker,
            "content": self.content,
            "run_id": str(self.run_id) if self.run_id else None,
            "created_at": iso(self.created_at),
        }
        if self.client_message_id is not None:
            shown["client_message_id"] = self.client_message_id
        if self.is_partial:
            shown["partial"] = True
        return shown


class Connection(Base):
    """A line to a chat that may come back by its resume token, which changes with every use."""

    __tablename__ = "chat_connections"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    chat_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("chats.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # What the person had signed in with when it was opened; it ends with that.
    credential: Mapped[str]
    number: Mapped[int] = mapped_column(default=1)
    rotated_at: Mapped[dt.datetime] = mapped_column(default=now)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)


def stream_of(chat_id: uuid.UUID) -> str:
    """The name of a chat's event log."""
    return f"chat:{chat_id}"


def thread_of(chat_id: uuid.UUID, agent_id: str) -> str:
    """The thread in which an agent keeps what it knows of a chat."""
    return str(uuid.uuid5(chat_id, agent_id))


def chats_of(workspace_id: uuid.UUID, *, limit: int) -> Sequence[Chat]:
    """The newest chats of a workspace, newest first."""
    return db.session.scalars(sa.select(Chat).where(Chat.workspace_id == workspace_id).order_by(Chat.id.desc()).limit(limit)).all()


def history(chat_id: uuid.UUID, *, before_seq: int | None, limit: int) -> Sequence[Message]:
    """Messages of a chat, newest first, before a number."""
    said = sa.select(Message).where(Message.chat_id == chat_id)
    if before_seq is not None:
        said = said.where(Message.seq < before_seq)
    return db.session.scalars(said.order_by(Message.seq.desc()).limit(limit)).all()


def message_by_client_id(chat_id: uuid.UUID, client_message_id: str) -> Message | None:
    """The message that a client sent under its own id."""
    return db.session.scalar(sa.select(Message).where(Message.chat_id == chat_id, Message.client_message_id == client_message_id))


def others_words(chat_id: uuid.UUID, agent_id: str, *, limit: int) -> Sequence[Message]:
    """What was said by and to other agents since this one last took part, oldest first, at most the newest `limit`."""
    mine = sa.select(sa.func.coalesce(sa.func.max(Message.seq), 0)).where(Message.chat_id == chat_id, Message.agent_id == agent_id)
    missed = sa.select(Message).where(Message.chat_id == chat_id, Message.seq > mine.scalar_subquery())
    return db.session.scalars(missed.order_by(Message.seq.desc()).limit(limit)).all()[::-1]


def replay_point(chat_id: uuid.UUID) -> tuple[int, int]:
    """The number of the chat's newest event, and the number before the first event of a run still in progress (or the same)."""
    stream = stream_of(chat_id)
    last_seq = last_number(stream)
    active = sa.select(Run.id).where(Run.stream == stream, Run.status.in_(ACTIVE))
    first = db.session.scalar(sa.select(sa.func.min(EventRow.seq)).where(EventRow.run_id.in_(active)))
    return last_seq, last_seq if first is None else first - 1
