"""What those who listen to a thread ask about it. Each question is one short query on a connection of its own: a stream holds none."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from server.kit.db import db
from server.realtime.models import EventRow, Stream
from server.runs.models import Run
from server.runs.threads.models import Thread, stream_of

__all__ = ["bounds", "id_named", "last_run", "run_facts", "said_of_kind", "still_there"]

MAX_SAID = 1000


def id_named(owner_id: uuid.UUID, name: str) -> uuid.UUID | None:
    """The id of the owner's thread of that name; None where there is none."""
    with db.engine.connect() as connection:
        return connection.scalar(sa.select(Thread.id).where(Thread.owner_id == owner_id, Thread.name == name))


def bounds(thread_id: uuid.UUID) -> tuple[int, int]:
    """The number after which the events of a thread are kept, and that of its newest."""
    found = sa.select(Stream.trimmed_seq, Stream.last_seq).where(Stream.name == stream_of(thread_id))
    with db.engine.connect() as connection:
        row = connection.execute(found).one_or_none()
    return (row.trimmed_seq, row.last_seq) if row is not None else (0, 0)


def run_facts(run_id: uuid.UUID) -> Any:
    """A run's `agent_id`, `error` and `interrupts` as they are now; None where it is gone."""
    wanted = sa.select(Run.agent_id, Run.error, Run.interrupts).where(Run.id == run_id)
    with db.engine.connect() as connection:
        return connection.execute(wanted).one_or_none()


def last_run(thread_id: uuid.UUID, *, run_id: uuid.UUID | None = None, status: str | None = None) -> Any:
    """The newest run of a thread, or the named one, or the newest of a status: its id, agent, assistant and status; None for none."""
    wanted = sa.select(Run.id, Run.agent_id, Run.assistant_id, Run.status).where(Run.thread_key == thread_id)
    if run_id is not None:
        wanted = wanted.where(Run.id == run_id)
    if status is not None:
        wanted = wanted.where(Run.status == status)
    with db.engine.connect() as connection:
        return connection.execute(wanted.order_by(Run.id.desc()).limit(1)).one_or_none()


def said_of_kind(run_id: uuid.UUID, beginning: str) -> list[tuple[str, str]]:
    """What a run has said under kinds that begin so, in order, as (kind, JSON text); at most MAX_SAID."""
    wanted = sa.select(EventRow.type, EventRow.data).where(EventRow.run_id == run_id, EventRow.type.startswith(beginning, autoescape=True))
    with db.engine.connect() as connection:
        return [(row.type, row.data) for row in connection.execute(wanted.order_by(EventRow.run_seq).limit(MAX_SAID))]


def still_there(thread_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the threads that have not been deleted: one query, however many."""
    if not thread_ids:
        return set()
    with db.engine.connect() as connection:
        return set(connection.scalars(sa.select(Thread.id).where(Thread.id.in_(thread_ids))))
