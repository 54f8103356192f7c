"""What callers do with threads: make, change, copy, thin out, delete. What the state of one holds is asked of a worker.

Rows are locked in the order in which those lock who write runs: the runs of a thread first, by id, then the thread.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from server.agents import catalogue
from server.kit import queue
from server.kit.asking import ask
from server.kit.clock import after, new_id, now
from server.kit.db import after_commit, commit, db, release
from server.kit.errors import Conflict, Invalid, NotFound, Refusal, Unavailable
from server.realtime import control, log
from server.realtime.models import EventRow
from server.runs.actions import FORGET
from server.runs.models import Run
from server.runs.threads import states
from server.runs.threads.models import Thread, named, stream_of

__all__ = [
    "ACTIVE",
    "KEEP_LATEST",
    "THIN_OUT",
    "IfExists",
    "NotAName",
    "ThreadExists",
    "ThreadInUse",
    "ThreadNotFound",
    "add",
    "copied",
    "copy",
    "create",
    "delete",
    "delete_of_assistant",
    "drop",
    "held",
    "own",
    "prune",
    "settle",
    "sweep_expired",
    "temporary",
    "update",
]

logger = logging.getLogger(__name__)

IfExists = Literal["raise", "do_nothing"]
Ttl = Mapping[str, Any]

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
# The question that thins threads out, the task that does it when their time is up, and the question that copies one.
KEEP_LATEST = "threads.keep_latest"
THIN_OUT = "threads.thin_out"
COPY = "threads.copy"
# Work on whole histories may take longer than a look at a state.
LONG_S = 60.0
ACTIVE = ("pending", "running")


class ThreadNotFound(NotFound):
    """Thread not found"""

    code = "thread_not_found"


class ThreadExists(Conflict):
    """Thread already exists"""

    code = "thread_exists"


class ThreadInUse(Conflict):
    """The thread has runs that are not done; its state cannot be changed meanwhile."""

    code = "thread_busy"


class NotAName(Invalid):
    """Invalid thread ID: must be 1 to 128 letters, digits, dots, underscores or dashes"""

    code = "invalid_thread_id"


def own(owner_id: uuid.UUID, name: str) -> Thread:
    """The owner's thread of that name. Raises ThreadNotFound, also for somebody else's; NotAName."""
    thread = named(owner_id, _checked(name))
    if thread is None:
        raise ThreadNotFound(f"Thread with ID {name} not found")
    return thread


# -- making ------------------------------------------------------------------------------------------------------------


def add(
    owner_id: uuid.UUID,
    name: str | None = None,
    about: Mapping[str, Any] | None = None,
    ttl: Ttl | None = None,
    if_exists: IfExists = "raise",
) -> Thread:
    """A thread in the caller's transaction; the one that is there already, unchanged, with `do_nothing`. Safe to race.

    name: what its owner calls it; None for its id as text.
    ttl: {"ttl": minutes, "strategy"}; None for what the server's configuration says.
    Raises ThreadExists, NotAName.
    """
    thread = _inserted(owner_id, name, about, ttl)
    if thread is not None:
        return thread
    if if_exists == "raise":
        raise ThreadExists(f"Thread with ID {name} already exists")
    return own(owner_id, name or "")


def create(
    owner_id: uuid.UUID,
    name: str | None = None,
    about: Mapping[str, Any] | None = None,
    ttl: Ttl | None = None,
    if_exists: IfExists = "raise",
    supersteps: Sequence[Mapping[str, Any]] = (),
) -> Thread:
    """`add`, committed; with supersteps, a new thread has the state that they write, or is not there at all.

    supersteps: [{"updates": [{"values", "command", "as_node"}]}]. Raises what `write` does.
    """
    made = _inserted(owner_id, name, about, ttl)
    thread = made or add(owner_id, name, about, ttl, if_exists)
    if made is not None and supersteps:
        states.place(made)
    commit()
    if made is None or not supersteps:
        return thread
    key = made.id
    try:
        states.write(key, [each["updates"] for each in supersteps])
    except Refusal:
        drop([key])
        commit()
        raise
    return db.session.get_one(Thread, key, populate_existing=True)


def temporary(owner_id: uuid.UUID, *, about: Mapping[str, Any] | None = None, expires_at: dt.datetime | None = None) -> Thread:
    """A busy thread for one run that named none, in the caller's transaction; it goes at that time, and stays where there is none."""
    key = new_id()
    thread = Thread(id=key, owner_id=owner_id, name=str(key), about=dict(about or {}), status="busy", config={})
    thread.is_temporary = expires_at is not None
    thread.expires_at = expires_at
    db.session.add(thread)
    return thread


