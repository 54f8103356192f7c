"""Leases: how a worker comes to hold runs, shows that it lives, and loses them when it does not.

The number of the attempt is the fence: every write of a holder carries it, and a claim or a reap makes it stale.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from server.kit import whereabouts
from server.kit.clock import now
from server.kit.db import after_commit, commit, db, rollback
from server.runs.actions import end, move, note, wake
from server.runs.models import Run, Worker

__all__ = ["FENCE_SQL", "Lease", "beat", "claim", "lost_worker", "register", "release", "retire"]

# What a transaction with checkpoints asks first: which (run, attempt) pairs hold their lease. Their rows cannot change until it ends,
# and are locked in the order of their ids, as the writer of events does.
FENCE_SQL = (
    "SELECT runs.id, runs.attempt FROM runs JOIN unnest(%s::uuid[], %s::int[]) AS asked(id, attempt) "
    "ON runs.id = asked.id AND runs.attempt = asked.attempt WHERE runs.status = 'running' ORDER BY runs.id FOR SHARE OF runs"
)


@dataclass(frozen=True)
class Lease:
    """A run as its holder got it; valid while its row still has this attempt and is running."""

    run_id: uuid.UUID
    attempt: int
    owner_id: uuid.UUID
    agent_id: str
    thread_id: str | None
    stream: str | None
    input: dict[str, Any] | None
    command: dict[str, Any] | None
    context: dict[str, Any]
    timeout_s: float
    then: str | None


def register(*, is_alone: bool = False) -> uuid.UUID:
    """Enter this process as a worker; its id."""
    here = whereabouts.mine()
    worker = Worker(place=here.place, pid=here.pid, began=here.began, is_alone=is_alone)
    db.session.add(worker)
    commit()
    return worker.id


def beat(worker_id: uuid.UUID, *, runs: int) -> list[uuid.UUID] | None:
    """Count the worker's heartbeat up; the runs it holds that somebody wants stopped. None: it was given up, its runs are lost."""
    with db.engine.begin() as connection:
        known = connection.execute(
            sa.update(Worker).where(Worker.id == worker_id).values(beats=Worker.beats + 1, runs=runs, beat_at=now())
        ).rowcount
        if not known:
            return None
        unwanted = sa.select(Run.id).where(Run.worker_id == worker_id, Run.cancel_requested_at.is_not(None))
        return list(connection.scalars(unwanted))


def claim(run_id: uuid.UUID, worker_id: uuid.UUID, *, alone: bool = False) -> Lease | None:
    """Take a pending run, or None when it is not to be had now: taken, ended, not due, or behind another one of its thread.

    alone: whether this worker carries it with no neighbours; a run whose worker died is only given to such a one.
    """
    other = sa.orm.aliased(Run)
    before_it = sa.or_(other.status == "running", sa.and_(other.status == "pending", other.id < Run.id))
    is_behind = sa.exists().where(other.thread_id == Run.thread_id, other.id != Run.id, before_it)
    taking = (
        sa.update(Run)
        .where(Run.id == run_id, Run.status == "pending", Run.is_alone == alone, ~is_behind)
        .where(sa.or_(Run.available_at.is_(None), Run.available_at <= sa.func.now()))
        .values(
            status="running",
            attempt=Run.attempt + 1,
            worker_id=worker_id,
            started_at=sa.func.coalesce(Run.started_at, sa.func.now()),
            updated_at=sa.func.now(),
        )
        .returning(Run)
        .execution_options(synchronize_session=False)
    )
    try:
        run = db.session.scalars(taking, execution_options={"populate_existing": True}).one_or_none()
    except IntegrityError:  # another run of the thread was claimed at the same moment
        rollback()
        return None
    if run is None:
        rollback()
        return None
    if run.attempt == 1:
        note(run, [("run", {"run_id": str(run.id), "status": "running", "attempt": 1})])
    lease = _lease(run)
    commit()
    return lease


def _lease(run: Run) -> Lease:
    return Lease(
        run.id,
        run.attempt,
        run.owner_id,
        run.agent_id,
        run.thread_id,
        run.stream,
        run.input,
        run.command,
        run.context,
        run.timeout_s,
        run.then,
    )


def release(lease: Lease) -> None:
    """Give a run back unfinished, because its worker stops; another goes on from its last checkpoint."""
    run = _held(lease)
    if run is None:
        rollback()
        return
    _to_pending(run)
    commit()


def retire(worker_id: uuid.UUID) -> None:
    """Strike out a worker that stops by itself and holds nothing."""
    db.session.execute(sa.delete(Worker).where(Worker.id == worker_id))
    commit()


def lost_worker(worker_id: uuid.UUID, beats: int | None, *, max_deaths: int) -> list[uuid.UUID]:
    """Take the runs from a worker that died; the ids of those that wait again. Nothing happens if it beat since `beats`.

    beats: the count at which its heartbeat stood still; None when the death was seen (its process has ended).
    A run that was alone with the worker counts the death, and ends as an error at `max_deaths`; any other is tried again alone.
    """
    dead = sa.delete(Worker).where(Worker.id == worker_id)
    if beats is not None:
        dead = dead.where(Worker.beats == beats)
    was_alone = db.session.scalar(dead.returning(Worker.is_alone))
    if was_alone is None:
        rollback()
        return []
    held = sa.select(Run).where(Run.worker_id == worker_id, Run.status == "running").order_by(Run.id).with_for_update()
    waiting = []
    for run in db.session.scalars(held).all():
        run.deaths += 1 if was_alone else 0
        if run.cancel_requested_at is not None:
            end(run, "cancelled")
        elif run.deaths >= max_deaths:
            end(run, "error", error={"code": "worker_died", "message": _died(run.deaths), "retryable": False})
        else:
            run.is_alone = True
            _to_pending(run)
            waiting.append(run.id)
    commit()
    return waiting


def _died(deaths: int) -> str:
    return f"The agent's process died {deaths} times while it ran alone; the run was given up."


def _to_pending(run: Run) -> None:
    move(run, "pending")
    run.woken_at = now()
    run_id = run.id
    after_commit(lambda: wake(run_id))


def _held(lease: Lease) -> Run | None:
    held = sa.select(Run).where(Run.id == lease.run_id, Run.attempt == lease.attempt, Run.status == "running")
    return db.session.scalars(held.with_for_update()).one_or_none()
