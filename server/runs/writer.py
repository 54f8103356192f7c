"""The one writer of a worker process: groups what all its runs emit, and their ends, into transactions, then publishes.

It flushes at once when idle and again as soon as the last flush is done, so a lone token is not delayed and a flood is batched.
One transaction checks each run's attempt, takes the numbers, stores the events, moves the runs that ended, and commits.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import Connection

from server.kit.clock import now
from server.kit.db import db
from server.realtime import log
from server.realtime.events import Event
from server.runs.leases import Lease
from server.runs.models import Run

__all__ = ["Ending", "Writer"]

logger = logging.getLogger(__name__)

Listener = Callable[[uuid.UUID], object]

MAX_PENDING = 20_000  # events waiting for the database before agents are asked to wait
MAX_FLUSH = 2_000  # events of one transaction
MAX_TOKEN_CHARS = 4_000  # how long a token grows when those that wait together are joined
RETRY_S = 0.5  # pause after a transaction that failed, e.g. while PostgreSQL restarts


@dataclass(frozen=True)
class Ending:
    """How a run ended (or that it now waits for a human), and who wants to know that it was, or was not, written."""

    lease: Lease
    status: str
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    interrupts: list[Any] | None = None
    written: Callable[[bool], object] = lambda is_mine: None


@dataclass
class Batch:
    """What one transaction writes."""

    emitted: list[tuple[Lease, Event]] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)

    def by_run(self) -> list[Batch]:
        """The batch in parts, one a run."""
        parts: dict[uuid.UUID, Batch] = {}
        for lease, event in self.emitted:
            parts.setdefault(lease.run_id, Batch()).emitted.append((lease, event))
        for ending in self.endings:
            parts[ending.lease.run_id].endings.append(ending)
        return list(parts.values())


@dataclass(frozen=True)
class Written:
    """What one transaction did. held: the runs whose lease was good. unwanted: those that wait for a human although somebody has
    cancelled them meanwhile. freed: those that may begin now."""

    held: set[uuid.UUID]
    events: Sequence[Event]
    unwanted: Sequence[uuid.UUID]
    freed: Sequence[uuid.UUID]


class Writer:
    """Takes events from any thread without blocking; its own thread writes them, in order for each run.

    refused: called with the id of a run whose attempt is stale; its holder should stop working on it.
    unwanted: called with the id of a run that now waits for a human, although it was cancelled in the meantime.
    freed: called with the id of each run that may begin now, because another of its thread has ended.
    """

    def __init__(self, app: Flask, *, refused: Listener, unwanted: Listener, freed: Listener) -> None:
        self._app = app
        self._refused = refused
        self._unwanted = unwanted
        self._freed = freed
        self._queue: list[tuple[Lease, Event] | Ending] = []
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._write_forever, name="writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what has been taken, then end."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(timeout=30)

    @property
    def is_full(self) -> bool:
        """Whether agents should wait before they emit more."""
        return len(self._queue) > MAX_PENDING

    def emit(self, lease: Lease, kind: str, data: dict[str, Any]) -> None:
        """Take one event of a run."""
        event = Event(lease.stream, None, lease.run_id, None, kind, orjson.dumps(data, default=str), now())
        with self._changed:
            self._queue.append((lease, event))
            self._changed.notify()

    def end(self, ending: Ending) -> None:
        """Take the end of a run; written after everything it emitted before."""
        with self._changed:
            self._queue.append(ending)
            self._changed.notify()

    def _write_forever(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._settle(batch)

    def _settle(self, batch: Batch) -> None:
        """Write a batch, however long the database is away; what cannot be written as it is must not cost the others."""
        while True:
            try:
                written = self._write(batch)
                break
            except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
                logger.warning("writer.retry", extra={"facts": {"kind": type(error).__name__, "events": len(batch.emitted)}})
                time.sleep(RETRY_S)
            except Exception as error:
                self._settle_apart(batch, error)
                return
        log.publish(written.events)
        self._tell(batch, written)

    def _settle_apart(self, batch: Batch, error: Exception) -> None:
        """Write each run's part of a batch by itself; a part that fails even so ends its run as an error."""
        parts = batch.by_run()
        if len(parts) > 1:
            for part in parts:
                self._settle(part)
            return
        logger.error("writer.cannot_write", exc_info=error)
        lease = batch.emitted[0][0]
        failure = {"code": "internal", "message": "Internal server error", "retryable": False}
        ending = Ending(lease, "error", error=failure, written=batch.endings[0].written if batch.endings else _nobody_asks)
        if batch.endings and batch.endings[0].error == failure:
            _call(ending.written, False)
            return
        self._refused(lease.run_id)
        self._settle(Batch([(lease, event) for event in last_events(ending)], [ending]))

    def _next_batch(self) -> Batch | None:
        with self._changed:
            while not self._queue:
                if self._is_stopping:
                    return None
                self._changed.wait()
            taken, self._queue = self._queue[:MAX_FLUSH], self._queue[MAX_FLUSH:]
        batch = Batch()
        for item in taken:
            if isinstance(item, Ending):
                batch.endings.append(item)
                batch.emitted.extend((item.lease, event) for event in last_events(item))
            else:
                _append(batch.emitted, item)
        return batch

    def _write(self, batch: Batch) -> Written:
        with self._app.app_context(), db.engine.begin() as connection:
            held, events = _number_runs(connection, batch.emitted)
            events = log.number_streams(connection, events)
            log.store(connection, events)
            mine = [ending for ending in batch.endings if ending.lease.run_id in held]
            unwanted = _move(connection, mine)
            return Written(held, events, unwanted, _next_of_threads(connection, mine))

    def _tell(self, batch: Batch, written: Written) -> None:
        for run_id in {lease.run_id for lease, _ in batch.emitted} - written.held:
            _call(self._refused, run_id)
        for ending in batch.endings:
            _call(ending.written, ending.lease.run_id in written.held)
        for run_id in written.unwanted:
            _call(self._unwanted, run_id)
        for run_id in written.freed:
            _call(self._freed, run_id)


