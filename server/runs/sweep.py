"""The sweep: finds what a crash or a lost message left behind, and lets go of what is no longer kept. Any number may run."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from server.accounts import actions as accounts
from server.kit import queue
from server.kit.clock import after, now
from server.kit.db import commit, db, rollback
from server.kit.errors import Unavailable
from server.kit.whereabouts import Whereabouts, is_gone
from server.realtime import log as event_log
from server.runs.actions import EXECUTE, end, wake_any
from server.runs.leases import lost_worker
from server.runs.models import Run, Worker
from server.settings import Settings

__all__ = ["Sweep"]

log = logging.getLogger(__name__)

PAGE = 500
TRIM_EVERY_S = 60.0


@dataclass
class Sweep:
    """One sweeper: `once` does a round. Its own monotonic clock judges heartbeats, so no wall clock can be wrong."""

    settings: Settings
    monotonic: Callable[[], float] = time.monotonic
    _seen: dict[uuid.UUID, tuple[int, float]] = field(default_factory=dict)
    _trimmed_at: float = float("-inf")

    def once(self) -> None:
        """Take the runs from workers whose heartbeat stood still, wake what waits, follow up, time out, trim."""
        self.reap()
        self.wake_forgotten()
        self.follow_up_forgotten()
        if self.monotonic() - self._trimmed_at > TRIM_EVERY_S:
            self._trimmed_at = self.monotonic()
            self.give_up_on_humans()
            self.trim()
            accounts.sweep_used(now())

    def reap(self) -> list[uuid.UUID]:
        """Take the runs from every worker whose process is gone, or whose count has not changed for a lease; the runs that wait again."""
        moment = self.monotonic()
        columns = sa.select(Worker.id, Worker.beats, Worker.place, Worker.pid, Worker.began)
        workers = db.session.execute(columns).all()
        rollback()
        self._seen = {worker_id: self._seen.get(worker_id, (beats, moment)) for worker_id, beats, *_ in workers}
        waiting: list[uuid.UUID] = []
        for worker_id, beats, place, pid, began in workers:
            known, since = self._seen[worker_id]
            if is_gone(Whereabouts(place, pid, began)):
                waiting += self._lost(worker_id, None)
            elif known != beats:
                self._seen[worker_id] = (beats, moment)
            elif moment - since > self.settings.lease_s:
                waiting += self._lost(worker_id, beats)
        return waiting

    def _lost(self, worker_id: uuid.UUID, beats: int | None) -> list[uuid.UUID]:
        waiting = lost_worker(worker_id, beats, max_deaths=self.settings.run_deaths)
        log.warning("worker.lost", extra={"facts": {"worker_id": worker_id, "runs": len(waiting), "was_gone": beats is None}})
        return waiting

    def wake_forgotten(self) -> int:
        """Queue pending runs again whose message seems lost; how many. None while enough wait there that nobody takes."""
        room = PAGE - queue.waiting("runs")
        if room <= 0:
            return 0
        due = (
            sa.select(Run.id)
            .where(Run.status == "pending", sa.or_(Run.woken_at < after(-self.settings.wake_after_s), Run.woken_at < Run.available_at))
            .where(sa.or_(Run.available_at.is_(None), Run.available_at <= sa.func.now()))
            .order_by(Run.woken_at)
            .limit(room)
            .with_for_update(skip_locked=True)
        )
        noted = sa.update(Run).where(Run.id.in_(due)).values(woken_at=now()).returning(Run.id, Run.is_alone)
        woken = db.session.execute(noted).all()
        commit()
        if not all(is_alone for _, is_alone in woken):
            wake_any()
        self._send([(EXECUTE, run_id, "runs") for run_id, is_alone in woken if is_alone])
        return len(woken)

    def follow_up_forgotten(self) -> int:
        """Queue again what should have followed ended runs; how many."""
        late = after(-self.settings.wake_after_s)
        due = sa.select(Run.id).where(Run.then_due_at < late).order_by(Run.then_due_at).limit(PAGE).with_for_update(skip_locked=True)
        again = sa.update(Run).where(Run.id.in_(due)).values(then_due_at=now()).returning(Run.then, Run.id)
        following = db.session.execute(again).all()
        commit()
        return self._send([(then, run_id, "fast") for then, run_id in following if then is not None])

    def _send(self, messages: list[tuple[str, uuid.UUID, str]]) -> int:
        try:
            for name, run_id, lane in messages:
                queue.send(name, str(run_id), lane=lane)
        except Unavailable:
            log.warning("sweep.queue_away", extra={"facts": {"messages": len(messages)}})
            return 0
        return len(messages)

    def give_up_on_humans(self) -> int:
        """End runs that have waited for an answer longer than they may; how many."""
        waiting = sa.select(Run).where(Run.status == "interrupted", Run.finished_at.is_(None))
        waiting = waiting.where(Run.updated_at < after(-self.settings.interrupt_s))
        overdue = db.session.scalars(waiting.limit(PAGE).with_for_update(skip_locked=True)).all()
        for run in sorted(overdue, key=lambda run: run.stream or ""):
            end(run, "timeout", error={"code": "nobody_answered", "message": "Nobody answered in time.", "retryable": False})
        commit()
        return len(overdue)

    def trim(self) -> int:
        """Delete the events that are older than they are kept, except of what is in progress; how many."""
        going_on = sa.select(Run.id, Run.stream).where(Run.status.in_(("pending", "running", "interrupted")), Run.finished_at.is_(None))
        active = db.session.execute(going_on).all()
        total = 0
        while True:
            gone = event_log.trim(
                before=after(-self.settings.event_retention_s),
                keep_runs=[run_id for run_id, _ in active],
                keep_streams=sorted({stream for _, stream in active if stream is not None}),
            )
            commit()
            total += gone
            if gone < 10_000:
                break
        if total:
            log.info("sweep.trimmed", extra={"facts": {"events": total}})
        return total
