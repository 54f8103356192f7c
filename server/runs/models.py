"""The tables of runs and of the workers that hold them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from server.kit.clock import new_id, now
from server.kit.db import Base

__all__ = ["Run", "Worker"]


class Run(Base):
    """One job of an agent, from its acceptance to its end; its `status` moves as `rules.MOVES` says."""

    __tablename__ = "runs"
    __table_args__ = (
        # A thread has at most one run in progress, whoever claims.
        sa.Index("uq_runs_running_thread", "thread_id", unique=True, postgresql_where=sa.text("status = 'running'")),
        sa.Index("ix_runs_thread", "thread_id", "id"),
        sa.Index("ix_runs_stream_active", "stream", postgresql_where=sa.text("status IN ('pending', 'running', 'interrupted')")),
        sa.Index("ix_runs_owner_active", "owner_id", postgresql_where=sa.text("status IN ('pending', 'running')")),
        sa.Index("ix_runs_pending", "woken_at", postgresql_where=sa.text("status = 'pending'")),
        sa.Index("ix_runs_worker", "worker_id", postgresql_where=sa.text("worker_id IS NOT NULL")),
        sa.Index("ix_runs_then_due", "then_due_at", postgresql_where=sa.text("then_due_at IS NOT NULL")),
        sa.Index("ix_runs_interrupted", "updated_at", postgresql_where=sa.text("status = 'interrupted' AND finished_at IS NULL")),
        sa.Index("ix_runs_thread_key", "thread_key", "id", postgresql_where=sa.text("thread_key IS NOT NULL")),
        sa.Index("ix_runs_owner", "owner_id", "id"),
        sa.Index(
            "uq_runs_idempotency", "owner_id", "idempotency_key", unique=True, postgresql_where=sa.text("idempotency_key IS NOT NULL")
        ),
        # Room on each page, so that counting events up stays on it.
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    agent_id: Mapped[str]
    # The state that it goes on with and leaves, by the name under which checkpoints are kept.
    thread_id: Mapped[str | None]
    # The thread that a program has named. The questions of such a run are the thread's: another run brings the answers.
    thread_key: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("threads.id", ondelete="CASCADE"))
    assistant_id: Mapped[uuid.UUID | None]
    # What its caller named it by: a second run of the owner under the same key is this one.
    idempotency_key: Mapped[str | None]
    # The log, besides its own, that its events go to, such as `chat:<id>`.
    stream: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="pending")

    input: Mapped[dict[str, Any] | None]
    # What to resume with, `{"resume": {interrupt id: value}}`, once a human has answered.
    command: Mapped[dict[str, Any] | None]
    # How a program wants it carried out (`options.Options`), and what it notes about it.
    options: Mapped[dict[str, Any] | None]
    about: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict, server_default="{}")
    # What the agent is told besides its input (workspace, user, …).
    context: Mapped[dict[str, Any]] = mapped_column(default=dict)
    timeout_s: Mapped[float]
    # Not before.
    available_at: Mapped[dt.datetime | None]
    # The task to queue when it has ended; due until that task says it is done.
    then: Mapped[str | None]
    then_due_at: Mapped[dt.datetime | None]

    output: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    interrupts: Mapped[list[Any] | None]
    cancel_requested_at: Mapped[dt.datetime | None]

    # The lease: who holds it, the number that every write of the holder has to carry, and how often a holder died with it alone.
    worker_id: Mapped[uuid.UUID | None]
    attempt: Mapped[int] = mapped_column(default=0)
    deaths: Mapped[int] = mapped_column(default=0)
    is_alone: Mapped[bool] = mapped_column(default=False)
    last_event: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    updated_at: Mapped[dt.datetime] = mapped_column(default=now)
    woken_at: Mapped[dt.datetime] = mapped_column(default=now)
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it: it ended, or it asked something that another run of its thread will answer."""
        return self.finished_at is not None


class Worker(Base):
    """A process that holds runs. While it lives, `beats` counts up."""

    __tablename__ = "workers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    # Its whereabouts: a sweeper on the same machine sees at once that it is gone.
    place: Mapped[str]
    pid: Mapped[int]
    began: Mapped[int] = mapped_column(sa.BigInteger)
    # It carries one run alone, because an earlier worker died under it.
    is_alone: Mapped[bool] = mapped_column(default=False)
    beats: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    runs: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[dt.datetime] = mapped_column(default=now)
    beat_at: Mapped[dt.datetime] = mapped_column(default=now)
