"""The two statements of a worker, each one round trip and one transaction: claim a run, and write what runs have said and how they ended.

Both take an event's numbers in its run and in its stream, store it, and move the run, all or nothing. They are written in SQL because
they are carried out for every run and every token. Locks are taken in one order: runs by id, then streams by name.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import psycopg
from psycopg.rows import namedtuple_row

from server.kit.clock import now
from server.realtime.events import Event

__all__ = ["Claimed", "End", "Entry", "Ledger", "Noted"]

# A run is to be had when it is pending, due, meant for this kind of worker, and no other of its thread is running or was before it.
# The worker's row is held fast meanwhile: one that is being given up gets nothing, or what it got is taken from it with the rest.
CLAIM = """
WITH taken AS (
    UPDATE runs SET status = 'running', attempt = attempt + 1, worker_id = %(worker_id)s, updated_at = %(now)s,
        started_at = coalesce(started_at, %(now)s), last_event = last_event + CASE attempt WHEN 0 THEN 1 ELSE 0 END
    WHERE id = %(run_id)s AND status = 'pending' AND is_alone = %(alone)s AND (available_at IS NULL OR available_at <= %(now)s)
        AND EXISTS (SELECT FROM workers WHERE id = %(worker_id)s FOR KEY SHARE)
        AND NOT EXISTS (
            SELECT FROM runs other WHERE other.thread_id = runs.thread_id AND other.id <> runs.id
                AND (other.status = 'running' OR (other.status = 'pending' AND other.id < runs.id)))
    RETURNING id, attempt, owner_id, agent_id, thread_id, thread_key, stream, input, command, context, options, timeout_s, "then",
        last_event
), bumped AS (
    INSERT INTO streams (name, last_seq, trimmed_seq) SELECT stream, 1, 0 FROM taken WHERE stream IS NOT NULL AND attempt = 1
    ON CONFLICT (name) DO UPDATE SET last_seq = streams.last_seq + 1 RETURNING last_seq
), said AS (
    INSERT INTO events (stream, seq, run_id, run_seq, type, data, created_at)
    SELECT stream, last_seq, id, last_event, 'run', %(began)s, %(now)s FROM taken LEFT JOIN bumped ON true WHERE attempt = 1
    RETURNING seq
), busy AS (
    UPDATE threads SET status = 'busy' FROM taken WHERE threads.id = taken.thread_key AND threads.status <> 'busy'
)
SELECT taken.*, (SELECT seq FROM said) AS seq FROM taken
"""

# The same for whichever runs have waited longest; one that somebody else is just looking at is theirs.
CLAIM_DUE = """
WITH alive AS (
    SELECT id FROM workers WHERE id = %(worker_id)s FOR KEY SHARE
), candidates AS (
    SELECT runs.id FROM runs, alive
    WHERE status = 'pending' AND NOT is_alone AND (available_at IS NULL OR available_at <= %(now)s)
        AND NOT EXISTS (
            SELECT FROM runs other WHERE other.thread_id = runs.thread_id AND other.id <> runs.id
                AND (other.status = 'running' OR (other.status = 'pending' AND other.id < runs.id)))
    ORDER BY woken_at LIMIT %(limit)s FOR UPDATE OF runs SKIP LOCKED
), taken AS (
    UPDATE runs SET status = 'running', attempt = attempt + 1, worker_id = %(worker_id)s, updated_at = %(now)s,
        started_at = coalesce(started_at, %(now)s), last_event = last_event + CASE attempt WHEN 0 THEN 1 ELSE 0 END
    FROM candidates WHERE runs.id = candidates.id
    RETURNING runs.id, attempt, owner_id, agent_id, thread_id, thread_key, stream, input, command, context, options, timeout_s, "then",
        last_event
), needed AS (
    SELECT stream, count(*) AS n FROM taken WHERE stream IS NOT NULL AND attempt = 1 GROUP BY stream
), bumped AS (
    INSERT INTO streams (name, last_seq, trimmed_seq) SELECT stream, n, 0 FROM needed ORDER BY stream
    ON CONFLICT (name) DO UPDATE SET last_seq = streams.last_seq + excluded.last_seq RETURNING name, last_seq
), said AS (
    INSERT INTO events (stream, seq, run_id, run_seq, type, data, created_at)
    SELECT taken.stream, bumped.last_seq - needed.n + row_number() OVER (PARTITION BY taken.stream ORDER BY taken.id), taken.id,
        taken.last_event, 'run', '{"run_id":"' || taken.id || '","status":"running","attempt":1}', %(now)s
    FROM taken LEFT JOIN needed ON needed.stream = taken.stream LEFT JOIN bumped ON bumped.name = taken.stream WHERE attempt = 1
    RETURNING run_id, seq
), busy AS (
    UPDATE threads SET status = 'busy' FROM taken WHERE threads.id = taken.thread_key AND threads.status <> 'busy'
)
SELECT taken.*, said.seq FROM taken LEFT JOIN said ON said.run_id = taken.id ORDER BY taken.id
"""

# What is given: an array of runs (their attempt, how many events, and how they ended if they did) and an array of events.
# Only runs that this attempt still holds are touched, and only if their log is as long as the writer knows it to be, so that a write
# whose answer was lost is not made twice; the events of the others are passed over.
WRITE = """
WITH asked AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(bases)s::int[], %(counts)s::int[], %(statuses)b::text[],
        %(outputs)b::text[], %(values)b::text[], %(errors)b::text[], %(interrupts)b::text[], %(over)s::bool[], %(followed)s::bool[])
        AS asked(id, attempt, base, n, status, output, values, error, interrupts, is_over, is_followed)
), held AS (
    SELECT asked.* FROM runs JOIN asked ON runs.id = asked.id AND runs.attempt = asked.attempt
    WHERE runs.status = 'running' AND runs.last_event = asked.base ORDER BY runs.id FOR NO KEY UPDATE OF runs
), moved AS (
    UPDATE runs SET last_event = last_event + held.n,
        status = coalesce(held.status, runs.status),
        updated_at = CASE WHEN held.status IS NULL THEN runs.updated_at ELSE %(now)s END,
        output = CASE WHEN held.status IS NULL THEN runs.output WHEN held.status IN ('success', 'interrupted', 'cancelled')
            THEN coalesce(held.output, held.values)::json ELSE held.output::json END,
        error = CASE WHEN held.status IS NULL THEN runs.error
            WHEN held.status = 'cancelled' THEN coalesce(nullif(runs.error::text, 'null'), held.error)::json ELSE held.error::json END,
        interrupts = CASE WHEN held.status IS NULL THEN runs.interrupts ELSE held.interrupts::json END,
        command = CASE WHEN held.status IS NULL OR held.status = 'pending' THEN runs.command END,
        worker_id = CASE WHEN held.status IS NULL THEN runs.worker_id END,
        woken_at = CASE WHEN held.status = 'pending' THEN %(now)s ELSE runs.woken_at END,
        finished_at = CASE WHEN held.is_over THEN %(now)s ELSE runs.finished_at END,
        then_due_at = CASE WHEN held.is_over AND (held.is_followed OR runs."then" IS NOT NULL) THEN %(now)s ELSE runs.then_due_at END
    FROM held WHERE runs.id = held.id
    RETURNING runs.id, runs.attempt, held.base, runs.status, runs.cancel_requested_at, runs.thread_key, held.is_over, held.values,
        held.error, held.interrupts, CASE WHEN held.is_over AND NOT held.is_followed THEN runs."then" END AS "then"
), settled AS (
    UPDATE threads SET updated_at = %(now)s,
        status = CASE WHEN EXISTS (SELECT FROM runs other
                WHERE other.thread_key = threads.id AND other.id <> moved.id AND other.status IN ('pending', 'running')) THEN 'busy'
            WHEN moved.status = 'interrupted' OR moved.interrupts NOT IN ('null', '[]') THEN 'interrupted'
            WHEN moved.status IN ('error', 'timeout') THEN 'error' ELSE 'idle' END,
        values = coalesce(moved.values::json, threads.values),
        state_updated_at = CASE WHEN moved.values IS NULL THEN threads.state_updated_at ELSE %(now)s END,
        interrupts = moved.interrupts::json,
        error = CASE WHEN moved.status IN ('error', 'timeout') THEN moved.error::json END
    FROM moved WHERE moved.is_over AND threads.id = moved.thread_key
), given AS (
    SELECT moved.id AS run_id, moved.base + said.number AS run_seq, said.stream, said.type, said.data, said.created_at, said.ord
    FROM unnest(%(event_runs)s::uuid[], %(event_attempts)s::int[], %(event_numbers)s::int[], %(event_streams)b::text[],
        %(event_types)b::text[], %(event_data)b::text[], %(event_moments)s::timestamptz[])
        WITH ORDINALITY AS said(run_id, attempt, number, stream, type, data, created_at, ord)
    JOIN moved ON moved.id = said.run_id AND moved.attempt = said.attempt
), needed AS (
    SELECT stream, count(*) AS n FROM given WHERE stream IS NOT NULL GROUP BY stream
), bumped AS (
    INSERT INTO streams (name, last_seq, trimmed_seq) SELECT stream, n, 0 FROM needed ORDER BY stream
    ON CONFLICT (name) DO UPDATE SET last_seq = streams.last_seq + excluded.last_seq RETURNING name, last_seq
), stored AS (
    INSERT INTO events (stream, seq, run_id, run_seq, type, data, created_at)
    SELECT given.stream, bumped.last_seq - needed.n + row_number() OVER (PARTITION BY given.stream ORDER BY given.ord),
        given.run_id, given.run_seq, given.type, given.data, given.created_at
    FROM given LEFT JOIN needed ON needed.stream = given.stream LEFT JOIN bumped ON bumped.name = given.stream
    ORDER BY given.ord RETURNING run_id, run_seq, seq
)
SELECT moved.id, moved.attempt, moved.status, moved."then",
    moved.cancel_requested_at IS NOT NULL AND NOT moved.is_over AS is_unwanted,
    (SELECT array_agg(seq ORDER BY run_seq) FROM stored WHERE stored.run_id = moved.id) AS seqs
