"""The table of crons."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from server.kit.clock import new_id, now
from server.kit.db import Base, db

__all__ = ["SORTS", "Cron", "Filter", "count", "owned", "search"]


class Cron(Base):
    """A run that begins by itself whenever its schedule comes round."""

    __tablename__ = "crons"
    __table_args__ = (
        sa.Index("ix_crons_due", "next_run_at", postgresql_where=sa.text("enabled")),
        sa.Index("ix_crons_owner_created", "owner_id", "created_at", "id"),
        sa.Index("ix_crons_thread_key", "thread_key", postgresql_where=sa.text("thread_key IS NOT NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    # No reference: an assistant that is gone stops the cron and leaves it there to be seen.
    assistant_id: Mapped[uuid.UUID]
    # The thread that each run goes on with; None: each has one of its own.
    thread_key: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("threads.id", ondelete="CASCADE"))
    # What its owner calls that thread.
    thread_name: Mapped[str | None]
    schedule: Mapped[str]
    timezone: Mapped[str | None]
    # What the owner has asked for, as it was written: how each run is to be started.
    payload: Mapped[dict[str, Any]]
    about: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict)
    # What the operator's handlers have said of who made it, for the configuration of each run.
    auth: Mapped[dict[str, Any] | None]
    # What becomes of the thread that a run has of its own: delete or keep.
    on_run_completed: Mapped[str | None]
    enabled: Mapped[bool] = mapped_column(default=True)
    end_time: Mapped[dt.datetime | None]
    next_run_at: Mapped[dt.datetime]
    # Why no run began the last time, or why it was disabled; None when all is well.
    note: Mapped[str | None]
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    updated_at: Mapped[dt.datetime] = mapped_column(default=now)


def owned(owner_id: uuid.UUID, cron_id: uuid.UUID, *, is_locked: bool = False) -> Cron | None:
    """The owner's cron of that id; None where there is none."""
    wanted = sa.select(Cron).where(Cron.id == cron_id, Cron.owner_id == owner_id)
    return db.session.scalars(wanted.with_for_update() if is_locked else wanted).one_or_none()


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which crons of an owner are looked for; None asks for nothing. about, must: what their metadata hold."""

    owner_id: uuid.UUID
    must: dict[str, Any] | None = None
    assistant_id: uuid.UUID | None = None
    thread_name: str | None = None
    enabled: bool | None = None
    about: dict[str, Any] | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """What the rows have to meet."""
        asked = [Cron.owner_id == self.owner_id]
        if self.assistant_id is not None:
            asked.append(Cron.assistant_id == self.assistant_id)
        if self.thread_name is not None:
            asked.append(Cron.thread_name == self.thread_name)
        if self.enabled is not None:
            asked.append(Cron.enabled.is_(self.enabled))
        asked += [Cron.about.contains(each) for each in (self.about, self.must) if each]
        return asked


# What crons can be sorted by.
SORTS = {
    "cron_id": Cron.id,
    "assistant_id": Cron.assistant_id,
    "thread_id": Cron.thread_name,
    "created_at": Cron.created_at,
    "updated_at": Cron.updated_at,
    "next_run_date": Cron.next_run_at,
    "end_time": Cron.end_time,
}


def search(wanted: Filter, *, limit: int, offset: int = 0, sort_by: str = "created_at", is_ascending: bool = False) -> list[Cron]:
    """A page of the crons that are wanted, those made last first where nothing else is asked for."""
    column = SORTS[sort_by]
    order = (column.asc(), Cron.id.asc()) if is_ascending else (column.desc(), Cron.id.desc())
    return list(db.session.scalars(sa.select(Cron).where(*wanted.conditions()).order_by(*order).offset(offset).limit(limit)))


def count(wanted: Filter) -> int:
    """How many crons are wanted."""
    return db.session.scalar(sa.select(sa.func.count()).select_from(Cron).where(*wanted.conditions())) or 0
