"""The crons' door, and how a cron starts a run."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from server.kit.clock import after
from server.kit.db import commit, db
from server.langgraph_api.crons import fire
from server.runs.crons.models import Cron
from server.runs.models import Run
from server.runs.threads.models import Thread
from tests.accounts.factories import Person, new_person

ECHO = str(uuid.uuid5(uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8"), "echo"))
NOBODY = "019f0000-0000-7000-8000-000000000000"
INPUT = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def anna(app: Flask) -> Person:
    return new_person(app)


@pytest.fixture
def ben(app: Flask, anna: Person) -> Person:
    return new_person(app)


def made(person: Person, path: str = "/runs/crons", **fields: Any) -> dict[str, Any]:
    answer = person.post(path, json={"assistant_id": "echo", "schedule": "0 9 * * *", **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json or {})


def due() -> None:
    """Let every cron be due, since a second ago."""
    db.session.rollback()
    db.session.execute(sa.update(Cron).values(next_run_at=after(-1)))
    commit()


def runs() -> list[Run]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Run).order_by(Run.id)))


# -- the door ----------------------------------------------------------------------------------------------------------


def test_a_cron_is_shown_as_the_dialect_knows_it(anna: Person) -> None:
    cron = made(anna, input=INPUT, metadata={"a": 1}, config={"configurable": {"k": 1}})
    assert cron.pop("next_run_date").endswith("09:00:00Z")
    assert cron.pop("created_at") == cron.pop("updated_at")
    cron_id = cron["cron_id"]
    assert cron == {
        "cron_id": cron_id,
        "assistant_id": ECHO,
        "thread_id": None,
        "user_id": anna.user_id,
        "end_time": None,
        "schedule": "0 9 * * *",
        "timezone": None,
        "payload": {
            "assistant_id": ECHO,
            "schedule": "0 9 * * *",
            "input": INPUT,
            "metadata": {"a": 1},
            "config": {"configurable": {"k": 1, "cron_id": cron_id}},
        },
        "metadata": {"a": 1},
        "on_run_completed": "delete",
        "enabled": True,
    }
    assert {**cron, **(anna.get(f"/runs/crons/{cron_id}").json or {})}["payload"] == cron["payload"]


def test_a_cron_of_a_thread_names_it(anna: Person) -> None:
    anna.post("/threads", json={"thread_id": "daily"})
    cron = made(anna, "/threads/daily/runs/crons", on_run_completed="keep")
    assert (cron["thread_id"], cron["on_run_completed"]) == ("daily", None)
    found = anna.post("/runs/crons/search", json={"thread_id": "daily"}).json or []
    assert [each["cron_id"] for each in found] == [cron["cron_id"]]


def test_a_change_shows_at_once(anna: Person) -> None:
    path = f"/runs/crons/{made(anna, metadata={'a': 1})['cron_id']}"
    changes = {"schedule": "*/5 * * * *", "enabled": False, "metadata": {"b": 2}, "timezone": "Europe/Berlin", "on_run_completed": "keep"}
    changed = anna.ask("PATCH", path, json={**changes, "end_time": "2030-01-01T00:00:00Z"}).json or {}
    assert {**changed, **changes, "metadata": {"a": 1, "b": 2}} == changed
    assert changed["end_time"] == "2030-01-01T00:00:00Z"
    assert (anna.ask("PATCH", path, json={"end_time": None}).json or {})["end_time"] is None


def test_a_search_pages_sorts_and_selects(anna: Person) -> None:
    names = [made(anna, metadata={"n": number})["cron_id"] for number in range(3)]
    page = anna.post("/runs/crons/search", json={"limit": 2, "sort_by": "created_at", "sort_order": "asc", "select": ["cron_id"]})
    assert page.json == [{"cron_id": name} for name in names[:2]]
    assert (page.headers["X-Pagination-Total"], page.headers["X-Pagination-Next"]) == ("3", "2")
    assert anna.post("/runs/crons/count", json={}).json == 3
    assert anna.post("/runs/crons/count", json={"metadata": {"n": 1}}).json == 1
    assert anna.post("/runs/crons/search", json={"assistant_id": NOBODY}).json == []


def test_a_deleted_cron_is_gone(anna: Person) -> None:
    path = f"/runs/crons/{made(anna)['cron_id']}"
    answer = anna.delete(path)
    assert (answer.status_code, answer.data) == (204, b"")
    assert anna.get(path).status_code == 404
    assert anna.delete(path).status_code == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"schedule": "nope"}, 422),
        ({"schedule": ""}, 422),
        ({"schedule": None}, 422),
        ({"schedule": 5}, 422),
        ({"schedule": "0 0 30 2 *"}, 422),
        ({"timezone": "Nope/Zone"}, 422),
        ({"end_time": "nope"}, 422),
        ({"on_run_completed": "nope"}, 422),
        ({"multitask_strategy": "nope"}, 422),
        ({"webhook": "/hook"}, 422),
        ({"webhook": "http://127.0.0.1/hook"}, 422),
        ({"assistant_id": "nope"}, 422),
        ({"assistant_id": None}, 422),
        ({"assistant_id": NOBODY}, 404),
        ({"context": {"a": 1}, "config": {"configurable": {"b": 2}}}, 400),
    ],
)
def test_what_is_no_cron_is_refused(anna: Person, fields: dict[str, Any], status: int) -> None:
    answer = anna.post("/runs/crons", json={"assistant_id": "echo", "schedule": "0 9 * * *", **fields})
    assert answer.status_code == status, answer.text
    assert {"detail", "error", "message"} <= set(answer.json or {})
    assert anna.post("/runs/crons/count", json={}).json == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/threads/unknown/runs/crons", {"assistant_id": "echo", "schedule": "0 9 * * *"}, 404),
        ("GET", "/runs/crons/nope", None, 422),
        ("GET", f"/runs/crons/{NOBODY}", None, 404),
        ("PATCH", f"/runs/crons/{NOBODY}", {"enabled": True}, 404),
        ("PATCH", f"/runs/crons/{NOBODY}", {}, 400),
        ("DELETE", f"/runs/crons/{NOBODY}", None, 404),
        ("POST", "/runs/crons/search", {"limit": 0}, 422),
        ("POST", "/runs/crons/search", {"limit": 1001}, 422),
        ("POST", "/runs/crons/search", {"sort_by": "payload"}, 422),
        ("POST", "/runs/crons/search", {"select": ["zz"]}, 422),
        ("POST", "/runs/crons/search", {"assistant_id": "echo"}, 422),
        ("POST", "/runs/crons/count", {"assistant_id": "nope"}, 422),
    ],
)
def test_what_is_not_there_or_no_question_is_refused(anna: Person, method: str, path: str, body: Any, status: int) -> None:
    assert anna.ask(method, path, json=body).status_code == status


def test_somebody_elses_cron_is_not_there(anna: Person, ben: Person) -> None:
    path = f"/runs/crons/{made(anna)['cron_id']}"
    anna.post("/threads", json={"thread_id": "daily"})
    assert ben.get(path).status_code == 404
    assert ben.ask("PATCH", path, json={"enabled": False}).status_code == 404
    assert ben.delete(path).status_code == 404
    assert ben.post("/runs/crons/search", json={}).json == []
    assert ben.post("/threads/daily/runs/crons", json={"assistant_id": "echo", "schedule": "0 9 * * *"}).status_code == 404
    assert anna.get(path).status_code == 200


def test_nobody_comes_in_without_a_credential(app: Flask) -> None:
    client = app.test_client()
    for method, path in (("POST", "/runs/crons"), ("POST", "/runs/crons/search"), ("GET", f"/runs/crons/{NOBODY}")):
        assert client.open(path, method=method, json={}).status_code == 401


# -- firing ------------------------------------------------------------------------------------------------------------


def test_a_cron_that_is_due_starts_a_run_as_its_owner_would(anna: Person) -> None:
    cron = made(anna, input=INPUT, metadata={"a": 1}, webhook="https://example.com/hook", config={"configurable": {"k": 1}})
    due()
    assert fire() == 1
    (run,) = runs()
    assert (str(run.owner_id), run.agent_id, run.input, run.status) == (anna.user_id, "echo", INPUT, "pending")
    assert run.about["a"] == 1
    assert run.options is not None
    assert run.options["webhook"] == "https://example.com/hook"
    configurable = run.options["config"]["configurable"]
    assert (configurable["k"], configurable["cron_id"]) == (1, cron["cron_id"])
    assert db.session.get_one(Thread, run.thread_key).is_temporary


def test_each_time_has_one_run_even_where_it_is_fired_again(anna: Person) -> None:
    made(anna)
    due()
    moment = db.session.scalar(sa.select(Cron.next_run_at))
    fire()
    db.session.execute(sa.update(Cron).values(next_run_at=moment))
    commit()
    fire()
    assert len(runs()) == 1


def test_a_cron_with_a_context_says_there_which_it_is(anna: Person) -> None:
    cron = made(anna, context={"who": "x"})
    due()
    assert fire() == 1
    (run,) = runs()
    assert {**run.context, "who": "x", "cron_id": cron["cron_id"]} == run.context


def test_a_kept_thread_is_no_temporary_one(anna: Person) -> None:
    made(anna, on_run_completed="keep")
    due()
    fire()
    assert not db.session.get_one(Thread, runs()[0].thread_key).is_temporary


def test_the_runs_of_a_threads_cron_go_on_with_it(anna: Person) -> None:
    anna.post("/threads", json={"thread_id": "daily"})
    made(anna, "/threads/daily/runs/crons")
    for _ in range(2):
        due()
        fire()
    keys = {run.thread_key for run in runs()}
    assert [db.session.get_one(Thread, key).name for key in keys if key] == ["daily"]
    assert len(runs()) == 2


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_a_cron_that_stops_what_its_thread_does_starts_one_run_a_time(anna: Person, strategy: str) -> None:
    anna.post("/threads", json={"thread_id": "daily"})
    made(anna, "/threads/daily/runs/crons", multitask_strategy=strategy)
    for expected in (1, 2):
        due()
        assert fire() == 1
        assert len(runs()) == expected
    assert [run.status for run in runs()][-1] == "pending"
    assert (db.session.scalar(sa.select(Cron.next_run_at)) or after(0)) > after(0)


def test_a_busy_thread_that_is_to_reject_is_passed_over_and_said_so(anna: Person) -> None:
    anna.post("/threads", json={"thread_id": "daily"})
    cron = made(anna, "/threads/daily/runs/crons", multitask_strategy="reject")
    for _ in range(2):
        due()
        fire()
    assert len(runs()) == 1
    shown = anna.get(f"/runs/crons/{cron['cron_id']}").json or {}
    assert shown["enabled"]
    assert "already running" in shown["note"]


def test_a_cron_whose_assistant_was_deleted_is_disabled(anna: Person) -> None:
    mine = (anna.post("/assistants", json={"graph_id": "echo"}).json or {})["assistant_id"]
    cron = made(anna, assistant_id=mine)
    anna.delete(f"/assistants/{mine}")
    due()
    fire()
    shown = anna.get(f"/runs/crons/{cron['cron_id']}").json or {}
    assert (runs(), shown["enabled"]) == ([], False)
    assert mine in shown["note"]


def test_a_change_cannot_lead_a_webhook_inside(anna: Person) -> None:
    path = f"/runs/crons/{made(anna)['cron_id']}"
    assert anna.ask("PATCH", path, json={"webhook": "http://[::1]/"}).status_code == 422
