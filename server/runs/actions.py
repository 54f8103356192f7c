"""What callers do with runs: start, cancel, answer. The caller's action commits; what has to be told is told after that."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import orjson
import sqlalchemy as sa

from server.kit import queue, redis
from server.kit.clock import now
from server.kit.db import after_commit, db
from server.kit.errors import Conflict, NotFound, TooMany, Unavailable
from server.realtime import control, log
from server.realtime.events import Event, of_run
from server.runs.models import Run
from server.runs.rules import may_move

__all__ = [
    "CANCELLED",
    "EXECUTE",
    "FORGET",
    "NothingAsked",
    "ROLL_BACK",
    "TAKE",
    "QueueFull",
    "RunNotFound",
    "answer",
    "cancel",
    "cancel_waiting",
    "end",
    "follow",
    "forget_stream",
    "history",
    "move",
    "note",
    "start",
    "then_done",
    "wake",
    "wake_any",
]

logger = logging.getLogger(__name__)

# The task that carries out a run; and the one that carries out whichever runs wait.
EXECUTE = "runs.execute"
TAKE = "runs.take"
# The task that forgets the state of threads.
FORGET = "runs.forget_threads"
# The task that takes a stopped run back, with what it has left in its thread.
ROLL_BACK = "threads.roll_back"
# What is so of a thread once a run of it has ended without a worker: its state stays as it was.
SETTLE = """
UPDATE threads SET updated_at = :now,
    status = CASE WHEN EXISTS (SELECT FROM runs other
            WHERE other.thread_key = threads.id AND other.id <> ended.id AND other.status IN ('pending', 'running')) THEN 'busy'
        WHEN threads.interrupts::text NOT IN ('null', '[]') THEN 'interrupted' WHEN ended.status IN ('error', 'timeout') THEN 'error'
        ELSE 'idle' END,
    error = CASE WHEN ended.status IN ('error', 'timeout') THEN ended.error END
FROM runs ended WHERE ended.id = :run_id AND threads.id = ended.thread_key
"""
# The error of a run that somebody cancelled.
CANCELLED = {"code": "cancelled", "message": "The run was cancelled.", "retryable": False}


class RunNotFound(NotFound):
    """Run not found"""


class NothingAsked(Conflict):
    """The run does not wait for an answer."""

    code = "nothing_asked"


class QueueFull(TooMany):
    """You have too many runs waiting; let some end first."""


def start(
    *,
    owner_id: uuid.UUID,
    agent_id: str,
    input: dict[str, Any],
    timeout_s: float,
    max_queued: int,
    thread_id: str | None = None,
    stream: str | None = None,
    context: dict[str, Any] | None = None,
    then: str | None = None,
) -> Run:
    """A new pending run in the caller's transaction; a worker is woken once that is committed.

    thread_id: the conversation it goes on with; runs of one thread are carried out one after the other.
    stream: a log besides its own that its events go to.
    then: name of the task to queue with the run's id when it has ended.
    Raises Unavailable while the queue is away, so that nothing is accepted that may not begin; QueueFull.
    """
    if not redis.is_up():
        raise Unavailable("The queue does not answer; nothing was stored. Try again.")
    waiting = sa.select(Run.id).where(Run.owner_id == owner_id, Run.status.in_(("pending", "running")))
    if db.session.scalar(waiting.offset(max_queued - 1).limit(1)) is not None:
        raise QueueFull
    run = Run(
        owner_id=owner_id,
        agent_id=agent_id,
        thread_id=thread_id,
        stream=stream,
        input=input,
        context=context or {},
        timeout_s=timeout_s,
        then=then,
    )
    db.session.add(run)
    db.session.flush()
    after_commit(lambda: wake(run.id))
    return run


def wake(run_id: uuid.UUID, *, alone: bool = False) -> None:
    """Ask any worker to claim the run, with whatever else waits; by its name, if it is to be carried out alone.

    When the queue is away the sweep asks again.
    """
    try:
        if alone:
            queue.send(EXECUTE, str(run_id))
        else:
            queue.ring(TAKE)
    except Unavailable:
        logger.warning("run.wake_failed", extra={"facts": {"run_id": run_id}})


def wake_any() -> None:
    """Ask any worker to claim whatever waits."""
    try:
        queue.ring(TAKE)
    except Unavailable:
        logger.warning("run.wake_failed")


def cancel(run_id: uuid.UUID, *, code: str = "cancelled", then: str | None = None) -> Run:
    """Stop a run in the caller's transaction: at once where nobody works on it, else its worker is asked to. Ended runs stay so.

    then: the task to queue when it has stopped, instead of the one that was to follow.
    """
    run = _locked(run_id)
    if run.is_over:
        return run
    run.then = then or run.then
    if run.status == "running":
        if run.cancel_requested_at is None:
            run.cancel_requested_at = now()
            run.error = {**CANCELLED, "code": code}
        after_commit(lambda: control.tell("runs.cancel", run_id=str(run_id)))
        return run
    end(run, "cancelled", error={**CANCELLED, "code": code})
    return run


def cancel_waiting(stream: str, thread_id: str) -> list[uuid.UUID]:
    """Cancel, in the caller's transaction, the runs of a thread that wait for a human, because something newer was said."""
    waiting = sa.select(Run.id).where(Run.stream == stream, Run.thread_id == thread_id, Run.status == "interrupted")
    run_ids = list(db.session.scalars(waiting.order_by(Run.id).with_for_update()))
    for run_id in run_ids:
        cancel(run_id, code="superseded")
    return run_ids


