"""The runs that programs have started: look up, stop, delete."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from server.kit.db import after_commit, commit, db, reading
from server.kit.errors import Gone, NotFound
from server.realtime import control
from server.runs.actions import ROLL_BACK, RunNotFound, cancel
from server.runs.models import Run
from server.runs.threads.actions import settle

__all__ = ["CursorUnknown", "NothingToCancel", "active_runs", "delete", "ended", "own_run", "runs_of", "stop"]

MAX_STOPPED = 10_000
ENDED = "SELECT id, status, output, error, interrupts FROM runs WHERE id = %(run_id)s"


class CursorUnknown(Gone):
    """The stream has no event of that id, or keeps it no longer. Begin anew without Last-Event-ID, or with -1."""

    code = "cursor_unknown"


class NothingToCancel(NotFound):
    """No runs found to cancel."""

    code = "nothing_to_cancel"


def own_run(owner_id: uuid.UUID, run_id: uuid.UUID, *, thread_key: uuid.UUID | None = None) -> Run:
    """The owner's run of that id, of that thread if one is named. Raises RunNotFound, also for somebody else's."""
    query = sa.select(Run).where(Run.id == run_id, Run.owner_id == owner_id, Run.thread_key.is_not(None))
    if thread_key is not None:
        query = query.where(Run.thread_key == thread_key)
    run = db.session.scalars(query).one_or_none()
    if run is None:
        raise RunNotFound
    return run


def ended(run_id: uuid.UUID) -> Run | None:
    """How a run stands now, on its own (no object of the session); only what tells how it ended. Holds nothing after it."""
    with reading() as connection:
        row = connection.exec_driver_sql(ENDED, {"run_id": run_id}).one_or_none()
    return None if row is None else Run(**row._mapping)


def runs_of(thread_key: uuid.UUID, *, statuses: Sequence[str] | None, limit: int, offset: int) -> Sequence[Run]:
    """The runs of a thread, newest first. statuses: only of these; None for all."""
    query = sa.select(Run).where(Run.thread_key == thread_key)
    if statuses is not None:
        query = query.where(Run.status.in_(statuses))
    return db.session.scalars(query.order_by(Run.id.desc()).limit(limit).offset(offset)).all()


def active_runs(owner_id: uuid.UUID, *, statuses: Sequence[str]) -> list[uuid.UUID]:
    """The owner's runs that are in one of these states."""
    query = sa.select(Run.id).where(Run.owner_id == owner_id, Run.status.in_(statuses), Run.thread_key.is_not(None))
    return list(db.session.scalars(query.order_by(Run.id).limit(MAX_STOPPED)))


def stop(run_ids: Sequence[uuid.UUID], *, rollback: bool) -> None:
    """Stop runs; with `rollback` they and what they have left in their threads are gone once they have stopped."""
    for run_id in sorted(run_ids):
        cancel(run_id, then=ROLL_BACK if rollback else None)
    commit()


def delete(run: Run) -> None:
    """Delete a run; its worker, if one holds it, stops. Its events stay in the stream of its thread as long as events are kept."""
    key, status = run.thread_key, run.status
    db.session.execute(sa.delete(Run).where(Run.id == run.id))
    if status in ("pending", "running"):
        after_commit(partial(control.tell, "runs.cancel", run_id=str(run.id)))
        if key is not None:
            settle(key)
    commit()
