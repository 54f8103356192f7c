"""Accepting a program's run: the thread and the run in one statement, because it is done for every run.

The statement counts what the owner has waiting, makes the thread (or marks the one that is there as busy), and stores the run; all or
nothing, whether the session's transaction has more in it or each statement stands by itself.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy.exc import IntegrityError

from server.kit import redis
from server.kit.clock import new_id, now
from server.kit.db import after_commit, db
from server.kit.errors import Conflict, Refusal, Unavailable
from server.runs.actions import QueueFull, wake
from server.runs.models import Run
from server.runs.threads.actions import ThreadNotFound

__all__ = ["Accepted", "NothingToResume", "SameKey", "accept"]

NEW_THREAD = """
    INSERT INTO threads (id, owner_id, name, metadata, status, config, is_temporary, expires_at, created_at, updated_at)
    SELECT %(thread_key)s, %(owner_id)s, %(thread_name)s, %(names)s, 'busy', '{}', %(expires_at)s::timestamptz IS NOT NULL, %(expires_at)s,
        %(now)s, %(now)s
    FROM crowd WHERE n < %(max_queued)s RETURNING id
"""
OLD_THREAD = """
    UPDATE threads SET status = 'busy', updated_at = %(now)s, metadata = metadata || %(names)s::jsonb,
        config = CASE WHEN %(config)s::json IS NULL THEN config ELSE %(config)s::json END
    FROM crowd WHERE id = %(thread_key)s AND owner_id = %(owner_id)s AND n < %(max_queued)s
        AND (NOT %(is_answer)s OR status = 'interrupted') RETURNING id
"""
ACCEPT = """
WITH crowd AS (
    SELECT count(*) AS n FROM (
        SELECT FROM runs WHERE owner_id = %(owner_id)s AND status IN ('pending', 'running') LIMIT %(max_queued)s) AS waiting
), home AS ({home}), made AS (
    INSERT INTO runs (id, owner_id, agent_id, thread_id, thread_key, assistant_id, idempotency_key, stream, status, input, options,
        metadata, context, timeout_s, available_at, "then", attempt, deaths, is_alone, last_event, created_at, updated_at, woken_at)
    SELECT %(id)s, %(owner_id)s, %(agent_id)s, %(thread_key)s::text, %(thread_key)s, %(assistant_id)s, %(idempotency_key)s, %(stream)s,
        'pending', %(input)s, %(options)s, %(about)s, %(context)s, %(timeout_s)s, %(available_at)s, %(then)s, 0, 0, false, 0,
        %(now)s, %(now)s, %(now)s
    FROM home RETURNING id
)
SELECT (SELECT n FROM crowd), (SELECT id FROM made), EXISTS (SELECT FROM threads WHERE id = %(thread_key)s AND owner_id = %(owner_id)s)
"""
SQL = {True: ACCEPT.replace("{home}", NEW_THREAD), False: ACCEPT.replace("{home}", OLD_THREAD)}


class NothingToResume(Conflict):
    """The thread waits for no answer."""

    code = "nothing_asked"


class SameKey(Exception):
    """The owner has a run under this idempotency key."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A run that a program asks for, and the thread that it is to run on.

    thread_key: of the owner's thread; with `is_new_thread` of one that is made now, and goes at `expires_at` (None: stays).
    names: what is noted of the run on its thread. config: what its thread was configured with last; None leaves it.
    is_answer: it answers what the thread is asking; of several answers at once the first is accepted.
    options: see `engine.job.Options`. then: the task to queue when it has ended. available_at: not before.
    """

    owner_id: uuid.UUID
    agent_id: str
    thread_key: uuid.UUID
    thread_name: str
    is_new_thread: bool
    input: Any
    options: dict[str, Any]
    timeout_s: float
    names: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    expires_at: dt.datetime | None = None
    is_answer: bool = False
    id: uuid.UUID = field(default_factory=new_id)
    assistant_id: uuid.UUID | None = None
    idempotency_key: str | None = None
    stream: str | None = None
    about: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    available_at: dt.datetime | None = None
    then: str | None = None


def accept(wanted: Accepted, *, max_queued: int) -> Run:
    """The pending run, on its own (no object of the session); a worker is woken once the caller has committed.

    Raises Unavailable while the queue is away, so that nothing is accepted that may not begin; QueueFull; ThreadNotFound when the
    thread is gone, NothingToResume when it waits for no answer (any more); SameKey, after which the transaction is spoilt.
    """
    if not redis.is_up():
        raise Unavailable("The queue does not answer; nothing was stored. Try again.")
    moment = now()
    values = {**vars(wanted), "now": moment, "max_queued": max_queued}
    for name in ("input", "options", "about", "context", "names", "config"):
        values[name] = _json(values[name])
    try:
        found = db.session.connection().exec_driver_sql(SQL[wanted.is_new_thread], values).one()
    except IntegrityError:
        raise SameKey from None
    if found[1] is None:
        raise _why(found[0] >= max_queued, is_there=found[2])
    if wanted.available_at is None:
        after_commit(lambda: wake(wanted.id))
    return _run(wanted, moment)


def _why(is_full: bool, *, is_there: bool) -> Refusal:
    """Why nothing was accepted: a thread that is there has taken no answer because it waits for none."""
    if is_full:
        return QueueFull()
    return NothingToResume() if is_there else ThreadNotFound()


def _run(wanted: Accepted, moment: dt.datetime) -> Run:
    columns = {name: each for name, each in vars(wanted).items() if name in Run.__mapper__.attrs}
    run = Run(**columns, thread_id=str(wanted.thread_key), status="pending", attempt=0, last_event=0)
    run.created_at = run.updated_at = run.woken_at = moment
    return run


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
