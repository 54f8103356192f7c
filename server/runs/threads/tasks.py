"""The worker's side of threads: what their state is asked of, and written by."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from server.agents import catalogue
from server.engine.job import AgentSource
from server.engine.snapshots import Changed, Place
from server.engine.state import KnownAs
from server.kit.asking import answering
from server.kit.clock import new_id, now
from server.kit.db import commit, db
from server.kit.queue import task
from server.runs.actions import ROLL_BACK
from server.runs.models import Run
from server.runs.tasks import host
from server.runs.threads import actions
from server.runs.threads.actions import COPY, KEEP_LATEST, THIN_OUT, ThreadNotFound
from server.runs.threads.models import Thread
from server.runs.threads.states import WRITE, GraphNotFound, place

__all__ = ["copy", "history", "keep_latest", "roll_back", "state", "thin_out", "write"]

Question = dict[str, Any]


@answering("threads.state")
def state(question: Question) -> dict[str, Any]:
    """The newest state of a thread, or that of a checkpoint."""
    return host().engine.snapshots.state(_placed(question), question["checkpoint"], subgraphs=question["subgraphs"])


@answering("threads.history")
def history(question: Question) -> list[dict[str, Any]]:
    """States of a thread, newest first."""
    return host().engine.snapshots.history(
        _placed(question),
        question["checkpoint"],
        limit=question["limit"],
        before=question["before"],
        metadata=question["metadata"],
    )


@answering(WRITE)
def write(question: Question) -> dict[str, Any]:
    """Write state as nodes would, while no run of the thread can begin; what names the new checkpoint."""
    thread = actions.held(uuid.UUID(question["key"]))
    changed = host().engine.snapshots.update(_placed(place(thread)), question["supersteps"], question.get("checkpoint"))
    _follow(thread, changed)
    commit()
    return changed.checkpoint


@answering(COPY)
def copy(question: Question) -> str:
    """Copy a thread with its history; the id of the copy."""
    source = db.session.get(Thread, uuid.UUID(question["key"]))
    if source is None:
        raise ThreadNotFound
    key = new_id()
    host().engine.checkpoints.copy(str(source.id), str(key))
    actions.copied(source, key)
    commit()
    return str(key)


@answering(KEEP_LATEST)
def keep_latest(question: Question) -> list[str]:
    """Delete the history of threads but for their newest state; those where that was done."""
    return host().engine.checkpoints.keep_latest(question["keys"])


@task(THIN_OUT)
def thin_out(*keys: str) -> None:
    """The same, for threads whose time is up."""
    host().engine.checkpoints.keep_latest(keys)


@task(ROLL_BACK)
def roll_back(run_id: str) -> None:
    """Take back a run that was stopped: it is gone, and its thread is as it was before it. Done twice it is done once.

    Where another run has begun meanwhile, that one has taken it back before. None begins while this is done.
    """
    run = db.session.get(Run, uuid.UUID(run_id), with_for_update=True)
    if run is None or not run.is_over or run.thread_key is None:
        return
    waiting = sa.select(Run.status).where(Run.thread_key == run.thread_key, Run.status.in_(actions.ACTIVE))
    others = db.session.scalars(waiting.order_by(Run.id).with_for_update()).all()
    thread = db.session.get(Thread, run.thread_key, with_for_update=True)
    db.session.delete(run)
    db.session.flush()
    if thread is not None and "running" not in others:
        host().engine.checkpoints.forget_runs(str(thread.id), [run_id])
        if catalogue.get(thread.about.get("graph_id") or "") is not None:
            _follow(thread, host().engine.snapshots.left(_placed(place(thread))))
        thread.status = "busy" if others else thread.status
    commit()


def _follow(thread: Thread, changed: Changed) -> None:
    """Let a thread's row say what its state now is."""
    thread.values = changed.values if changed.checkpoint.get("checkpoint_id") else None
    thread.interrupts = changed.interrupts
    thread.status = "interrupted" if changed.next else "idle"
    thread.error = None
    thread.updated_at = thread.state_updated_at = now()


def _placed(question: Question) -> Place:
    agent = catalogue.get(question["graph_id"])
    if agent is None:
        raise GraphNotFound(f"Graph '{question['graph_id']}' not found.")
    source = AgentSource(agent.agent_id, agent.graph, agent.folder, agent.env, agent.dependencies)
    return Place(KnownAs(question["name"], question["key"]), source, question["config"] or {})
