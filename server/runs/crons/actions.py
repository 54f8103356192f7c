"""What becomes of crons: they are made, changed, deleted, and fired when they are due."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from server.kit.clock import new_id, now
from server.kit.db import commit, db, rollback
from server.kit.errors import Invalid, NotFound, Refusal, TooMany, Unavailable
from server.runs.crons.models import Cron, Filter, count, owned
from server.runs.crons.rules import checked_timezone, next_after
from server.runs.threads.models import Thread

__all__ = ["CronNotFound", "TooManyCrons", "create", "delete", "fire_due", "get", "update"]

log = logging.getLogger(__name__)

MAX_CRONS = 1000  # that a user may have
ROUND = 500  # fired at most before the scheduler looks after other things

Start = Callable[[Cron, dt.datetime], object]


class CronNotFound(NotFound):
    """Cron not found"""

    code = "cron_not_found"


class TooManyCrons(TooMany):
    """You have too many crons; delete some first."""


def get(owner_id: uuid.UUID, cron_id: uuid.UUID) -> Cron:
    """The owner's cron. Raises CronNotFound."""
    cron = owned(owner_id, cron_id)
    if cron is None:
        raise CronNotFound(f"Cron '{cron_id}' not found")
    return cron


def create(
    owner_id: uuid.UUID,
    assistant_id: uuid.UUID,
    payload: dict[str, Any],
    *,
    thread: Thread | None = None,
    auth: dict[str, Any] | None = None,
) -> Cron:
    """A new cron, which fires for the first time when its schedule next comes round.

    payload: the schedule and what belongs to it (timezone, end_time, enabled, metadata, on_run_completed), and how a run is started.
    thread: the one that every run goes on with; without it each run has one of its own.
    auth: what the operator's handlers have said of the owner, for the configuration of each run.
    Raises BadSchedule, BadTimezone, TooManyCrons.
    """
    if count(Filter(owner_id=owner_id)) >= MAX_CRONS:
        raise TooManyCrons
    cron = Cron(id=new_id(), owner_id=owner_id, assistant_id=assistant_id, payload={}, about={}, auth=auth)
    cron.created_at = cron.updated_at = now()
    if thread is None:
        cron.on_run_completed = "delete"
    else:
        cron.thread_key, cron.thread_name = thread.id, thread.name
        payload = {name: value for name, value in payload.items() if name != "on_run_completed"}
    _change(cron, payload)
    cron.payload = {"assistant_id": str(assistant_id), **cron.payload, "config": _signed(cron.id, cron.payload.get("config"))}
    db.session.add(cron)
    commit()
    return cron


def update(owner_id: uuid.UUID, cron_id: uuid.UUID, changes: dict[str, Any]) -> Cron:
    """The cron as it is after the change; its metadata is merged. Raises CronNotFound, BadSchedule, BadTimezone."""
    cron = owned(owner_id, cron_id, is_locked=True)
    if cron is None:
        raise CronNotFound(f"Cron '{cron_id}' not found")
    if "config" in changes:
        changes = {**changes, "config": _signed(cron.id, changes["config"])}
    _change(cron, changes)
    cron.updated_at = now()
    commit()
    return cron


def _change(cron: Cron, changes: dict[str, Any]) -> None:
    """Write what a client has said into a cron; a moment in the payload is text."""
    written = {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in changes.items()}
    cron.payload = {**cron.payload, **written}
    cron.about = {**cron.about, **(changes.get("metadata") or {})}
    for name in ("schedule", "timezone", "end_time", "enabled", "on_run_completed"):
        if name in changes:
            setattr(cron, name, changes[name])
    if cron.timezone is not None:
        checked_timezone(cron.timezone)
    if {"schedule", "timezone"} & set(changes) or changes.get("enabled"):
        cron.next_run_at = next_after(cron.schedule, now(), cron.timezone)
        cron.note = None


