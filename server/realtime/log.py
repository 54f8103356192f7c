"""The event log: numbers are taken and events stored in the writer's own transaction; readers see them when it commits.

Lock order, so that writers never wait for each other in a circle: rows of runs first, then rows of streams by name.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import redis
import sqlalchemy as sa
from sqlalchemy import Connection

from server.kit.clock import now
from server.kit.db import after_commit, db, reading
from server.kit.errors import Gone
from server.kit.redis import client
from server.realtime.events import Event, Log, frames
from server.realtime.models import EventRow, Stream

__all__ = ["LogTrimmed", "append", "drop_stream", "last_number", "number_streams", "publish", "read", "store", "trim"]

log = logging.getLogger(__name__)

PAGE = 500


class LogTrimmed(Gone):
    """The log no longer keeps the events after that number."""

    code = "log_trimmed"


def number_streams(connection: Connection, events: Sequence[Event]) -> list[Event]:
    """The events with the next numbers of their streams; the streams' rows stay locked until the transaction ends."""
    counts = Counter(event.stream for event in events if event.stream is not None)
    if not counts:
        return list(events)
    names = sorted(counts)
    rows = connection.execute(
        sa.text(
            "INSERT INTO streams (name, last_seq, trimmed_seq) "
            "SELECT name, n, 0 FROM unnest(CAST(:names AS text[]), CAST(:counts AS bigint[])) AS wanted(name, n) ORDER BY name "
            "ON CONFLICT (name) DO UPDATE SET last_seq = streams.last_seq + excluded.last_seq RETURNING name, last_seq"
        ),
        {"names": names, "counts": [counts[name] for name in names]},
    ).all()
    upcoming = {name: last_seq - counts[name] + 1 for name, last_seq in rows}
    numbered = []
    for event in events:
        if event.stream is None:
            numbered.append(event)
            continue
        numbered.append(replace(event, seq=upcoming[event.stream]))
        upcoming[event.stream] += 1
    return numbered


def store(connection: Connection, events: Sequence[Event]) -> None:
    """Insert numbered events."""
    if not events:
        return
    connection.execute(
        sa.text(
            "INSERT INTO events (stream, seq, run_id, run_seq, type, data, created_at) SELECT * FROM unnest("
            "CAST(:streams AS text[]), CAST(:seqs AS bigint[]), CAST(:run_ids AS uuid[]), CAST(:run_seqs AS bigint[]), "
            "CAST(:types AS text[]), CAST(:data AS text[]), CAST(:moments AS timestamptz[]))"
        ),
        {
            "streams": [event.stream for event in events],
            "seqs": [event.seq for event in events],
            "run_ids": [event.run_id for event in events],
            "run_seqs": [event.run_seq for event in events],
            "types": [event.type for event in events],
            "data": [event.data.decode() for event in events],
            "moments": [event.created_at for event in events],
        },
    )


def publish(events: Sequence[Event]) -> None:
    """Ring for committed events. When Redis is away nobody hears it, and nothing is lost: readers look at the log."""
    if not events:
        return
    try:
        with client().pipeline(transaction=False) as pipe:
            for channel, frame in frames(list(events)):
                pipe.publish(channel, frame)
            pipe.execute()
    except redis.RedisError:
        log.warning("realtime.publish_failed", extra={"facts": {"events": len(events)}})


def read(source: Log, *, after: int, limit: int = PAGE) -> list[Event]:
    """The next events of a log after a number, in order; at most `limit`. Raises LogTrimmed when they are no longer kept."""
    mine = EventRow.run_id == uuid.UUID(source.name) if source.kind == "run" else EventRow.stream == source.name
    number = EventRow.run_seq if source.kind == "run" else EventRow.seq
    columns = sa.select(EventRow.stream, EventRow.seq, EventRow.run_id, EventRow.run_seq, EventRow.type, EventRow.data, EventRow.created_at)
    with reading() as connection:
        rows = connection.execute(columns.where(mine, number > after).order_by(number).limit(limit)).all()
        events = [Event(*row[:5], row[5].encode(), row[6]) for row in rows]
        if _lacks_first(connection, source, after, events):
            raise LogTrimmed
    return events


def _lacks_first(connection: Connection, source: Log, after: int, events: Sequence[Event]) -> bool:
    """Whether the event after that number is no longer kept. Numbers have no gaps, so one that is missing was trimmed."""
    if events and events[0].number_in(source) == after + 1:
        return False
    return bool(events) if source.kind == "run" else _trimmed(connection, source.name) > after


def _trimmed(connection: Connection, stream: str) -> int:
    return connection.scalar(sa.select(Stream.trimmed_seq).where(Stream.name == stream)) or 0


def last_number(stream: str) -> int:
    """The number of the newest event of a stream; 0 for one without events."""
    return db.session.scalar(sa.select(Stream.last_seq).where(Stream.name == stream)) or 0


def drop_stream(stream: str) -> None:
    """Forget a stream and its events, in the caller's transaction."""
    db.session.execute(sa.delete(EventRow).where(EventRow.stream == stream))
    db.session.execute(sa.delete(Stream).where(Stream.name == stream))


def trim(*, before: dt.datetime, keep_runs: Sequence[uuid.UUID], keep_streams: Sequence[str], limit: int = 10_000) -> int:
    """Delete at most `limit` events older than `before`, oldest first, and note in each stream how far; how many went.

    keep_runs, keep_streams: what is still in progress and loses nothing. Commits nothing.
    """
    oldest = (
        sa.select(EventRow.id)
        .where(EventRow.created_at < before)
        .where(sa.or_(EventRow.run_id.is_(None), EventRow.run_id.not_in(keep_runs)))
        .where(sa.or_(EventRow.stream.is_(None), EventRow.stream.not_in(keep_streams)))
        .order_by(EventRow.id)
        .limit(limit)
    )
    gone = db.session.execute(sa.delete(EventRow).where(EventRow.id.in_(oldest)).returning(EventRow.stream, EventRow.seq)).all()
    furthest: dict[str, int] = {}
    for stream, seq in gone:
        if stream is not None and seq is not None:
            furthest[stream] = max(seq, furthest.get(stream, 0))
    for stream in sorted(furthest):
        reached = sa.func.greatest(Stream.trimmed_seq, furthest[stream])
        db.session.execute(sa.update(Stream).where(Stream.name == stream).values(trimmed_seq=reached))
    return len(gone)


def append(stream: str, kind: str, data: dict[str, Any]) -> Event:
    """Append an event that no run did to a stream, in the caller's transaction; published after the commit. Gives it numbered."""
    connection = db.session.connection()
    event = Event(stream, None, None, None, kind, orjson.dumps(data), now())
    numbered = number_streams(connection, [event])
    store(connection, numbered)
    after_commit(lambda: publish(numbered))
    return numbered[0]
