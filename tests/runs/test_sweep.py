"""The sweep, on a clock of the test's own: who is given up and who is not, and what was forgotten is found."""

from __future__ import annotations

import subprocess
import sys
import uuid

import pytest
import sqlalchemy as sa
from flask import Flask

from server.kit import redis, whereabouts
from server.kit.clock import after
from server.kit.db import commit, db
from server.realtime import log
from server.realtime.events import of_stream
from server.runs import leases
from server.runs.models import Run, Worker
from server.runs.sweep import Sweep
from server.settings import Settings
from tests.runs.factories import Scribe, accepted, at_once, claimed, events, said, stored, workers


class Clock:
    """A monotonic clock that the test winds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sweep(app: Flask, settings: Settings, clock: Clock) -> Sweep:
    return Sweep(settings, monotonic=clock)


def elsewhere() -> uuid.UUID:
    """A worker on another machine, where nobody here can look whether it lives."""
    worker = Worker(place="another machine", pid=1, began=1)
    db.session.add(worker)
    commit()
    return worker.id


def queued(lane: str = "runs") -> int:
    """How many messages wait in a lane of the queue."""
    return redis.client().llen(f"parley:{lane}")


def age(run_id: uuid.UUID, **moments: float) -> None:
    """Let it be so many seconds ago."""
    db.session.execute(sa.update(Run).where(Run.id == run_id).values({name: after(-seconds) for name, seconds in moments.items()}))
    commit()


# -- reaping -----------------------------------------------------------------------------------------------------------


def test_a_frozen_heartbeat_is_given_up_after_a_lease_and_not_before(
    settings: Settings, sweep: Sweep, clock: Clock, owner_id: uuid.UUID
) -> None:
    run_id = accepted(owner_id)
    claimed(settings, run_id, elsewhere())
    assert sweep.reap() == []
    clock.now += settings.lease_s
    assert sweep.reap() == []
    clock.now += 0.1
    assert sweep.reap() == [run_id]
    assert (stored(run_id).status, workers()) == ("pending", set())


def test_a_heart_that_beats_is_left_alone_however_long(settings: Settings, sweep: Sweep, clock: Clock, owner_id: uuid.UUID) -> None:
    worker_id = elsewhere()
    claimed(settings, accepted(owner_id), worker_id)
    for _ in range(10):
        leases.beat(worker_id, runs=1)
        assert sweep.reap() == []
        clock.now += settings.lease_s
    assert workers() == {worker_id}


def test_wrong_wall_clocks_reap_nobody(settings: Settings, sweep: Sweep, clock: Clock, owner_id: uuid.UUID) -> None:
    worker_id = elsewhere()
    claimed(settings, accepted(owner_id), worker_id)
    for seconds in (-3600, 3600):
        db.session.execute(sa.update(Worker).values(beat_at=after(seconds), started_at=after(seconds)))
        commit()
        clock.now += 1
        assert sweep.reap() == []


def test_a_process_that_is_gone_is_seen_at_once(settings: Settings, sweep: Sweep, owner_id: uuid.UUID) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = whereabouts.mine()
    worker = Worker(place=here.place, pid=process.pid, began=whereabouts._began(process.pid))
    db.session.add(worker)
    commit()
    run_id = accepted(owner_id)
    claimed(settings, run_id, worker.id)
    assert sweep.reap() == []
    process.communicate(b"")
    assert sweep.reap() == [run_id]


def test_two_sweepers_at_once_take_a_dead_workers_runs_once(app: Flask, settings: Settings, owner_id: uuid.UUID) -> None:
    worker_id = elsewhere()
    run_ids = [accepted(owner_id) for _ in range(5)]
    for run_id in run_ids:
        claimed(settings, run_id, worker_id)
    clocks = [Clock() for _ in range(4)]
    sweeps = [Sweep(settings, monotonic=clock) for clock in clocks]
    for sweep, clock in zip(sweeps, clocks, strict=True):
        sweep.reap()
        clock.now += settings.lease_s + 1
    redis.client().flushdb()
    results = at_once(app, [sweep.reap for sweep in sweeps])
    assert sorted(map(len, results)) == [0, 0, 0, 5]
    assert queued() == 5


# -- what was forgotten ------------------------------------------------------------------------------------------------


def test_a_run_whose_message_was_lost_is_queued_again_and_not_twice_at_once(settings: Settings, sweep: Sweep, owner_id: uuid.UUID) -> None:
    lost, fresh = accepted(owner_id), accepted(owner_id)
    age(lost, woken_at=settings.wake_after_s + 1)
    redis.client().flushdb()
    assert sweep.wake_forgotten() == 1
    assert sweep.wake_forgotten() == 0
    assert queued() == 1
    assert stored(fresh).status == "pending"


def test_a_run_that_is_not_due_is_not_woken(settings: Settings, sweep: Sweep, owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id)
    age(run_id, woken_at=60, available_at=-60)
    assert sweep.wake_forgotten() == 0


def test_a_run_is_woken_as_soon_as_it_is_due_and_once(settings: Settings, sweep: Sweep, owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id)
    age(run_id, woken_at=2, available_at=1)
    assert sweep.wake_forgotten() == 1
    assert sweep.wake_forgotten() == 0


def test_of_two_sweepers_one_wakes(app: Flask, settings: Settings, owner_id: uuid.UUID) -> None:
    run_ids = [accepted(owner_id) for _ in range(20)]
    for run_id in run_ids:
        age(run_id, woken_at=60)
    assert sum(at_once(app, [Sweep(settings).wake_forgotten] * 4)) == 20


def test_a_queue_that_nobody_empties_does_not_grow_with_every_sweep(settings: Settings, sweep: Sweep, owner_id: uuid.UUID) -> None:
    run_ids = [accepted(owner_id) for _ in range(30)]
    for _ in range(60):
        for run_id in run_ids:
            age(run_id, woken_at=60)
        sweep.wake_forgotten()
    assert queued() <= 600


def test_what_should_have_followed_is_queued_until_it_is_done(
    settings: Settings, sweep: Sweep, scribe: Scribe, owner_id: uuid.UUID
) -> None:
    run_id = accepted(owner_id, then="chats.record_reply")
    scribe.end(claimed(settings, run_id))
    scribe.await_ends(1)
    assert sweep.follow_up_forgotten() == 0
    age(run_id, then_due_at=60)
    assert sweep.follow_up_forgotten() == 1
    assert queued("fast") == 1
    age(run_id, then_due_at=60)
    db.session.execute(sa.update(Run).where(Run.id == run_id).values(then_due_at=None))
    commit()
    assert sweep.follow_up_forgotten() == 0


def test_a_human_who_does_not_answer_in_time_lets_the_run_end(
    settings: Settings, sweep: Sweep, scribe: Scribe, owner_id: uuid.UUID
) -> None:
    late, patient = accepted(owner_id, then="chats.record_reply", stream="b"), accepted(owner_id, stream="a")
    for run_id in (late, patient):
        scribe.end(claimed(settings, run_id), "interrupted", interrupts=[{"id": "i", "value": 1}])
    scribe.await_ends(2)
    age(late, updated_at=settings.interrupt_s + 1)
    assert sweep.give_up_on_humans() == 1
    run = stored(late)
    assert (run.status, run.error["code"]) == ("timeout", "nobody_answered")
    assert said(late)[-1] == ("run", {"run_id": str(late), "status": "timeout", "attempt": 1})
    assert run.then_due_at is not None
    assert stored(patient).status == "interrupted"


# -- trimming ----------------------------------------------------------------------------------------------------------


def test_old_events_go_and_those_of_what_is_in_progress_stay(settings: Settings, sweep: Sweep, scribe: Scribe, owner_id: uuid.UUID) -> None:
    from server.realtime.models import EventRow

    ended = accepted(owner_id, stream="ended")
    scribe.end(claimed(settings, ended))
    scribe.await_ends(1)
    running = claimed(settings, accepted(owner_id, stream="busy")).run_id
    log.append("busy", "message", {"content": "said before"})
    alone = claimed(settings, accepted(owner_id)).run_id
    commit()
    db.session.execute(sa.update(EventRow).values(created_at=after(-settings.event_retention_s - 60)))
    commit()
    assert sweep.trim() == 2
    assert events(ended) == []
    assert [len(events(running)), len(log.read(of_stream("busy"), after=0)), len(events(alone))] == [1, 2, 1]


def test_a_round_does_everything(settings: Settings, sweep: Sweep, clock: Clock, owner_id: uuid.UUID) -> None:
    held, forgotten = accepted(owner_id), accepted(owner_id)
    claimed(settings, held, elsewhere())
    age(forgotten, woken_at=60)
    sweep.once()
    clock.now += settings.lease_s + 1
    sweep.once()
    assert stored(held).status == "pending"
    assert stored(forgotten).woken_at > after(-30)
