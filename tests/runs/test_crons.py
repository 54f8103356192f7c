"""Crons: made, changed, and fired once, whoever fires them and whatever goes wrong."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.accounts.models import User
from server.kit.clock import after, now
from server.kit.db import commit, db
from server.kit.errors import Conflict, NotFound, TooMany, Unavailable
from server.runs.crons import actions
from server.runs.crons.actions import CronNotFound, fire_due
from server.runs.crons.models import Cron, Filter, count, search
from server.runs.crons.rules import BadSchedule
from server.runs.models import Run
from server.runs.threads import actions as threads
from tests.runs import factories

HOURLY = {"schedule": "0 * * * *"}


def made(owner_id: uuid.UUID, *, due_s: float | None = None, **payload: Any) -> Cron:
    """A cron; with `due_s`, one that was due so many seconds ago."""
    cron = actions.create(owner_id, uuid.uuid4(), {**HOURLY, **payload})
    if due_s is not None:
        cron.next_run_at = after(-due_s)
        commit()
    return cron


def stored(cron_id: uuid.UUID) -> Cron:
    db.session.rollback()
    return db.session.get_one(Cron, cron_id, populate_existing=True)


def starts(cron: Cron, was_due: dt.datetime) -> None:
    """Starts a run, as a door would."""
    factories.accepted(cron.owner_id, context={"cron_id": str(cron.id), "due": was_due.isoformat()})


def refuses(refusal: Exception) -> Callable[[Cron, dt.datetime], None]:
    def refuse(cron: Cron, was_due: dt.datetime) -> None:
        raise refusal

    return refuse


def runs() -> list[str]:
    """The crons of the runs that there are."""
    return [context["cron_id"] for context in db.session.scalars(sa.select(Run.context))]


# -- firing ------------------------------------------------------------------------------------------------------------


def test_a_cron_that_is_due_starts_a_run_and_has_its_next_time(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, due_s=1)
    moment = now()
    assert fire_due(moment, starts) == 1
    assert runs() == [str(cron.id)]
    following = stored(cron.id).next_run_at
    assert dt.timedelta(0) < following - moment <= dt.timedelta(hours=1)
    assert (following.minute, following.second) == (0, 0)


def test_a_cron_that_is_not_due_starts_nothing(owner_id: uuid.UUID) -> None:
    made(owner_id)
    assert fire_due(now(), starts) == 0
    assert runs() == []


def test_times_that_were_missed_are_made_up_for_by_one_run(owner_id: uuid.UUID) -> None:
    made(owner_id, due_s=86_400)
    assert fire_due(now(), starts) == 1
    assert fire_due(now(), starts) == 0
    assert len(runs()) == 1


def test_two_schedulers_fire_every_cron_once(app: Flask, owner_id: uuid.UUID) -> None:
    crons = {str(made(owner_id, due_s=number + 1).id) for number in range(200)}
    gate = threading.Barrier(2)
    counts: list[int] = []

    def schedule() -> None:
        with app.app_context():
            gate.wait(5)
            counts.append(fire_due(now(), starts))

    schedulers = [threading.Thread(target=schedule) for _ in range(2)]
    for each in schedulers:
        each.start()
    for each in schedulers:
        each.join(60)
    assert sum(counts) == 200
    assert sorted(runs()) == sorted(crons)


def test_a_scheduler_that_dies_in_the_middle_leaves_the_cron_due(owner_id: uuid.UUID) -> None:
    class Killed(BaseException):
        pass

    cron = made(owner_id, due_s=1)
    with pytest.raises(Killed):
        fire_due(now(), refuses(Killed()))  # type: ignore[arg-type]
    assert stored(cron.id).next_run_at < now()
    assert fire_due(now(), starts) == 1
    assert len(runs()) == 1


def test_crons_stay_due_while_no_runs_are_accepted(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, due_s=1)
    assert fire_due(now(), refuses(Unavailable())) == 0
    assert stored(cron.id).next_run_at < now()
    assert stored(cron.id).note is None


@pytest.mark.parametrize("refusal", [Conflict("The thread is busy."), TooMany("The queue is full."), RuntimeError("a bug")])
def test_a_refusal_is_noted_and_the_cron_goes_on_with_its_next_time(owner_id: uuid.UUID, refusal: Exception) -> None:
    cron = made(owner_id, due_s=1)
    assert fire_due(now(), refuses(refusal)) == 1
    left = stored(cron.id)
    assert left.enabled
    assert left.next_run_at > now()
    assert left.note == getattr(refusal, "message", "The server could not start the run.")


def test_a_note_goes_with_the_next_run(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, due_s=1)
    fire_due(now(), refuses(Conflict("The thread is busy.")))
    assert fire_due(after(3601), starts) == 1
    assert stored(cron.id).note is None


def test_a_cron_without_its_assistant_is_disabled(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, due_s=1)
    fire_due(now(), refuses(NotFound("Assistant not found")))
    left = stored(cron.id)
    assert (left.enabled, left.note) == (False, "Assistant not found")
    assert fire_due(after(7200), starts) == 0


def test_one_broken_cron_does_not_hold_up_the_others(owner_id: uuid.UUID) -> None:
    broken, sound = made(owner_id, due_s=10), made(owner_id, due_s=5)

    def start(cron: Cron, was_due: dt.datetime) -> None:
        if cron.id == broken.id:
            raise RuntimeError("a bug")
        starts(cron, was_due)

    assert fire_due(now(), start) == 2
    assert runs() == [str(sound.id)]


def test_a_cron_fires_no_more_after_its_end_time(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, due_s=1, end_time=after(-5))
    fire_due(now(), starts)
    left = stored(cron.id)
    assert (runs(), left.enabled, left.note) == ([], False, "Its end time has passed.")


def test_a_disabled_cron_does_not_fire_until_it_is_enabled(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, due_s=86_400, enabled=False)
    assert fire_due(now(), starts) == 0
    actions.update(owner_id, cron.id, {"enabled": True})
    assert fire_due(now(), starts) == 0  # what it has missed while it was disabled is not made up for
    assert fire_due(after(3601), starts) == 1


# -- making and changing -----------------------------------------------------------------------------------------------


def test_the_payload_says_what_was_asked_for_and_which_cron_it_is(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, input={"a": 1}, config={"tags": ["x"], "configurable": {"k": 1}}, metadata={"m": 1})
    assert cron.payload == {
        "assistant_id": str(cron.assistant_id),
        "schedule": "0 * * * *",
        "input": {"a": 1},
        "config": {"tags": ["x"], "configurable": {"k": 1, "cron_id": str(cron.id)}},
        "metadata": {"m": 1},
    }
    assert (cron.about, cron.on_run_completed, cron.enabled) == ({"m": 1}, "delete", True)


def test_a_change_replaces_and_merges_metadata(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, metadata={"a": 1}, config={"configurable": {"k": 1}})
    changed = actions.update(owner_id, cron.id, {"metadata": {"b": 2}, "schedule": "30 2 * * *", "timezone": "Asia/Kolkata", "config": {}})
    assert changed.about == {"a": 1, "b": 2}
    assert (changed.next_run_at.hour, changed.next_run_at.minute) == (21, 0)
    assert changed.payload["config"] == {"configurable": {"cron_id": str(cron.id)}}


def test_an_end_time_can_be_taken_back(owner_id: uuid.UUID) -> None:
    cron = made(owner_id, end_time=after(60))
    assert actions.update(owner_id, cron.id, {"end_time": None}).end_time is None


def test_a_bad_schedule_changes_nothing(owner_id: uuid.UUID) -> None:
    cron = made(owner_id)
    with pytest.raises(BadSchedule):
        actions.update(owner_id, cron.id, {"schedule": "nope", "metadata": {"a": 1}})
    assert (stored(cron.id).schedule, stored(cron.id).about) == ("0 * * * *", {})


def test_somebody_elses_cron_is_not_there(owner_id: uuid.UUID) -> None:
    cron, stranger = made(owner_id), factories.owner()
    for ask in (actions.get, actions.delete, lambda owner, cron_id: actions.update(owner, cron_id, {"enabled": False})):
        with pytest.raises(CronNotFound):
            ask(stranger, cron.id)
    assert search(Filter(owner_id=stranger), limit=10) == []
    assert stored(cron.id).enabled


def test_a_cron_goes_with_its_thread_and_with_its_owner(owner_id: uuid.UUID) -> None:
    thread = threads.create(owner_id, "daily")
    on_thread = actions.create(owner_id, uuid.uuid4(), dict(HOURLY, on_run_completed="keep"), thread=thread)
    made(owner_id)
    assert (on_thread.thread_name, on_thread.on_run_completed) == ("daily", None)
    db.session.execute(sa.text("DELETE FROM threads"))
    assert count(Filter(owner_id=owner_id)) == 1
    db.session.execute(sa.delete(User).where(User.id == owner_id))
    commit()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Cron)) == 0


def test_a_search_finds_by_what_it_asks_for(owner_id: uuid.UUID) -> None:
    first = made(owner_id, metadata={"a": 1, "b": {"c": 2}})
    second = made(owner_id, enabled=False)
    asked: dict[str, Any] = {
        "about": {"b": {"c": 2}},
        "assistant_id": first.assistant_id,
        "enabled": True,
        "must": {"a": 1},
    }
    for name, value in asked.items():
        assert [cron.id for cron in search(Filter(owner_id=owner_id, **{name: value}), limit=10)] == [first.id]
    assert [cron.id for cron in search(Filter(owner_id=owner_id), limit=10)] == [second.id, first.id]
    assert [cron.id for cron in search(Filter(owner_id=owner_id), limit=1, offset=1, is_ascending=True)] == [second.id]
    assert count(Filter(owner_id=owner_id, thread_name="none")) == 0