def forget_stream(stream: str) -> None:
    """Delete a stream with its events and its runs, in the caller's transaction; their workers stop, their state is forgotten."""
    there = sa.select(Run.id, Run.thread_id, Run.status).where(Run.stream == stream).order_by(Run.id).with_for_update()
    runs = db.session.execute(there).all()
    db.session.execute(sa.delete(Run).where(Run.id.in_([run_id for run_id, _, _ in runs])))
    log.drop_stream(stream)
    for run_id, _, status in runs:
        if status == "running":
            after_commit(partial(control.tell, "runs.cancel", run_id=str(run_id)))
    threads = sorted({thread_id for _, thread_id, _ in runs if thread_id is not None})
    if threads:
        after_commit(lambda: _quietly(lambda: queue.send(FORGET, *threads, lane="fast")))


def answer(run_id: uuid.UUID, value: Any, *, interrupt_id: str | None = None) -> Run:
    """Go on with a run that asked a human something, in the caller's transaction; the first answer wins.

    interrupt_id: which question is answered when there are several; None answers the only one (or all alike).
    Raises NothingAsked when the run waits for nothing, also when somebody was faster.
    """
    run = _locked(run_id)
    if run.status != "interrupted":
        raise NothingAsked
    asked = [each["id"] for each in run.interrupts or []]
    if interrupt_id is not None and interrupt_id not in asked:
        raise NothingAsked
    answered = asked if interrupt_id is None else [interrupt_id]
    run.command = {"resume": dict.fromkeys(answered, value)}
    move(run, "pending")
    run.woken_at = now()
    note(run, [("run", {"run_id": str(run.id), "status": "pending", "attempt": run.attempt})])
    after_commit(lambda: wake(run.id, alone=run.is_alone))
    return run


def end(run: Run, status: str, *, error: dict[str, Any] | None = None) -> None:
    """End a run that nobody holds, in the caller's transaction, with its last events; what follows is queued after the commit."""
    move(run, status)
    run.error = error
    run.interrupts = None
    run.finished_at = now()
    events: list[tuple[str, dict[str, Any]]] = []
    if error is not None and status != "cancelled":
        events.append(("error", {"run_id": str(run.id), **error}))
    events.append(("run", {"run_id": str(run.id), "status": status, "attempt": run.attempt}))
    note(run, events)
    if run.then is not None:
        run.then_due_at = now()
        after_commit(partial(follow, (run.then, run.id)))
    if run.thread_id is not None:
        after_commit(lambda: _wake_next(run.thread_id))
    if run.thread_key is not None:
        db.session.execute(sa.text(SETTLE), {"run_id": run.id, "now": now()})


def move(run: Run, status: str) -> None:
    """Change the status of a locked run. Raises Conflict for a move that does not exist."""
    if not may_move(run.status, status):
        raise Conflict(f"A run that is {run.status} cannot become {status}.")
    run.status = status
    run.updated_at = now()
    run.worker_id = None


def note(run: Run, happened: Sequence[tuple[str, dict[str, Any]]]) -> list[Event]:
    """Append events of a locked run to its logs, in the caller's transaction; published after the commit."""
    moment = now()
    events = [
        Event(run.stream, None, run.id, run.last_event + number, kind, orjson.dumps(data), moment)
        for number, (kind, data) in enumerate(happened, start=1)
    ]
    run.last_event += len(events)
    db.session.flush()
    connection = db.session.connection()
    numbered = log.number_streams(connection, events)
    log.store(connection, numbered)
    after_commit(lambda: log.publish(numbered))
    return numbered


def history(run: Run) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """What is still kept of a run's events, in order, as (number, type, data); the number is the one in its stream if it has one."""
    source = of_run(run.id)
    last = 0
    while page := log.read(source, after=last):
        for event in page:
            last = event.run_seq or last
            yield (event.seq if run.stream else event.run_seq) or 0, event.type, event.load()


def then_done(run_id: uuid.UUID) -> None:
    """Say, in the caller's transaction, that what was to follow a run was done."""
    db.session.execute(sa.update(Run).where(Run.id == run_id).values(then_due_at=None))


def follow(followed: tuple[str, uuid.UUID]) -> None:
    """Queue the task that follows a run. When the queue is away the sweep does it."""
    then, run_id = followed
    _quietly(lambda: queue.send(then, str(run_id), lane="fast"))


def _wake_next(thread_id: str | None) -> None:
    following = sa.select(Run.id, Run.is_alone).where(Run.thread_id == thread_id, Run.status == "pending").order_by(Run.id).limit(1)
    with db.engine.connect() as connection:
        for run_id, is_alone in connection.execute(following):
            wake(run_id, alone=is_alone)


def _quietly(send: Callable[[], None]) -> None:
    try:
        send()
    except Unavailable:
        logger.warning("run.then_delayed")


def _locked(run_id: uuid.UUID) -> Run:
    run = db.session.get(Run, run_id, with_for_update=True, populate_existing=True)
    if run is None:
        raise RunNotFound
    return run
