"""Starting, cancelling and answering: what is in the row and in the log afterwards, and what is refused."""

from __future__ import annotations

import json
import uuid

import pytest
import redis as redis_package
import sqlalchemy as sa
from flask import Flask

from server.kit import queue, redis
from server.kit.db import commit, db, rollback
from server.kit.errors import Unavailable
from server.realtime import log
from server.realtime.events import of_stream
from server.runs import actions
from server.runs.actions import NothingAsked, QueueFull, RunNotFound
from server.runs.models import Run
from server.settings import Settings
from tests.runs.factories import Scribe, accepted, at_once, claimed, said, stored

ASKED = [{"id": "i1", "value": "Which colour?"}]


def queued(lane: str = "runs") -> list[bytes]:
    """The messages that wait in a lane of the queue."""
    return redis.client().lrange(f"parley:{lane}", 0, -1)


def asking(settings: Settings, scribe: Scribe, run_id: uuid.UUID, asked: list[dict[str, str]] = ASKED) -> uuid.UUID:
    """The run, after its agent has asked a human something."""
    scribe.end(claimed(settings, run_id), "interrupted", interrupts=asked)
    scribe.await_ends(len(scribe.written) + 1)
    return run_id


# -- start -------------------------------------------------------------------------------------------------------------


def test_a_started_run_waits_and_a_worker_is_told_that_there_is_work_and_nothing_else(owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id, input={"messages": ["a secret"]})
    assert stored(run_id).status == "pending"
    assert [json.loads(message)["headers"]["task"] for message in queued()] == [actions.TAKE]
    assert b"a secret" not in queued()[0]


def test_many_that_start_ring_once_until_a_worker_has_heard_it(owner_id: uuid.UUID) -> None:
    for _ in range(20):
        accepted(owner_id)
    assert len(queued()) == 1
    queue.heard(actions.TAKE)
    accepted(owner_id)
    assert len(queued()) == 2


def test_a_run_that_is_to_be_alone_is_called_by_its_name(owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id)
    redis.client().flushdb()
    actions.wake(run_id, alone=True)
    assert [str(run_id).encode() in message for message in queued()] == [True]


def test_a_start_that_is_rolled_back_tells_nobody(owner_id: uuid.UUID) -> None:
    actions.start(owner_id=owner_id, agent_id="echo", input={}, timeout_s=1, max_queued=9)
    rollback()
    assert queued() == []
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Run)) == 0


def test_a_start_is_refused_while_redis_is_away_and_nothing_is_stored(app: Flask, settings: Settings, owner_id: uuid.UUID) -> None:
    redis.configure("redis://127.0.0.1:9")
    try:
        with pytest.raises(Unavailable):
            accepted(owner_id)
    finally:
        redis.configure(settings.redis_url)
    rollback()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Run)) == 0


def test_who_has_too_many_runs_waiting_is_refused_and_others_are_not(app: Flask, owner_id: uuid.UUID) -> None:
    run_ids = [accepted(owner_id, max_queued=2) for _ in range(2)]
    with pytest.raises(QueueFull):
        accepted(owner_id, max_queued=2)
    rollback()
    assert accepted(max_queued=2)
    actions.cancel(run_ids[0])
    commit()
    assert accepted(owner_id, max_queued=2)


# -- cancel ------------------------------------------------------------------------------------------------------------


def test_a_waiting_run_is_cancelled_at_once(owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id)
    actions.cancel(run_id)
    commit()
    run = stored(run_id)
    assert (run.status, run.error["code"]) == ("cancelled", "cancelled")
    assert said(run_id) == [("run", {"run_id": str(run_id), "status": "cancelled", "attempt": 0})]


def test_a_running_run_is_asked_to_stop_and_its_worker_is_told(settings: Settings, owner_id: uuid.UUID) -> None:
    lease = claimed(settings, accepted(owner_id))
    notices = redis.client().pubsub(ignore_subscribe_messages=True)
    notices.subscribe("parley:notices")
    notices.get_message(timeout=1)
    actions.cancel(lease.run_id)
    first = stored_request(lease.run_id)
    actions.cancel(lease.run_id)
    commit()
    run = stored(lease.run_id)
    assert run.status == "running"
    assert run.cancel_requested_at == first
    heard = notices.get_message(timeout=5)
    assert heard is not None
    assert str(lease.run_id).encode() in heard["data"]
    notices.close()


def stored_request(run_id: uuid.UUID) -> object:
    commit()
    return stored(run_id).cancel_requested_at