FROM moved
"""

# Which of the writes, made once before without an answer, were committed.
MADE = """
SELECT runs.id, runs.attempt, runs.status, NULL AS "then", runs.cancel_requested_at IS NOT NULL AND runs.finished_at IS NULL AS is_unwanted,
    array_agg(events.seq ORDER BY events.run_seq) AS seqs
FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(bases)s::int[], %(counts)s::int[]) AS asked(id, attempt, base, n)
JOIN runs ON runs.id = asked.id AND runs.attempt = asked.attempt
JOIN events ON events.run_id = asked.id AND events.run_seq > asked.base AND events.run_seq <= asked.base + asked.n
GROUP BY runs.id
"""

WAITING = """
SELECT DISTINCT ON (thread_id) id, is_alone FROM runs WHERE thread_id = ANY(%s) AND status = 'pending' ORDER BY thread_id, id
"""


@dataclass(frozen=True)
class Claimed:
    """A run as its new holder gets it, and the event that tells of it (None for a later attempt, which tells by itself)."""

    row: Any
    event: Event | None


@dataclass(frozen=True)
class End:
    """How an attempt ended: how the run did, or that it waits for a human (`interrupted`) or for a worker (`pending`).

    values: the state, as JSON text, that is now its thread's.
    is_over: nothing more will happen to the run. is_followed: a task is due then.
    """

    status: str
    output: dict[str, Any] | None
    values: bytes | None
    error: dict[str, Any] | None
    interrupts: list[Any] | None
    is_over: bool
    is_followed: bool


@dataclass
class Entry:
    """What is to be written of one attempt at a run: its events in order, and its end if it has ended.

    base: the number of the run's last event before these.
    """

    run_id: uuid.UUID
    attempt: int
    thread_id: str | None
    base: int
    events: list[Event]
    end: End | None = None

    @property
    def key(self) -> tuple[uuid.UUID, int]:
        """The attempt that it belongs to."""
        return self.run_id, self.attempt


@dataclass(frozen=True)
class Noted:
    """What a write did.

    held: the (run, attempt) pairs whose lease was good. events: theirs, numbered.
    unwanted: the runs that wait for a human although somebody has cancelled them meanwhile.
    freed: the runs that may begin now, and whether alone.
    followed: (task, run) pairs of those that somebody has given a task to follow since they were claimed.
    """

    held: set[tuple[uuid.UUID, int]]
    events: list[Event]
    unwanted: list[uuid.UUID]
    freed: list[tuple[uuid.UUID, bool]]
    followed: list[tuple[str, uuid.UUID]]


class Ledger:
    """A connection of its own for one thread; connects at the first use, and anew after it was cut. Raises psycopg.Error."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: psycopg.Connection[Any] | None = None

    def claim(self, run_id: uuid.UUID, worker_id: uuid.UUID, *, alone: bool) -> Claimed | None:
        """Take a pending run, or None when it is not to be had now."""
        moment = now()
        values = {"run_id": run_id, "worker_id": worker_id, "alone": alone, "now": moment, "began": _began(run_id).decode()}
        try:
            row = self._claim(CLAIM, values).fetchone()
        except psycopg.errors.UniqueViolation:  # another run of the thread was claimed at the same moment
            return None
        return None if row is None else _claimed(row, moment)

    def claim_due(self, worker_id: uuid.UUID, *, limit: int) -> list[Claimed]:
        """Take the pending runs that have waited longest, at most so many; none when another claim was in the way."""
        moment = now()
        try:
            rows = self._claim(CLAIM_DUE, {"worker_id": worker_id, "limit": limit, "now": moment}).fetchall()
        except psycopg.errors.UniqueViolation:
            return []
        return [_claimed(row, moment) for row in rows]

    def _claim(self, sql: str, values: dict[str, Any]) -> psycopg.Cursor[Any]:
        """Ask once more over a new connection when the old one was cut; a claim whose answer was lost is found as a stray."""
        try:
            return self._execute(sql, values)
        except psycopg.OperationalError:
            return self._execute(sql, values)

    def write(self, entries: Sequence[Entry], *, again: bool = False) -> Noted:
        """Write entries; those whose lease is lost are passed over, whole.

        again: the last write of these entries had no answer; what it did commit is found, and not made twice.
        """
        rows = self._execute(MADE, _arrays(entries)).fetchall() if again else []
        made = {(row.id, row.attempt) for row in rows}
        rest = [entry for entry in entries if entry.key not in made]
        if rest:
            rows += self._execute(WRITE, _arrays(rest)).fetchall()
        found = {(row.id, row.attempt): row for row in rows}
        mine = [entry for entry in entries if entry.key in found]
        events = [event for entry in mine for event in _numbered(entry, found[entry.key])]
        unwanted = [row.id for row in rows if row.is_unwanted and row.status == "interrupted"]
        followed = [(row.then, row.id) for row in rows if row.then is not None]
        return Noted(set(found), events, unwanted, self._freed_by(mine), followed)

    def _freed_by(self, entries: Sequence[Entry]) -> list[tuple[uuid.UUID, bool]]:
        threads = [entry.thread_id for entry in entries if entry.end is not None and entry.thread_id is not None]
        return [(row.id, row.is_alone) for row in self._execute(WAITING, [threads])] if threads else []

    def _execute(self, sql: str, values: Any) -> psycopg.Cursor[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=5, prepare_threshold=2, application_name=self._name, row_factory=namedtuple_row
            )
        return self._connection.execute(sql, values)


