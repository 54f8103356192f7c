"""Double texting: what becomes of the runs of a thread that are not done when another one comes.

reject      the new one is refused
enqueue     it waits until they are done
interrupt   they are stopped, and what they have done stays
rollback    they are stopped, and are as if they had never been

Source: LangGraph, double texting.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from server.kit.db import db
from server.kit.errors import Conflict
from server.runs.actions import ROLL_BACK, cancel
from server.runs.models import Run

__all__ = ["STRATEGIES", "ThreadBusy", "make_way"]

STRATEGIES = ("reject", "enqueue", "interrupt", "rollback")


class ThreadBusy(Conflict):
    """Thread is already running a task. Wait for it to finish or choose a different multitask strategy."""

    code = "thread_busy"


def make_way(thread_key: uuid.UUID, strategy: str) -> list[uuid.UUID]:
    """Do, in the caller's transaction, what the strategy says to the runs of a thread that are not done; those that are taken back.

    Two new runs of a thread come one after the other here, whatever processes they come to. Raises ThreadBusy.
    """
    db.session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"thread:{thread_key}"})
    if strategy == "enqueue":
        return []
    active = sa.select(Run.id).where(Run.thread_key == thread_key, Run.status.in_(("pending", "running"))).order_by(Run.id)
    run_ids = list(db.session.scalars(active))
    if run_ids and strategy == "reject":
        raise ThreadBusy
    for run_id in run_ids:
        cancel(run_id, code="superseded", then=ROLL_BACK if strategy == "rollback" else None)
    return run_ids if strategy == "rollback" else []
