"""The table of remembered items, and which of its rows count."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BIT, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from server.agents.memory.rules import end_of, namespace_of
from server.engine.recall import Remembered
from server.kit.clock import new_id, now
from server.kit.db import Base

__all__ = ["COLUMNS", "MemoryItem", "has_expired", "lives", "remembered", "within"]


class MemoryItem(Base):
    """What an owner's agents and programs have remembered under a key of a namespace. Two owners never meet."""

    __tablename__ = "memory_items"
    __table_args__ = (
        sa.UniqueConstraint("owner_id", "path", "key"),
        sa.Index("ix_memory_items_order", "owner_id", "path", "id"),
        sa.Index("ix_memory_items_expires", "expires_at", postgresql_where=sa.text("expires_at IS NOT NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    # The labels of its namespace, each with a full stop behind it; in the order of bytes, so that a prefix is a range of the index.
    path: Mapped[str] = mapped_column(sa.Text(collation="C"))
    key: Mapped[str]
    value: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # What it is found by: who made the vectors, the vectors (of 32-bit floats, one after the other), and the signs of each.
    embedding: Mapped[str | None]
    vectors: Mapped[bytes | None]
    signs: Mapped[list[str] | None] = mapped_column(ARRAY(BIT(varying=True)))
    # How long it lives, and until when; None for ever.
    ttl_minutes: Mapped[float | None] = mapped_column(sa.Double())
    expires_at: Mapped[dt.datetime | None]

    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    updated_at: Mapped[dt.datetime] = mapped_column(default=now)


COLUMNS = (
    MemoryItem.id,
    MemoryItem.path,
    MemoryItem.key,
    MemoryItem.value,
    MemoryItem.created_at,
    MemoryItem.updated_at,
    MemoryItem.ttl_minutes,
    MemoryItem.expires_at,
)


def has_expired() -> sa.ColumnElement[bool]:
    """The items whose time is over, by the database's clock; they are no longer there, swept or not."""
    return MemoryItem.expires_at <= sa.func.now()


def lives(owner_id: uuid.UUID) -> sa.ColumnElement[bool]:
    """The items of an owner that are there."""
    return sa.and_(MemoryItem.owner_id == owner_id, sa.or_(MemoryItem.expires_at.is_(None), ~has_expired()))


def within(prefix: str) -> sa.ColumnElement[bool]:
    """The items of the namespaces whose path begins so."""
    if not prefix:
        return sa.true()
    return sa.and_(MemoryItem.path >= prefix, MemoryItem.path < end_of(prefix))


def remembered(row: sa.Row[Any], score: float | None = None) -> Remembered:
    """The item of a row of COLUMNS."""
    return Remembered(namespace_of(row.path), row.key, row.value, row.created_at, row.updated_at, score, row.ttl_minutes, row.expires_at)
