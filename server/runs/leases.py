"""Leases: how a worker comes to hold runs, shows that it lives, and loses them when it does not.

The number of the attempt is the fence: every write of a holder carries it, and a claim or a reap makes it stale.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa

from server.kit import whereabouts
from server.kit.clock import now
from server.kit.db import after_commit, commit, db, rollback
from server.realtime.log import publish
from server.runs.actions import CANCELLED, end, move, wake
from server.runs.ledger import Claimed, Ledger
from server.runs.models import Run, Worker

__all__ = ["FENCE_SQL", "Lease", "beat", "claim", "claim_due", "give_back", "lost_worker", "register", "release", "retire"]

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
    thread_key: uuid.UUID | None
    stream: str | None
    input: Any
    command: dict[str, Any] | None
    context: dict[str, Any]
    options: dict[str, Any] | None
    timeout_s: float
    then: str | None
    # The number of the run's last event when it was claimed.
    last_event: int


def register(*, is_alone: bool = False) -> uuid.UUID:
    """Enter this process as a worker; its id."""
    here = whereabouts.mine()
    worker = Worker(place=here.place, pid=here.pid, began=here.began, is_alone=is_alone)
    db.session.add(worker)
    commit()
    return worker.id


def beat(worker_id: uuid.UUID, *, runs: int) -> dict[uuid.UUID, bool] | None:
    """Count the worker's heartbeat up. The runs that it holds, each with whether somebody wants it stopped; None: it was given up."""
    with db.engine.begin() as connection:
        counted = sa.update(Worker).where(Worker.id == worker_id).values(beats=Worker.beats + 1, runs=runs, beat_at=now())
        if not connection.execute(counted).rowcount:
            return None
        held = sa.select(Run.id, Run.cancel_requested_at.is_not(None)).where(Run.worker_id == worker_id)
        return {run_id: is_unwanted for run_id, is_unwanted in connection.execute(held)}


def give_back(run_id: uuid.UUID, worker_id: uuid.UUID) -> None:
    """Give back a run that is the worker's by its row alone: the answer to its claim was lost on the way."""
    run = db.session.get(Run, run_id, with_for_update=True, populate_existing=True)
    if run is not None and run.worker_id == worker_id and run.status == "running":
        _to_pending(run)
    commit()


def claim(ledger: Ledger, run_id: uuid.UUID, worker_id: uuid.UUID, *, alone: bool = False) -> Lease | None:
    """Take a pending run, or None when it is not to be had now: taken, ended, not due, or behind another one of its thread.

    alone: whether this worker carries it with no neighbours; a run whose worker died is only given to such a one.
    """
    claimed = ledger.claim(run_id, worker_id, alone=alone)
    return None if claimed is None else _leased([claimed])[0]


def claim_due(ledger: Ledger, worker_id: uuid.UUID, *, limit: int) -> list[Lease]:
    """Take pending runs that nobody has to carry out alone, those first that have waited longest; at most so many."""
    return _leased(ledger.claim_due(worker_id, limit=limit))


def _leased(claimed: Sequence[Claimed]) -> list[Lease]:
    """The leases, once those who listen have heard of them."""
    publish([each.event for each in claimed if each.event is not None])
    return [_lease(each.row) for each in claimed]


def _lease(row: Any) -> Lease:
    return Lease(
        run_id=row.id,
        attempt=row.attempt,
        owner_id=row.owner_id,
        agent_id=row.agent_id,
        thread_id=row.thread_id,
        thread_key=row.thread_key,
        stream=row.stream,
        input=row.input,
        command=row.command,
        context=row.context,
        options=row.options,
        timeout_s=row.timeout_s,
        then=row.then,
        last_event=row.last_event,
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
    # All runs are locked; their streams follow by name, as every writer takes them.
    for run in sorted(db.session.scalars(held).all(), key=lambda run: run.stream or ""):
        run.deaths += 1 if was_alone else 0
        if run.cancel_requested_at is not None:
            end(run, "cancelled", error=CANCELLED)
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
    after_commit(partial(wake, run.id, alone=run.is_alone))


def _held(lease: Lease) -> Run | None:
    held = sa.select(Run).where(Run.id == lease.run_id, Run.attempt == lease.attempt, Run.status == "running")
    return db.session.scalars(held.with_for_update()).one_or_none()
