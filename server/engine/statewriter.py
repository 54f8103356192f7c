"""The one writer of checkpoints of a worker process: everything that waits goes in one transaction, under the leases of its runs.

It writes when somebody waits for it, or a few milliseconds after the oldest was taken, so that the steps of a short run go together.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import psycopg

__all__ = ["LeaseLost", "StateWriter", "Statement"]

log = logging.getLogger(__name__)

Fence = tuple[uuid.UUID, int]

MAX_BATCH = 200
LINGER_S = 0.005  # how long a write waits for others, unless somebody waits for it
RETRY_S = 0.25
GIVE_UP_S = 60.0
# PostgreSQL's class of "program limit exceeded": a row too large for it or for an index. psycopg counts it among the failures that
# pass, which it is not.
TOO_LARGE = "54"


class LeaseLost(Exception):
    """Another attempt of the run has begun; what this one would store no longer counts."""


@dataclass(frozen=True)
class Statement:
    """A statement and the rows that it is carried out with."""

    sql: str
    rows: Sequence[Sequence[Any]]


@dataclass
class Write:
    """What one run wants stored, all or nothing."""

    fence: Fence
    statements: Sequence[Statement]
    stored: Future[None] = field(default_factory=Future)
    taken_at: float = field(default_factory=time.monotonic)


class StateWriter:
    """Takes writes from any thread without blocking; its own thread stores them, in order for each run.

    fence_sql: asked first in each transaction with two arrays, run ids and attempts; it answers (run id, attempt) for those that
        still hold their lease, and keeps it so until the transaction ends.
    """

    def __init__(self, url: str, fence_sql: str) -> None:
        self._url = url
        self._fence_sql = fence_sql
        self._queue: list[Write] = []
        self._changed = threading.Condition()
        self._is_stopping = False
        self._is_awaited = False
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = threading.Thread(target=self._write_forever, name="state-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Store what has been taken, then end."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(timeout=30)

    def put(self, fence: Fence, statements: Sequence[Statement]) -> Future[None]:
        """Take a write; the future is done when it is committed, and has LeaseLost when the attempt is stale."""
        write = Write(fence, statements)
        with self._changed:
            self._queue.append(write)
            self._changed.notify()
        return write.stored

    def hurry(self) -> None:
        """Store what has been taken now: somebody waits for it."""
        with self._changed:
            self._is_awaited = True
            self._changed.notify()

    def _write_forever(self) -> None:
        while batch := self._next_batch():
            self._settle(batch)

    def _next_batch(self) -> Sequence[Write]:
        """What waits, once somebody waits for it or it has waited for a while; nothing when it is time to stop."""
        with self._changed:
            while not self._is_stopping and (pause_s := self._pause_s()) != 0:
                self._changed.wait(pause_s)
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            self._is_awaited = self._is_awaited and bool(self._queue)
            return batch

    def _pause_s(self) -> float | None:
        """How long to wait for more; None without end."""
        if not self._queue:
            return None
        if self._is_awaited or len(self._queue) >= MAX_BATCH:
            return 0
        return max(0.0, self._queue[0].taken_at + LINGER_S - time.monotonic())

    def _settle(self, batch: Sequence[Write]) -> None:
        """Store a batch; a transaction that the database cut short is tried again for a while, another failure is its writers'."""
        deadline = time.monotonic() + GIVE_UP_S
        while True:
            try:
                held = self._store(batch)
                break
            except psycopg.OperationalError as error:
                self._connection = None
                if (error.sqlstate or "").startswith(TOO_LARGE):
                    return self._settle_one_by_one(batch, error)
                if time.monotonic() > deadline:
                    return _fail(batch, error)
                log.warning("state.retry", extra={"facts": {"kind": type(error).__name__, "writes": len(batch)}})
                time.sleep(RETRY_S)
            except Exception as error:
                self._connection = None
                return self._settle_one_by_one(batch, error)
        for write in batch:
            _done(write, None if write.fence in held else LeaseLost())
        return None

    def _settle_one_by_one(self, batch: Sequence[Write], error: Exception) -> None:
        """One write of the batch cannot be stored as it is; the others must not pay for it."""
        if len(batch) == 1:
            log.error("state.cannot_store", exc_info=error)
            _fail(batch, error)
            return
        for write in batch:
            self._settle([write])

    def _store(self, batch: Sequence[Write]) -> set[Fence]:
        connection = self._connected()
        fences = sorted({write.fence for write in batch})
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(self._fence_sql, ([run_id for run_id, _ in fences], [attempt for _, attempt in fences]))
            held = {(run_id, attempt) for run_id, attempt in cursor.fetchall()}
            with connection.pipeline():
                for sql, rows in _joined([write for write in batch if write.fence in held]).items():
                    cursor.executemany(sql, rows)
        return held

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url, autocommit=True, prepare_threshold=2, connect_timeout=5, application_name="parley-state-writer"
            )
        return self._connection


def _joined(writes: Sequence[Write]) -> dict[str, list[Sequence[Any]]]:
    """The rows of all writes by statement: rows of one statement keep their order, and no statement depends on another."""
    joined: dict[str, list[Sequence[Any]]] = {}
    for write in writes:
        for statement in write.statements:
            joined.setdefault(statement.sql, []).extend(statement.rows)
    return joined


def _fail(batch: Sequence[Write], error: Exception) -> None:
    for write in batch:
        _done(write, error)


def _done(write: Write, error: Exception | None) -> None:
    if not write.stored.set_running_or_notify_cancel():
        return
    if error is None:
        write.stored.set_result(None)
    else:
        write.stored.set_exception(error)