def _began(run_id: uuid.UUID) -> bytes:
    return b'{"run_id":"%s","status":"running","attempt":1}' % str(run_id).encode()


def _claimed(row: Any, moment: dt.datetime) -> Claimed:
    event = Event(row.stream, row.seq, row.id, row.last_event, "run", _began(row.id), moment) if row.attempt == 1 else None
    return Claimed(row, event)


def _numbered(entry: Entry, row: Any) -> list[Event]:
    seqs = row.seqs or [None] * len(entry.events)
    pairs = enumerate(zip(entry.events, seqs, strict=True), start=entry.base + 1)
    return [replace(event, run_seq=run_seq, seq=seq) for run_seq, (event, seq) in pairs]


def _arrays(entries: Sequence[Entry]) -> dict[str, Any]:
    """The parameters of WRITE."""
    ends = [entry.end for entry in entries]
    said = [(entry, number, event) for entry in entries for number, event in enumerate(entry.events, start=1)]
    return {
        "now": now(),
        "ids": [entry.run_id for entry in entries],
        "attempts": [entry.attempt for entry in entries],
        "bases": [entry.base for entry in entries],
        "counts": [len(entry.events) for entry in entries],
        "statuses": [end and end.status for end in ends],
        "outputs": [_json(end and end.output) for end in ends],
        "values": [end and end.values and end.values.decode() for end in ends],
        "errors": [_json(end and end.error) for end in ends],
        "interrupts": [_json(end and end.interrupts) for end in ends],
        "over": [end is not None and end.is_over for end in ends],
        "followed": [end is not None and end.is_followed for end in ends],
        "event_runs": [entry.run_id for entry, _, _ in said],
        "event_attempts": [entry.attempt for entry, _, _ in said],
        "event_numbers": [number for _, number, _ in said],
        "event_streams": [event.stream for _, _, event in said],
        "event_types": [event.type for _, _, event in said],
        "event_data": [event.data.decode() for _, _, event in said],
        "event_moments": [event.created_at for _, _, event in said],
    }


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, default=str).decode()