def _inserted(owner_id: uuid.UUID, name: str | None, about: Mapping[str, Any] | None, ttl: Ttl | None) -> Thread | None:
    """A new thread; None where the owner has one of that name."""
    key, moment = new_id(), now()
    kept, expires_at = _lifetime(ttl or _default_ttl())
    row = {
        "id": key,
        "owner_id": owner_id,
        "name": str(key) if name is None else _checked(name),
        "about": dict(about or {}),
        "status": "idle",
        "config": {},
        "is_temporary": False,
        "ttl": kept,
        "expires_at": expires_at,
        "created_at": moment,
        "updated_at": moment,
    }
    made = insert(Thread).values(row).on_conflict_do_nothing().returning(Thread)
    return db.session.scalars(sa.select(Thread).from_statement(made)).one_or_none()


def _checked(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise NotAName
    return name


def _default_ttl() -> Ttl | None:
    """How long a thread lives that names no time of its own."""
    default = catalogue.config().thread_ttl
    if default is None or default.default_minutes is None:
        return None
    return {"ttl": default.default_minutes, "strategy": default.strategy}


def _lifetime(ttl: Ttl | None) -> tuple[dict[str, Any] | None, dt.datetime | None]:
    """A time to live as it is kept, and when it is over, from now."""
    if ttl is None or ttl.get("ttl") is None:
        return None, None
    return {"strategy": ttl.get("strategy") or "delete", "ttl": ttl["ttl"]}, after(ttl["ttl"] * 60)


# -- changing ----------------------------------------------------------------------------------------------------------


def update(owner_id: uuid.UUID, name: str, *, about: Mapping[str, Any] | None = None, ttl: Ttl | None = None) -> Thread:
    """Merge metadata into a thread's own, key by key, and give it a time to live from now. Raises ThreadNotFound."""
    thread = own(owner_id, name)
    db.session.refresh(thread, with_for_update=True)
    thread.about = {**thread.about, **(about or {})}
    if ttl is not None:
        thread.ttl, thread.expires_at = _lifetime(ttl)
    thread.updated_at = now()
    commit()
    return thread


def held(key: uuid.UUID) -> Thread:
    """The thread, so that no run of it begins until the caller's transaction ends. Raises ThreadInUse, ThreadNotFound."""
    thread = db.session.get(Thread, key, with_for_update=True, populate_existing=True)
    if thread is None:
        raise ThreadNotFound
    if db.session.scalar(sa.select(Run.id).where(Run.thread_key == key, Run.status.in_(ACTIVE)).limit(1)) is not None:
        raise ThreadInUse
    return thread


def settle(key: uuid.UUID) -> None:
    """Let a thread's status follow from its runs, in the caller's transaction: busy while one is not done; else as the last one that
    has begun ended, unless the state was changed after that."""
    thread = db.session.get(Thread, key, with_for_update=True, populate_existing=True)
    if thread is None:
        return
    mine = sa.select(Run).where(Run.thread_key == key)
    if db.session.scalar(mine.where(Run.status.in_(ACTIVE)).with_only_columns(Run.id).limit(1)) is not None:
        thread.status = "busy"
        return
    last = db.session.scalars(mine.where(Run.started_at.is_not(None)).order_by(Run.id.desc()).limit(1)).one_or_none()
    is_failed = last is not None and last.status in ("error", "timeout") and not _is_changed_since(thread, last)
    thread.status = "error" if is_failed else "interrupted" if thread.interrupts else "idle"
    thread.error = last.error if is_failed and last is not None else None


def _is_changed_since(thread: Thread, run: Run) -> bool:
    ended, changed = run.finished_at, thread.state_updated_at
    return ended is not None and changed is not None and changed > ended


# -- copying and thinning out ------------------------------------------------------------------------------------------


def copy(owner_id: uuid.UUID, name: str) -> Thread:
    """A new thread with the metadata, the state and the whole history of this one. Raises ThreadNotFound."""
    key = own(owner_id, name).id
    release()
    return db.session.get_one(Thread, uuid.UUID(ask(COPY, {"key": key}, timeout_s=LONG_S)))


def copied(source: Thread, key: uuid.UUID) -> Thread:
    """The row of a thread's copy, in the caller's transaction. A copy of a thread that is busy waits for nobody."""
    lifetime, expires_at = _lifetime(source.ttl)
    is_busy = source.status == "busy"
    thread = Thread(
        id=key,
        owner_id=source.owner_id,
        name=str(key),
        about=dict(source.about),
        config=dict(source.config),
        status="idle" if is_busy else source.status,
        values=source.values,
        interrupts=None if is_busy else source.interrupts,
        error=None if is_busy else source.error,
        ttl=lifetime,
        expires_at=expires_at,
        state_updated_at=source.state_updated_at,
    )
    db.session.add(thread)
    return thread


def prune(owner_id: uuid.UUID, names: Sequence[str], strategy: Literal["delete", "keep_latest"]) -> int:
    """Delete threads, or all of their history but the newest state; how many. Threads that the owner has not are passed over."""
    wanted = {_checked(name) for name in names}
    keys = list(db.session.scalars(sa.select(Thread.id).where(Thread.owner_id == owner_id, Thread.name.in_(wanted))))
    if strategy == "keep_latest":
        release()
        return len(ask(KEEP_LATEST, {"keys": keys}, timeout_s=LONG_S)) if keys else 0
    dropped = drop(keys)
    commit()
    return dropped


# -- deleting ----------------------------------------------------------------------------------------------------------


def delete(owner_id: uuid.UUID, name: str) -> None:
    """Delete a thread with its runs, which stop, their events and its state. Raises ThreadNotFound."""
    drop([own(owner_id, name).id])
    commit()


def delete_of_assistant(owner_id: uuid.UUID, assistant_id: uuid.UUID) -> int:
    """Delete, in the caller's transaction, the owner's threads whose last run was of this assistant; how many."""
    theirs = Thread.about.contains({"assistant_id": str(assistant_id)})
    return drop(list(db.session.scalars(sa.select(Thread.id).where(Thread.owner_id == owner_id, theirs))))


def drop(keys: Sequence[uuid.UUID]) -> int:
    """Delete threads in the caller's transaction, with everything of theirs; how many there were. Their state goes after the commit."""
    if not keys:
        return 0
    theirs = sa.select(Run.id, Run.status).where(Run.thread_key.in_(keys)).order_by(Run.id).with_for_update()
    runs = db.session.execute(theirs).all()
    db.session.execute(sa.select(Thread.id).where(Thread.id.in_(keys)).order_by(Thread.id).with_for_update())
    db.session.execute(sa.delete(Run).where(Run.thread_key.in_(keys)))
    dropped = list(db.session.scalars(sa.delete(Thread).where(Thread.id.in_(keys)).returning(Thread.id)))
    db.session.execute(sa.delete(EventRow).where(EventRow.run_id.in_([run_id for run_id, _ in runs])))
    for stream in sorted(stream_of(key) for key in keys):
        log.drop_stream(stream)
    for run_id, status in runs:
        if status == "running":
            after_commit(partial(control.tell, "runs.cancel", run_id=str(run_id)))
    after_commit(partial(_quietly, FORGET, keys))
    return len(dropped)


def sweep_expired(limit: int = 1000) -> int:
    """Do to the threads whose time is up what is to be done to them, the oldest first; how many. One that is busy waits. Commits."""
    due = sa.select(Thread.id, Thread.ttl).where(Thread.expires_at < now(), Thread.status != "busy")
    found = db.session.execute(due.order_by(Thread.expires_at).limit(limit).with_for_update(skip_locked=True)).all()
    kept = {key: ttl for key, ttl in found if ttl and ttl.get("strategy") == "keep_latest"}
    for key, ttl in kept.items():
        db.session.execute(sa.update(Thread).where(Thread.id == key).values(expires_at=_lifetime(ttl)[1]))
    if kept:
        after_commit(partial(_quietly, THIN_OUT, list(kept)))
    drop([key for key, _ in found if key not in kept])
    commit()
    return len(found)


def _quietly(task: str, keys: Sequence[uuid.UUID]) -> None:
    send: Callable[[], None] = partial(queue.send, task, *map(str, keys), lane="fast")
    try:
        send()
    except Unavailable:
        logger.warning("threads.task_not_sent", extra={"facts": {"task": task, "threads": len(keys)}})
