"""Runs in every state of their lives, made as the server makes them, and a worker's row to hold them."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import Flask

from server.accounts.models import User
from server.kit.clock import new_id
from server.kit.db import commit, db
from server.kit.embedded import postgres
from server.kit.migration import libpq_url
from server.realtime import log
from server.realtime.events import Event, of_run
from server.runs import actions, leases
from server.runs.leases import Lease
from server.runs.ledger import Ledger
from server.runs.models import Run, Worker
from server.runs.writer import Ending, Writer
from server.settings import Settings
from tests.stack import eventually

T = TypeVar("T")


def owner() -> uuid.UUID:
    """A stored user."""
    email = f"{uuid.uuid4().hex[:10]}@example.com"
    user = User(id=new_id(), email=email, email_key=email, password_hash="!")
    db.session.add(user)
    commit()
    return user.id


def accepted(owner_id: uuid.UUID | None = None, **options: Any) -> uuid.UUID:
    """A run that was accepted and waits for a worker."""
    values = {"agent_id": "echo", "input": {"messages": []}, "timeout_s": 60.0, "max_queued": 1000, **options}
    run = actions.start(owner_id=owner_id or owner(), **values)
    commit()
    return run.id


def ledger(settings: Settings) -> Ledger:
    """A connection that claims and writes."""
    return Ledger(libpq_url(settings.database_url), name="test")


def claimed(settings: Settings, run_id: uuid.UUID, worker_id: uuid.UUID | None = None, *, alone: bool = False) -> Lease:
    """A run that was had for the asking."""
    lease = leases.claim(ledger(settings), run_id, worker_id or leases.register(is_alone=alone), alone=alone)
    assert lease is not None
    return lease


def stored(run_id: uuid.UUID) -> Run:
    """The run as the database has it now."""
    db.session.rollback()
    return db.session.get_one(Run, run_id, populate_existing=True)


def said(run_id: uuid.UUID) -> list[tuple[str, dict[str, Any]]]:
    """Everything in the run's log, as (type, data)."""
    return [(event.type, event.load()) for event in events(run_id)]


def events(run_id: uuid.UUID) -> list[Event]:
    """Everything in the run's log."""
    return log.read(of_run(run_id), after=0)


def restart_postgresql(settings: Settings, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Stop the database; `meanwhile` happens; its keeper starts it again."""
    before = postgres.leftover(settings.data_dir)
    assert before is not None
    os.kill(before, postgres.STOP_SIGNAL)
    meanwhile()
    eventually(lambda: _is_another(settings, before), what="the restart")
    db.session.rollback()
    db.engine.dispose()


def _is_another(settings: Settings, before: int) -> bool:
    now = postgres.leftover(settings.data_dir)
    return now not in (None, before) and postgres.is_ready(settings.data_dir, now or 0)


def workers() -> set[uuid.UUID]:
    """The ids of the workers that are known."""
    db.session.rollback()
    return set(db.session.scalars(sa.select(Worker.id)))


class Scribe:
    """A writer that keeps what it was told."""

    def __init__(self, settings: Settings) -> None:
        self.refused: list[Any] = []
        self.unwanted: list[uuid.UUID] = []
        self.freed: list[tuple[uuid.UUID, bool]] = []
        self.written: list[bool] = []
        self._ends = threading.Condition()
        self.writer = Writer(
            libpq_url(settings.database_url), refused=self.refused.append, unwanted=self.unwanted.append, freed=self.freed.append
        )

    def end(self, lease: Lease, status: str = "success", **options: Any) -> None:
        """Let a run end."""
        self.writer.end(Ending(lease, status, written=self._hear, **options))

    def _hear(self, is_mine: bool) -> None:
        with self._ends:
            self.written.append(is_mine)
            self._ends.notify_all()

    def await_ends(self, count: int, *, within_s: float = 30.0) -> list[bool]:
        """What was said of the first ends, in order: whether each was written."""
        with self._ends:
            assert self._ends.wait_for(lambda: len(self.written) >= count, within_s), self.written
            return self.written[:count]


def at_once(app: Flask, works: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Carry out all at the same moment, each in a thread and an app context of its own; what each gave or raised."""
    gate = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def carry_out(index: int) -> None:
        with app.app_context():
            gate.wait(30)
            try:
                results[index] = works[index]()
            except Exception as error:
                results[index] = error
                db.session.rollback()

    threads = [threading.Thread(target=carry_out, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
