"""The one writer of a worker process: groups what all its runs emit, and their ends, into transactions, then publishes.

It writes at once when idle and again as soon as the last write is done, so a lone token is not delayed and a flood is batched.
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
import psycopg

from server.kit.clock import now
from server.realtime import log
from server.realtime.events import Event
from server.runs.leases import Lease
from server.runs.ledger import End, Entry, Ledger, Noted
from server.runs.rules import ENDED

__all__ = ["Ending", "Writer"]

logger = logging.getLogger(__name__)

Listener = Callable[[uuid.UUID], object]

MAX_PENDING = 20_000  # events waiting for the database before agents are asked to wait
MAX_FLUSH = 2_000  # events of one transaction
MAX_TOKEN_CHARS = 4_000  # how long a token grows when those that wait together are joined
FAILURE = {"code": "internal", "message": "Internal server error", "retryable": False}
RETRY_S = 0.5  # pause after a transaction that failed, e.g. while PostgreSQL restarts


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, and who wants to know that it was, or was not, written.

    status: an end of the run; `interrupted` when it now waits for a human; `pending` when another worker is to go on with it.
    """

    lease: Lease
    status: str
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    interrupts: list[Any] | None = None
    values: bytes | None = None
    last_words: Sequence[tuple[str, bytes]] = ()
    written: Callable[[bool], object] = lambda is_mine: None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to the run: a question on a program's thread is answered by another one."""
        return self.status in ENDED or (self.status == "interrupted" and self.lease.thread_key is not None)


@dataclass
class Part:
    """What is to be written of one attempt, and who asked. late: ends that came after its end."""

    lease: Lease
    entry: Entry
    ending: Ending | None = None
    late: list[Ending] = field(default_factory=list)


