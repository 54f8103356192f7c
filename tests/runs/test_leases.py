"""Leases: who gets a run, what a stale attempt may still do (nothing), and what a worker's death does to what it held."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask

from server.kit.clock import after
from server.kit.db import commit, db
from server.kit.migration import libpq_url
from server.runs import actions, leases
from server.runs.leases import FENCE_SQL, Lease
from server.runs.models import Run, Worker
from server.settings import Settings
from tests.runs.factories import Scribe, accepted, at_once, claimed, events, ledger, said, stored, workers


def claiming(settings: Settings, run_id: uuid.UUID, worker_id: uuid.UUID, *, alone: bool = False) -> Callable[[], Lease | None]:
    return lambda: leases.claim(ledger(settings), run_id, worker_id, alone=alone)


# -- claim -------------------------------------------------------------------------------------------------------------


def test_of_twenty_workers_that_want_a_run_one_gets_it(app: Flask, settings: Settings, owner_id: uuid.UUID) -> None:
    run_id, worker_id = accepted(owner_id), leases.register()
    results = at_once(app, [claiming(settings, run_id, worker_id)] * 20)
    assert [result for result in results if isinstance(result, Exception)] == []
    winners = [result for result in results if result is not None]
    assert [lease.attempt for lease in winners] == [1]
    assert said(run_id) == [("run", {"run_id": str(run_id), "status": "running", "attempt": 1})]


def test_of_a_thread_one_run_is_carried_out_whoever_claims_which(app: Flask, settings: Settings, owner_id: uuid.UUID) -> None:
    run_ids = [accepted(owner_id, thread_id="t") for _ in range(10)]
    worker_id = leases.register()
    for expected in run_ids:
        results = at_once(app, [claiming(settings, run_id, worker_id) for run_id in run_ids])
        winners = [result for result in results if isinstance(result, Lease)]
        assert [lease.run_id for lease in winners] == [expected]
        db.session.execute(sa.update(Run).where(Run.id == expected).values(status="success", worker_id=None))
        commit()


def test_runs_of_different_threads_do_not_wait_for_each_other(settings: Settings, owner_id: uuid.UUID) -> None:
    worker_id = leases.register()
    assert claimed(settings, accepted(owner_id, thread_id="t"), worker_id)
    assert claimed(settings, accepted(owner_id, thread_id="u"), worker_id)
    assert claimed(settings, accepted(owner_id), worker_id)


def test_a_run_that_asks_a_human_does_not_hold_up_its_thread(settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    scribe.end(claimed(settings, accepted(owner_id, thread_id="t")), "interrupted", interrupts=[{"id": "i", "value": 1}])
    scribe.await_ends(1)
    assert claimed(settings, accepted(owner_id, thread_id="t"))


def test_a_run_is_not_to_be_had_before_its_time(settings: Settings, owner_id: uuid.UUID) -> None:
    run_id, worker_id = accepted(owner_id), leases.register()
    db.session.execute(sa.update(Run).where(Run.id == run_id).values(available_at=after(60)))
    commit()
    assert claiming(settings, run_id, worker_id)() is None
    db.session.execute(sa.update(Run).where(Run.id == run_id).values(available_at=after(-1)))
    commit()
    assert claiming(settings, run_id, worker_id)() is not None


def test_a_run_whose_worker_died_is_for_one_that_carries_it_alone(settings: Settings, owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id)
    db.session.execute(sa.update(Run).where(Run.id == run_id).values(is_alone=True))
    commit()
    assert claiming(settings, run_id, leases.register())() is None
    assert claiming(settings, run_id, leases.register(is_alone=True), alone=True)() is not None


def test_a_worker_that_was_given_up_gets_nothing_any_more(settings: Settings, owner_id: uuid.UUID) -> None:
    run_id, worker_id = accepted(owner_id), leases.register()
    leases.lost_worker(worker_id, None, max_deaths=2)
    assert claiming(settings, run_id, worker_id)() is None
    assert stored(run_id).status == "pending"


def test_a_claim_and_the_death_of_its_worker_leave_no_run_behind(app: Flask, settings: Settings, owner_id: uuid.UUID) -> None:
    for _ in range(20):
        run_id, worker_id = accepted(owner_id), leases.register()
        dying = partial(leases.lost_worker, worker_id, None, max_deaths=2)
        at_once(app, [claiming(settings, run_id, worker_id), dying])
        run = stored(run_id)
        assert (run.status, run.worker_id) == ("pending", None)


def test_a_claim_survives_a_connection_that_was_cut(settings: Settings, owner_id: uuid.UUID) -> None:
    mine, worker_id = ledger(settings), leases.register()
    assert leases.claim(mine, accepted(owner_id), worker_id)
    with psycopg.connect(libpq_url(settings.database_url), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'")
    assert leases.claim(mine, accepted(owner_id), worker_id)


# -- fencing -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stale(settings: Settings, owner_id: uuid.UUID) -> Lease:
    """The lease of a worker that was given up; another attempt has begun since."""
    first = leases.register()
    lease = claimed(settings, accepted(owner_id, stream="s"), first)
    leases.lost_worker(first, None, max_deaths=2)
    claimed(settings, lease.run_id, alone=True)
    return lease


def test_what_a_stale_attempt_says_is_refused(scribe: Scribe, stale: Lease) -> None:
    before = events(stale.run_id)
    scribe.writer.emit(stale, "token", {"message_id": "m", "delta": "late"})
    scribe.end(stale, "success", output={"content": "late"})
    assert scribe.await_ends(1) == [False]
    assert (stored(stale.run_id).status, stored(stale.run_id).output) == ("running", None)
    assert events(stale.run_id) == before


def test_a_stale_attempt_beside_the_living_one_in_one_write_is_refused_alone(settings: Settings, scribe: Scribe, stale: Lease) -> None:
    from dataclasses import replace

    living = replace(stale, attempt=2)
    with scribe.writer._changed:
        scribe.writer.emit(living, "token", {"message_id": "m", "delta": "living"})
        scribe.end(stale, "error", error={"code": "late", "message": "", "retryable": False})
    assert scribe.await_ends(1) == [False]
    assert stored(stale.run_id).status == "running"
    assert [data["delta"] for kind, data in said(stale.run_id) if kind == "token"] == ["living"]


def test_checkpoints_of_a_stale_attempt_are_not_among_those_that_may_be_stored(settings: Settings, stale: Lease) -> None:
    with psycopg.connect(libpq_url(settings.database_url)) as connection:
        asked = [stale.run_id, stale.run_id], [1, 2]
        assert connection.execute(FENCE_SQL, asked).fetchall() == [(stale.run_id, 2)]


def test_a_stale_attempt_gives_nothing_back(stale: Lease) -> None:
    leases.release(stale)
    assert stored(stale.run_id).status == "running"


# -- beats, and what a death does --------------------------------------------------------------------------------------


def test_a_beat_names_what_is_held_and_what_is_unwanted(settings: Settings, owner_id: uuid.UUID) -> None:
    worker_id = leases.register()
    wanted, unwanted = (claimed(settings, accepted(owner_id), worker_id).run_id for _ in range(2))
    actions.cancel(unwanted)
    commit()
    assert leases.beat(worker_id, runs=2) == {wanted: False, unwanted: True}
    assert db.session.get_one(Worker, worker_id).beats == 1


def test_a_worker_that_was_given_up_hears_so_at_its_next_beat(app: Flask) -> None:
    worker_id = leases.register()
    leases.lost_worker(worker_id, None, max_deaths=2)
    assert leases.beat(worker_id, runs=0) is None


def test_a_death_among_neighbours_does_not_count_and_the_next_attempt_is_alone(settings: Settings, owner_id: uuid.UUID) -> None:
    worker_id = leases.register()
    run_ids = [claimed(settings, accepted(owner_id), worker_id).run_id for _ in range(3)]
    assert leases.lost_worker(worker_id, None, max_deaths=1) == run_ids
    assert [(stored(each).status, stored(each).deaths, stored(each).is_alone) for each in run_ids] == [("pending", 0, True)] * 3


def test_only_deaths_alone_count_and_the_last_one_is_an_error_that_says_so(settings: Settings, owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id, then="chats.record_reply")
    for alone, status in ((False, "pending"), (True, "pending"), (True, "error")):
        worker_id = leases.register(is_alone=alone)
        claimed(settings, run_id, worker_id, alone=alone)
        leases.lost_worker(worker_id, None, max_deaths=2)
        assert stored(run_id).status == status
    run = stored(run_id)
    assert (run.deaths, run.error["code"]) == (2, "worker_died")
    assert run.then_due_at is not None
    assert [kind for kind, _ in said(run_id)][-2:] == ["error", "run"]


def test_a_run_that_nobody_wants_ends_with_its_worker(settings: Settings, owner_id: uuid.UUID) -> None:
    worker_id = leases.register()
    lease = claimed(settings, accepted(owner_id), worker_id)
    actions.cancel(lease.run_id)
    commit()
    leases.lost_worker(worker_id, None, max_deaths=2)
    assert (stored(lease.run_id).status, stored(lease.run_id).error["code"]) == ("cancelled", "cancelled")


def test_a_worker_that_has_beaten_since_loses_nothing(settings: Settings, owner_id: uuid.UUID) -> None:
    worker_id = leases.register()
    lease = claimed(settings, accepted(owner_id), worker_id)
    leases.beat(worker_id, runs=1)
    assert leases.lost_worker(worker_id, 0, max_deaths=2) == []
    assert (stored(lease.run_id).status, workers()) == ("running", {worker_id})


def test_two_who_see_a_death_at_once_take_its_runs_once(app: Flask, settings: Settings, owner_id: uuid.UUID) -> None:
    worker_id = leases.register(is_alone=True)
    run_id = accepted(owner_id)
    db.session.execute(sa.update(Run).where(Run.id == run_id).values(is_alone=True))
    commit()
    claimed(settings, run_id, worker_id, alone=True)
    results = at_once(app, [lambda: leases.lost_worker(worker_id, None, max_deaths=5)] * 4)
    assert sorted(results, key=len) == [[], [], [], [run_id]]
    assert stored(run_id).deaths == 1


# -- giving back -------------------------------------------------------------------------------------------------------


def test_a_run_that_is_given_back_goes_on_in_a_new_attempt_and_no_death_counts(settings: Settings, owner_id: uuid.UUID) -> None:
    lease = claimed(settings, accepted(owner_id))
    leases.release(lease)
    run = stored(lease.run_id)
    assert (run.status, run.worker_id, run.deaths, run.is_alone) == ("pending", None, 0, False)
    assert claimed(settings, lease.run_id).attempt == 2


def test_a_run_is_given_back_as_a_stray_only_by_who_holds_it(settings: Settings, owner_id: uuid.UUID) -> None:
    worker_id = leases.register()
    lease = claimed(settings, accepted(owner_id), worker_id)
    leases.give_back(lease.run_id, leases.register())
    assert stored(lease.run_id).status == "running"
    leases.give_back(lease.run_id, worker_id)
    assert stored(lease.run_id).status == "pending"


def test_a_worker_that_stops_by_itself_leaves_no_trace(app: Flask) -> None:
    worker_id = leases.register()
    leases.retire(worker_id)
    assert workers() == set()