def _call(listener: Callable[[Any], object], fact: object) -> None:
    """Tell a listener; its failure is not the writer's."""
    try:
        listener(fact)
    except Exception:
        logger.exception("writer.listener_failed")


def _nobody_asks(is_mine: bool) -> None:
    """Stands where nobody wants to know."""


def last_events(ending: Ending) -> list[Event]:
    """The events that end a run's log (or pause it), in order; the status is always the last."""
    run_id = str(ending.lease.run_id)
    happened: list[tuple[str, dict[str, Any]]] = []
    if ending.error is not None and ending.status != "cancelled":
        happened.append(("error", {"run_id": run_id, **ending.error}))
    for asked in ending.interrupts or ():
        happened.append(("interrupt", {"run_id": run_id, "interrupt_id": asked["id"], "value": asked["value"]}))
    happened.append(("run", {"run_id": run_id, "status": ending.status, "attempt": ending.lease.attempt}))
    moment = now()
    return [
        Event(ending.lease.stream, None, ending.lease.run_id, None, kind, orjson.dumps(data, default=str), moment)
        for kind, data in happened
    ]


def _append(emitted: list[tuple[Lease, Event]], item: tuple[Lease, Event]) -> None:
    """Append an event; a token that follows a token of the same message, both still waiting, becomes part of it."""
    lease, event = item
    if emitted and event.type == "token" and emitted[-1][1].type == "token" and emitted[-1][0] is lease:
        previous, this = emitted[-1][1].load(), event.load()
        if previous["message_id"] == this["message_id"] and len(previous["delta"]) < MAX_TOKEN_CHARS:
            joined = {**previous, "delta": previous["delta"] + this["delta"]}
            emitted[-1] = (lease, replace(event, data=orjson.dumps(joined)))
            return
    emitted.append(item)


def _number_runs(connection: Connection, emitted: Sequence[tuple[Lease, Event]]) -> tuple[set[uuid.UUID], list[Event]]:
    """Check every run's attempt and take its numbers, locking its row: the runs still held, and their events, numbered."""
    counts: dict[tuple[uuid.UUID, int], int] = {}
    for lease, _ in emitted:
        counts[lease.run_id, lease.attempt] = counts.get((lease.run_id, lease.attempt), 0) + 1
    rows = connection.execute(
        sa.text(
            "WITH held AS (SELECT runs.id, wanted.n FROM runs "
            "JOIN unnest(CAST(:ids AS uuid[]), CAST(:attempts AS int[]), CAST(:counts AS int[])) AS wanted(id, attempt, n) "
            "ON runs.id = wanted.id AND runs.attempt = wanted.attempt "
            "WHERE runs.status = 'running' ORDER BY runs.id FOR NO KEY UPDATE OF runs) "
            "UPDATE runs SET last_event = runs.last_event + held.n FROM held WHERE runs.id = held.id "
            "RETURNING runs.id, runs.attempt, runs.last_event"
        ),
        {
            "ids": [run_id for run_id, _ in counts],
            "attempts": [attempt for _, attempt in counts],
            "counts": list(counts.values()),
        },
    ).all()
    upcoming = {(run_id, attempt): last - counts[run_id, attempt] + 1 for run_id, attempt, last in rows}
    numbered = []
    for lease, event in emitted:
        key = (lease.run_id, lease.attempt)
        if key in upcoming:
            numbered.append(replace(event, run_seq=upcoming[key]))
            upcoming[key] += 1
    return {run_id for run_id, _ in upcoming}, numbered


def _move(connection: Connection, endings: Sequence[Ending]) -> list[uuid.UUID]:
    """Move the runs whose rows this transaction has locked to their new status; those that wait now although they were cancelled."""
    moment = now()
    unwanted = []
    for ending in endings:
        is_over = ending.status != "interrupted"
        moving = (
            sa.update(Run)
            .where(Run.id == ending.lease.run_id)
            .values(
                status=ending.status,
                output=ending.output,
                error=ending.error,
                interrupts=ending.interrupts,
                command=None,
                worker_id=None,
                updated_at=moment,
                finished_at=moment if is_over else None,
                then_due_at=moment if is_over and ending.lease.then else None,
            )
            .returning(Run.cancel_requested_at)
        )
        if connection.scalar(moving) is not None and not is_over:
            unwanted.append(ending.lease.run_id)
    return unwanted


def _next_of_threads(connection: Connection, endings: Sequence[Ending]) -> list[uuid.UUID]:
    """The runs that may begin, now that another of their thread has ended."""
    threads = [ending.lease.thread_id for ending in endings if ending.lease.thread_id is not None]
    if not threads:
        return []
    waiting = sa.select(Run.thread_id, Run.id).distinct(Run.thread_id).where(Run.thread_id.in_(threads), Run.status == "pending")
    return [run_id for _, run_id in connection.execute(waiting.order_by(Run.thread_id, Run.id))]