class Writer:
    """Takes events from any thread without blocking; its own thread writes them, in order for each run.

    refused: called with a lease that is stale; its holder should stop working on it.
    unwanted: called with the id of a run that now waits for a human, although it was cancelled in the meantime.
    freed: called with the id of each run that may begin now, because another of its thread has ended, and whether it is to be alone.
    followed: called with the task and the id of each run that somebody has given a task to follow since it was claimed.
    """

    def __init__(
        self,
        database_url: str,
        *,
        refused: Callable[[Lease], object],
        unwanted: Listener,
        freed: Callable[[tuple[uuid.UUID, bool]], object],
        followed: Callable[[tuple[str, uuid.UUID]], object] = lambda followed: None,
    ) -> None:
        self._ledger = Ledger(database_url, name="parley-writer")
        self._refused = refused
        self._unwanted = unwanted
        self._freed = freed
        self._followed = followed
        self._queue: list[tuple[Lease, Event] | Ending] = []
        # How long the log of each attempt in progress is, as far as this writer has written it.
        self._lengths: dict[tuple[uuid.UUID, int], int] = {}
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

    def emit(self, lease: Lease, kind: str, data: dict[str, Any] | bytes) -> None:
        """Take one event of a run; its data as an object or as the JSON text of anything."""
        text = data if isinstance(data, bytes) else orjson.dumps(data, default=str)
        event = Event(lease.stream, None, lease.run_id, None, kind, text, now())
        with self._changed:
            self._queue.append((lease, event))
            self._changed.notify()

    def end(self, ending: Ending) -> None:
        """Take the end of a run; written after everything it emitted before."""
        with self._changed:
            self._queue.append(ending)
            self._changed.notify()

    def _write_forever(self) -> None:
        while taken := self._taken():
            self._settle(self._gathered(taken))

    def _gathered(self, taken: Sequence[tuple[Lease, Event] | Ending]) -> list[Part]:
        """What was taken, run by run; each run's events in the order in which it said them."""
        parts: dict[tuple[uuid.UUID, int], Part] = {}
        for item in taken:
            lease = item.lease if isinstance(item, Ending) else item[0]
            key = (lease.run_id, lease.attempt)
            if key not in parts:
                base = self._lengths.get(key, lease.last_event)
                parts[key] = Part(lease, Entry(lease.run_id, lease.attempt, lease.thread_id, base, []))
            _add(parts[key], item)
        return list(parts.values())

    def _taken(self) -> list[tuple[Lease, Event] | Ending]:
        """What waits, at most so much; nothing when it is time to stop."""
        with self._changed:
            while not self._queue and not self._is_stopping:
                self._changed.wait()
            taken, self._queue = self._queue[:MAX_FLUSH], self._queue[MAX_FLUSH:]
            return taken

    def _settle(self, parts: list[Part]) -> None:
        """Write parts, however long the database is away; one that cannot be written as it is must not cost the others."""
        again = False
        while True:
            try:
                noted = self._ledger.write([part.entry for part in parts], again=again)
                break
            except psycopg.OperationalError as error:
                again = True
                logger.warning("writer.retry", extra={"facts": {"kind": type(error).__name__, "runs": len(parts)}})
                time.sleep(RETRY_S)
            except Exception as error:
                self._settle_apart(parts, error)
                return
        log.publish(noted.events)
        self._tell(parts, noted)

    def _settle_apart(self, parts: list[Part], error: Exception) -> None:
        """Write each run's part by itself; a part that fails even so ends its run as an error."""
        if len(parts) > 1:
            for part in parts:
                self._settle([part])
            return
        logger.error("writer.cannot_write", exc_info=error)
        lease, ending = parts[0].lease, parts[0].ending
        if ending is not None and ending.error == FAILURE:
            _call(ending.written, False)
            return
        _call(self._refused, lease)
        failed = Ending(lease, "error", error=FAILURE, written=ending.written if ending else _nobody_asks)
        self._settle(self._gathered([failed]))

    def _tell(self, parts: Sequence[Part], noted: Noted) -> None:
        for part in parts:
            is_mine = part.entry.key in noted.held
            self._lengths[part.entry.key] = part.entry.base + len(part.entry.events)
            if part.ending is not None or not is_mine:
                del self._lengths[part.entry.key]
            if part.ending is not None:
                _call(part.ending.written, is_mine)
            elif not is_mine:
                _call(self._refused, part.lease)
            for ending in part.late:
                _call(ending.written, False)
        for run_id in noted.unwanted:
            _call(self._unwanted, run_id)
        for freed in noted.freed:
            _call(self._freed, freed)
        for followed in noted.followed:
            _call(self._followed, followed)


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
    if ending.status == "pending":
        return []
    if ending.error is not None and ending.status != "cancelled":
        happened.append(("error", {"run_id": run_id, **ending.error}))
    for asked in (ending.interrupts or ()) if ending.lease.thread_key is None else ():
        happened.append(("interrupt", {"run_id": run_id, "interrupt_id": asked["id"], "value": asked["value"]}))
    happened.append(("run", {"run_id": run_id, "status": ending.status, "attempt": ending.lease.attempt}))
    moment = now()
    spoken = [*ending.last_words, *((kind, orjson.dumps(data, default=str)) for kind, data in happened)]
    return [Event(ending.lease.stream, None, ending.lease.run_id, None, kind, text, moment) for kind, text in spoken]


def _add(part: Part, item: tuple[Lease, Event] | Ending) -> None:
    """Add what an attempt said. After its end nothing counts any more, whoever says it."""
    if part.ending is not None:
        part.late.extend([item] if isinstance(item, Ending) else [])
        return
    if not isinstance(item, Ending):
        _append(part.entry.events, item[1])
        return
    try:
        last = last_events(item)
    except TypeError as error:
        logger.warning("writer.cannot_say", extra={"facts": {"run_id": item.lease.run_id}}, exc_info=error)
        item = replace(item, status="error", output=None, error=FAILURE, interrupts=None, values=None)
        last = last_events(item)
    part.ending = item
    part.entry.events.extend(last)
    part.entry.end = End(
        item.status,
        item.output,
        item.values,
        item.error,
        item.interrupts,
        is_over=item.is_over,
        is_followed=part.lease.then is not None,
    )


def _append(events: list[Event], event: Event) -> None:
    """Append an event; a token that follows a token of the same message, both still waiting, becomes part of it."""
    if events and event.type == "token" and events[-1].type == "token":
        previous, this = events[-1].load(), event.load()
        if previous["message_id"] == this["message_id"] and len(previous["delta"]) < MAX_TOKEN_CHARS:
            events[-1] = replace(event, data=orjson.dumps({**previous, "delta": previous["delta"] + this["delta"]}))
            return
    events.append(event)