def test_a_run_that_asks_a_human_is_cancelled_at_once(settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    run_id = asking(settings, scribe, accepted(owner_id))
    actions.cancel(run_id)
    commit()
    assert (stored(run_id).status, stored(run_id).interrupts) == ("cancelled", None)


@pytest.mark.parametrize("status", ["success", "error", "timeout", "cancelled"])
def test_an_ended_run_stays_as_it_ended(settings: Settings, scribe: Scribe, owner_id: uuid.UUID, status: str) -> None:
    run_id = accepted(owner_id)
    scribe.end(claimed(settings, run_id), status)
    scribe.await_ends(1)
    before = said(run_id)
    actions.cancel(run_id)
    commit()
    assert (stored(run_id).status, said(run_id)) == (status, before)


def test_a_run_that_nobody_knows_is_not_found(app: Flask) -> None:
    with pytest.raises(RunNotFound):
        actions.cancel(uuid.uuid4())
    with pytest.raises(RunNotFound):
        actions.answer(uuid.uuid4(), "red")


def test_a_run_that_was_cancelled_while_it_came_to_ask_is_not_left_waiting(settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    lease = claimed(settings, accepted(owner_id))
    actions.cancel(lease.run_id)
    commit()
    scribe.end(lease, "interrupted", interrupts=ASKED)
    scribe.await_ends(1)
    scribe.writer.stop()
    assert scribe.unwanted == [lease.run_id]


def test_what_is_newer_cancels_what_waits_in_the_same_thread_only(settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    mine = asking(settings, scribe, accepted(owner_id, stream="s", thread_id="t"))
    other = asking(settings, scribe, accepted(owner_id, stream="s", thread_id="u"))
    assert actions.cancel_waiting("s", "t") == [mine]
    commit()
    assert (stored(mine).status, stored(mine).error["code"]) == ("cancelled", "superseded")
    assert stored(other).status == "interrupted"


# -- answer ------------------------------------------------------------------------------------------------------------


def test_an_answer_lets_the_run_wait_for_a_worker_with_what_it_resumes_with(
    settings: Settings, scribe: Scribe, owner_id: uuid.UUID
) -> None:
    run_id = asking(settings, scribe, accepted(owner_id))
    actions.answer(run_id, {"colour": "red"})
    commit()
    assert stored(run_id).status == "pending"
    lease = claimed(settings, run_id)
    assert (lease.attempt, lease.command) == (2, {"resume": {"i1": {"colour": "red"}}})


def test_only_the_question_that_is_named_is_answered(settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    run_id = asking(settings, scribe, accepted(owner_id), [{"id": "i1", "value": 1}, {"id": "i2", "value": 2}])
    actions.answer(run_id, "yes", interrupt_id="i2")
    commit()
    assert stored(run_id).command == {"resume": {"i2": "yes"}}


def test_an_answer_to_another_question_is_refused_and_the_question_stays(settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    run_id = asking(settings, scribe, accepted(owner_id))
    with pytest.raises(NothingAsked):
        actions.answer(run_id, "red", interrupt_id="i9")
    rollback()
    assert stored(run_id).status == "interrupted"


def test_of_twenty_answers_at_once_one_counts(app: Flask, settings: Settings, scribe: Scribe, owner_id: uuid.UUID) -> None:
    run_id = asking(settings, scribe, accepted(owner_id))

    def answer(value: int) -> int:
        actions.answer(run_id, value)
        commit()
        return value

    results = at_once(app, [lambda value=value: answer(value) for value in range(20)])
    winners = [result for result in results if isinstance(result, int)]
    assert len(winners) == 1
    assert sum(isinstance(result, NothingAsked) for result in results) == 19
    assert stored(run_id).command == {"resume": {"i1": winners[0]}}


@pytest.mark.parametrize("state", ["pending", "running", "ended"])
def test_a_run_that_asks_nothing_takes_no_answer(settings: Settings, scribe: Scribe, owner_id: uuid.UUID, state: str) -> None:
    run_id = accepted(owner_id)
    if state != "pending":
        lease = claimed(settings, run_id)
    if state == "ended":
        scribe.end(lease)
        scribe.await_ends(1)
    with pytest.raises(NothingAsked):
        actions.answer(run_id, "red")
    rollback()


# -- end and what follows ----------------------------------------------------------------------------------------------


def test_a_run_that_ends_without_a_worker_has_its_follow_up_queued_and_due(owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id, then="chats.record_reply")
    actions.cancel(run_id)
    commit()
    assert stored(run_id).then_due_at is not None
    assert [str(run_id).encode() in message for message in queued("fast")] == [True]
    actions.then_done(run_id)
    commit()
    assert stored(run_id).then_due_at is None


def test_the_next_run_of_a_thread_is_woken_when_the_one_before_it_ends(owner_id: uuid.UUID) -> None:
    first, second = accepted(owner_id, thread_id="t"), accepted(owner_id, thread_id="t")
    redis.client().flushdb()
    actions.cancel(first)
    commit()
    assert stored(second).status == "pending"
    assert len(queued()) == 1


def test_a_stream_that_is_forgotten_takes_its_events_its_runs_and_its_numbers_with_it(settings: Settings, owner_id: uuid.UUID) -> None:
    run_id = accepted(owner_id, stream="s", thread_id="t")
    kept = accepted(owner_id, stream="other", thread_id="u")
    claimed(settings, run_id)
    actions.forget_stream("s")
    commit()
    assert log.read(of_stream("s"), after=0) == []
    assert log.last_number("s") == 0
    assert db.session.scalars(sa.select(Run.id)).all() == [kept]
    assert [b'"t"' in message or b"t" in message for message in queued("fast")] == [True]


def test_redis_is_known_to_be_away_at_once(app: Flask, settings: Settings) -> None:
    redis.configure("redis://127.0.0.1:9")
    try:
        assert not redis.is_up()
        with pytest.raises(redis_package.ConnectionError):
            redis.client().ping()
    finally:
        redis.configure(settings.redis_url)
    assert redis.is_up()