def _signed(cron_id: uuid.UUID, config: dict[str, Any] | None) -> dict[str, Any]:
    """The configuration with the cron's id in it, so that a run can say where it comes from."""
    config = config or {}
    return {**config, "configurable": {**(config.get("configurable") or {}), "cron_id": str(cron_id)}}


def delete(owner_id: uuid.UUID, cron_id: uuid.UUID) -> None:
    """It is gone; runs that it has started go on. Raises CronNotFound."""
    gone = db.session.execute(sa.delete(Cron).where(Cron.id == cron_id, Cron.owner_id == owner_id).returning(Cron.id)).first()
    if gone is None:
        raise CronNotFound(f"Cron '{cron_id}' not found")
    commit()


# -- firing ------------------------------------------------------------------------------------------------------------


def fire_due(moment: dt.datetime, start: Start) -> int:
    """Start a run of every cron that is due, each once, however many schedulers do this at once; how many were looked at.

    start: starts the run of a cron for the moment at which it was due, if it has not done so before; in the transaction in which the
        next moment is written, which it may commit, or end and begin its own. It may refuse.
    Times that were missed are made up for by one run. A refusal is noted at the cron, which goes on with its next time; a cron
    without its assistant is disabled. While the server accepts no runs (Unavailable) crons stay due.
    """
    for number in range(ROUND):
        if not _fire_one(moment, start):
            return number
    return ROUND


def _fire_one(moment: dt.datetime, start: Start) -> bool:
    """Fire the cron that has been due for longest; whether there was one."""
    due = sa.select(Cron).where(Cron.enabled, Cron.next_run_at <= moment).order_by(Cron.next_run_at)
    cron = db.session.scalars(due.limit(1).with_for_update(skip_locked=True).execution_options(populate_existing=True)).one_or_none()
    if cron is None:
        rollback()
        return False
    cron_id, was_due = cron.id, cron.next_run_at
    if cron.end_time is not None and moment > cron.end_time:
        _pass_over(cron_id, was_due, enabled=False, note="Its end time has passed.")
        return True
    try:
        cron.next_run_at = following = next_after(cron.schedule, moment, cron.timezone)
    except Invalid as refusal:  # what was a zone's name once need not be one for ever
        rollback()
        _pass_over(cron_id, was_due, enabled=False, note=refusal.message)
        return True
    cron.note = None
    db.session.flush()
    return _start(cron, was_due, following, start)


def _start(cron: Cron, was_due: dt.datetime, following: dt.datetime, start: Start) -> bool:
    """Start the run; whether the next cron can be looked at."""
    cron_id = cron.id
    try:
        start(cron, was_due)
        _move(cron_id, was_due, next_run_at=following, note=None)  # for a start that could not be part of this transaction
    except Unavailable:
        rollback()
        log.warning("crons.put_off", extra={"facts": {"cron_id": cron_id}})
        return False
    except Refusal as refusal:
        rollback()
        _pass_over(cron_id, was_due, next_run_at=following, enabled=not isinstance(refusal, NotFound), note=refusal.message)
    except SQLAlchemyError:
        rollback()
        raise
    except Exception:
        rollback()
        log.exception("crons.bug", extra={"facts": {"cron_id": cron_id}})
        _pass_over(cron_id, was_due, next_run_at=following, note="The server could not start the run.")
    else:
        late_ms = round((now() - was_due).total_seconds() * 1000)
        log.info("crons.fired", extra={"facts": {"cron_id": cron_id, "late_ms": late_ms}})
    return True


def _pass_over(cron_id: uuid.UUID, was_due: dt.datetime, **noted: Any) -> None:
    """Note why no run began."""
    _move(cron_id, was_due, **noted)
    log.warning("crons.passed_over", extra={"facts": {"cron_id": cron_id, "is_enabled": noted.get("enabled", True)}})


def _move(cron_id: uuid.UUID, was_due: dt.datetime, **values: Any) -> None:
    """Write into a cron that is due what comes next, unless that was done already."""
    db.session.execute(sa.update(Cron).where(Cron.id == cron_id, Cron.next_run_at == was_due).values(**values))
    commit()
