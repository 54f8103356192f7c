"""A host in the test's own process, with real agents: what it takes, what follows a run, and what it does with what is not its own."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from server.agents import catalogue
from server.kit.db import commit, db
from server.kit.queue import task
from server.runs import actions, leases
from server.runs.host import Host
from server.runs.models import Run
from server.runs.sweep import Sweep
from server.settings import Settings
from tests.runs.factories import accepted, ledger, said, stored, workers
from tests.stack import eventually

GRAPHS = Path(__file__).parents[1] / "graphs" / "langgraph.json"
FOLLOW = "tests.follow"

followed: list[str] = []
fails = threading.Event()


@task(FOLLOW)
def follow(run_id: str) -> None:
    """What follows a run here: it is noted, and said to be done; unless it is to fail."""
    if fails.is_set():
        raise RuntimeError("the process dies here")
    run = db.session.get_one(Run, uuid.UUID(run_id), with_for_update=True)
    if run.then_due_at is not None:
        followed.append(run_id)
        actions.then_done(run.id)
    commit()


@pytest.fixture
def make_host(app: Flask, settings: Settings) -> Iterator[Callable[..., Host]]:
    followed.clear()
    fails.clear()
    made: list[Host] = []

    def make(**options: object) -> Host:
        app.config["SETTINGS"] = dataclasses.replace(settings, agents_config=str(GRAPHS), heartbeat_s=0.2, **options)  # type: ignore[arg-type]
        catalogue.install(app, app.config["SETTINGS"])
        host = Host(app)
        host.start()
        made.append(host)
        return host

    yield make
    for host in made:
        host.drain(10)
        host.engine.close()
    app.config["SETTINGS"] = settings
    catalogue.install(app, settings)


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    return make_host()


def asked(agent_id: str, text: str = "", **options: object) -> uuid.UUID:
    return accepted(agent_id=agent_id, input={"messages": [{"role": "user", "content": text}]}, **options)


def ended(run_id: uuid.UUID, *statuses: str) -> Run:
    eventually(lambda: stored(run_id).status in (statuses or ("success", "error", "timeout", "cancelled")), what="the end")
    return stored(run_id)


# -- taking and ending -------------------------------------------------------------------------------------------------


def test_a_run_is_carried_out_and_its_log_tells_of_it(host: Host) -> None:
    run_id = asked("slow", "n=3")
    assert host.take(run_id)
    run = ended(run_id)
    assert (run.status, run.output["content"]) == ("success", "1 2 3 ")
    kinds = [kind for kind, _ in said(run_id)]
    assert (kinds[0], kinds[1], kinds[-2], kinds[-1]) == ("run", "step", "step", "run")


def test_whatever_waits_is_taken_and_carried_out(host: Host) -> None:
    run_ids = [asked("slow", "n=1") for _ in range(20)]
    host.take_due()
    assert [ended(run_id).status for run_id in run_ids] == ["success"] * 20


def test_of_a_thread_one_run_is_taken_and_the_next_when_it_has_ended(host: Host) -> None:
    first, second = asked("slow", "n=3 delay=0.2", thread_id="t"), asked("slow", "n=1", thread_id="t")
    host.take_due()
    assert (stored(first).status, stored(second).status) == ("running", "pending")
    ended(first)
    host.take_due()
    assert ended(second).status == "success"


def test_a_run_that_is_to_be_alone_is_not_taken_with_others(host: Host) -> None:
    lone = asked("slow", "n=1")
    db.session.execute(sa.update(Run).where(Run.id == lone).values(is_alone=True))
    commit()
    host.take_due()
    assert stored(lone).status == "pending"


def test_a_run_that_is_not_to_be_had_is_left_alone(host: Host) -> None:
    run_id = asked("slow", "n=1")
    assert host.take(run_id)
    ended(run_id)
    assert not host.take(run_id)
    assert not host.take(uuid.uuid4())


def test_a_run_whose_agent_is_gone_says_so(host: Host) -> None:
    run_id = asked("nobody")
    host.take(run_id)
    assert ended(run_id).error["code"] == "agent_gone"


def test_what_follows_a_run_is_done_once_at_once(host: Host, settings: Settings) -> None:
    run_id = asked("slow", "n=1", then=FOLLOW)
    host.take(run_id)
    eventually(lambda: stored(run_id).then_due_at is None and followed, what="what follows")
    follow(str(run_id))
    assert followed == [str(run_id)]


def test_what_should_have_followed_when_the_process_died_is_found_by_the_sweep_and_done_once(host: Host, settings: Settings) -> None:
    fails.set()
    run_id = asked("slow", "n=1", then=FOLLOW)
    host.take(run_id)
    ended(run_id)
    assert stored(run_id).then_due_at is not None
    fails.clear()
    assert Sweep(dataclasses.replace(settings, wake_after_s=-60)).follow_up_forgotten() == 1
    follow(str(run_id))
    follow(str(run_id))
    assert followed == [str(run_id)]


def test_a_run_that_asks_is_followed_by_nothing_before_it_ends(host: Host) -> None:
    run_id = asked("asking", then=FOLLOW)
    host.take(run_id)
    ended(run_id, "interrupted")
    assert stored(run_id).then_due_at is None
    for value in ("red", "large"):
        ended(run_id, "interrupted")
        actions.answer(run_id, value)
        commit()
        host.take(run_id)
    assert ended(run_id).output["content"] == "red and large"
    eventually(lambda: followed == [str(run_id)], what="what follows")


def test_no_more_runs_are_carried_than_may_be(make_host: Callable[..., Host]) -> None:
    host = make_host(worker_runs=2)
    run_ids = [asked("waiting", "for=0.5") for _ in range(4)]
    carried: list[int] = []
    for run_id in run_ids:
        host.take(run_id)
        carried.append(len(host.held()))
    assert max(carried) <= 2
    assert [ended(run_id).status for run_id in run_ids] == ["success"] * 4


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_a_cancel_is_heard_at_once_and_also_when_its_notice_was_lost(host: Host) -> None:
    told, untold = asked("waiting", "for=30"), asked("waiting", "for=30")
    for run_id in (told, untold):
        host.take(run_id)
    actions.cancel(told)
    commit()
    db.session.execute(sa.update(Run).where(Run.id == untold).values(cancel_requested_at=sa.func.now()))
    commit()
    assert [ended(run_id).status for run_id in (told, untold)] == ["cancelled", "cancelled"]


def test_who_drains_gives_back_all_that_was_said_and_leaves_no_trace(host: Host) -> None:
    run_ids = [asked("slow", "n=1000 delay=0.005") for _ in range(5)]
    for run_id in run_ids:
        host.take(run_id)
    eventually(lambda: all(len(said(run_id)) > 5 for run_id in run_ids), what="some words")
    host.drain(10)
    for run_id in run_ids:
        run = stored(run_id)
        assert (run.status, run.worker_id, run.deaths, run.is_alone) == ("pending", None, 0, False)
    assert workers() == set()


def test_who_drains_takes_nothing_more(host: Host) -> None:
    host.drain(5)
    run_id = asked("slow", "n=1")
    assert not host.take(run_id)
    assert stored(run_id).status == "pending"


# -- what is not its own any more --------------------------------------------------------------------------------------


def test_who_was_given_up_drops_its_runs_and_enters_anew(host: Host) -> None:
    run_id = asked("slow", "n=1000 delay=0.01")
    host.take(run_id)
    eventually(lambda: len(said(run_id)) > 3, what="some words")
    before = host.worker_id
    leases.lost_worker(before, None, max_deaths=2)
    length = stored(run_id).last_event
    eventually(lambda: not host.held(), what="dropping it")
    eventually(lambda: host.worker_id != before, what="entering anew")
    assert workers() == {host.worker_id}
    assert (stored(run_id).status, stored(run_id).last_event) == ("pending", length)


def test_a_late_word_of_a_lost_attempt_does_not_stop_the_next_one_in_the_same_process(host: Host) -> None:
    run_id = asked("waiting", "for=1.5")
    host.take(run_id)
    stale = host.held()[0]
    leases.release(stale.lease)
    assert host.take(run_id)
    assert [held.lease.attempt for held in host.held()] == [2]
    host.writer.emit(stale.lease, "token", {"message_id": "m", "delta": "late"})
    run = ended(run_id)
    assert (run.status, run.attempt) == ("success", 2)
    assert "late" not in [data.get("delta") for _, data in said(run_id)]


def test_a_run_that_is_claimed_again_in_the_same_process_costs_no_slot(make_host: Callable[..., Host]) -> None:
    host = make_host(worker_runs=2)
    run_id = asked("waiting", "for=1")
    for _ in range(4):
        assert host.take(run_id)
        leases.release(host.held()[0].lease)
    host.take(run_id)
    assert ended(run_id).status == "success"
    others = [asked("waiting", "for=0.3") for _ in range(2)]
    assert all(host.take(other) for other in others)


def test_a_run_that_is_ours_by_its_row_alone_is_given_back(host: Host, settings: Settings) -> None:
    run_id = asked("slow", "n=1")
    leases.claim(ledger(settings), run_id, host.worker_id)
    eventually(lambda: stored(run_id).status == "pending", what="giving it back")
    assert host.take(run_id)
    assert ended(run_id).attempt == 2
