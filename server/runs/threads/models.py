"""The table of threads."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from server.kit.clock import new_id, now
from server.kit.db import Base, db

__all__ = ["Thread", "named", "stream_of"]

KEPT = sa.text("is_temporary IS false")


class Thread(Base):
    """A conversation of a program. Two owners may use the same name; `id` is what state and events are kept under."""

    __tablename__ = "threads"
    __table_args__ = (
        sa.UniqueConstraint("owner_id", "name"),
        # In lists there are only threads that somebody keeps.
        sa.Index("ix_threads_owner_updated", "owner_id", "updated_at", postgresql_where=KEPT),
        sa.Index("ix_threads_owner_created", "owner_id", "created_at", postgresql_where=KEPT),
        # Few threads are in any other status, and these are looked for.
        sa.Index(
            "ix_threads_owner_status",
            "owner_id",
            "status",
            "updated_at",
            postgresql_where=sa.text("status <> 'idle' AND is_temporary IS false"),
        ),
        sa.Index(
            "ix_threads_metadata",
            "metadata",
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
            postgresql_where=KEPT,
        ),
        sa.Index("ix_threads_expires", "expires_at", postgresql_where=sa.text("expires_at IS NOT NULL")),
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    # What its owner calls it; the id as text where the owner named none.
    name: Mapped[str]
    about: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict)
    # idle, busy (a run is pending or running), interrupted (somebody has to answer), error (its last run failed).
    status: Mapped[str] = mapped_column(default="idle")
    # The state as its last run left it, the questions that are open, and why its last run failed.
    values: Mapped[dict[str, Any] | None]
    interrupts: Mapped[list[Any] | None]
    error: Mapped[dict[str, Any] | None]
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # Made for one run that named no thread; it goes with that run and is in no list.
    is_temporary: Mapped[bool] = mapped_column(default=False)
    # {"strategy": "delete" | "keep_latest", "ttl": minutes}; and when it is due.
    ttl: Mapped[dict[str, Any] | None]
    expires_at: Mapped[dt.datetime | None]

    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    updated_at: Mapped[dt.datetime] = mapped_column(default=now)
    # When its values last changed; None before its first run.
    state_updated_at: Mapped[dt.datetime | None]


def named(owner_id: uuid.UUID, name: str) -> Thread | None:
    """The owner's thread of that name; None where there is none."""
    return db.session.scalars(sa.select(Thread).where(Thread.owner_id == owner_id, Thread.name == name)).one_or_none()


def stream_of(thread_id: uuid.UUID) -> str:
    """The stream that the events of a thread's runs go to."""
    return f"thread:{thread_id}"
