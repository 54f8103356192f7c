"""The tables of the event log."""

from __future__ import annotations

import datetime as dt
import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kit.clock import now
from server.kit.db import Base

__all__ = ["EventRow", "Stream"]


class Stream(Base):
    """The counter of a stream that several runs and doors write to. A run's own counter is in its row."""

    __tablename__ = "streams"

    name: Mapped[str] = mapped_column(primary_key=True)
    last_seq: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    # Events up to and with this number are no longer kept.
    trimmed_seq: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")


class EventRow(Base):
    """One event. It has a number in its stream, or in its run, or in both."""

    __tablename__ = "events"
    __table_args__ = (
        sa.Index("uq_events_stream", "stream", "seq", unique=True, postgresql_where=sa.text("stream IS NOT NULL")),
        sa.Index("uq_events_run", "run_id", "run_seq", unique=True, postgresql_where=sa.text("run_id IS NOT NULL")),
        sa.Index("ix_events_created_at", "created_at", postgresql_using="brin"),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    stream: Mapped[str | None]
    seq: Mapped[int | None] = mapped_column(sa.BigInteger)
    run_id: Mapped[uuid.UUID | None]
    run_seq: Mapped[int | None] = mapped_column(sa.BigInteger)
    type: Mapped[str]
    data: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
