"""The runs' door: what it refuses, how a run is shown, and where a stream goes on. No worker answers here."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest
from flask import Flask

from server.kit.clock import new_id, now
from server.kit.db import commit, db
from server.langgraph_api import rendering
from server.realtime.events import Event
from server.runs import actions as hub
from server.runs.models import Run
from server.runs.programs import CursorUnknown
from server.runs.threads.models import Thread, named
from tests.accounts.factories import Person, ask, new_person, setting
from tests.runs import factories

NOBODY = "019f0000-0000-7000-8000-00000000dead"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}
RUN = {"assistant_id": "echo", "input": HELLO}
ERROR = {"code": "agent_failed", "kind": "ValueError", "message": "The agent failed (ValueError).", "retryable": False}


@pytest.fixture
def ada(app: Flask) -> Person:
    return new_person(app)


@pytest.fixture
def ben(app: Flask) -> Person:
    return new_person(app)


@pytest.fixture
def mine(ada: Person) -> str:
    """The name of a thread of Ada's."""
    assert ada.post("/threads", json={"thread_id": "mine"}).status_code == 200
    return "mine"


def started(person: Person, **options: Any) -> uuid.UUID:
    """A run on the thread `mine`, by the door."""
    answer = person.post("/threads/mine/runs", json={**RUN, "if_not_exists": "create", **options})
    assert answer.status_code == 200, answer.text
    return uuid.UUID(answer.json["run_id"])


def ended(run_id: uuid.UUID, status: str = "success", *, says: tuple[tuple[str, Any], ...] = (), **facts: Any) -> Run:
    """The run, once it has begun, said this, and ended so."""
    run = factories.stored(run_id)
    hub.note(run, [("run", {"run_id": str(run_id), "status": "running", "attempt": 1}), *says])
    for name, value in facts.items():
        setattr(run, name, value)
    run.status = "running"
    hub.end(run, status, error=run.error)
    run.interrupts = facts.get("interrupts")
    commit()
    return factories.stored(run_id)


def thread_of(person: Person, name: str = "mine") -> Thread:
    db.session.rollback()
    thread = named(uuid.UUID(person.user_id), name)
    assert thread is not None
    return thread


def streamed(person: Person, path: str, **options: Any) -> Any:
    """The answer to who follows a run, read to its end."""
    return person.get(path, buffered=True, **options)


def frames(text: str) -> list[dict[str, str]]:
    """The events of a stream."""
    return [dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":")) for frame in text.split("\n\n") if frame]


# -- what is refused ---------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, int, str]] = {
    "no assistant": ({"input": HELLO}, 422, "invalid"),
    "an assistant that is a number": ({"assistant_id": 7}, 422, "invalid"),
    "an unknown graph": ({"assistant_id": "nope"}, 422, "invalid"),
    "a mode that is none": ({**RUN, "stream_mode": "nope"}, 422, "invalid"),
    "modes that are no list": ({**RUN, "stream_mode": {"values": 1}}, 422, "invalid"),
    "a strategy that is none": ({**RUN, "multitask_strategy": "nope"}, 422, "invalid"),
    "a durability that is none": ({**RUN, "durability": "nope"}, 422, "invalid"),
    "a start before now": ({**RUN, "after_seconds": -1}, 422, "invalid"),
    "a limit that is none": ({**RUN, "config": {"recursion_limit": "a"}}, 422, "invalid"),
    "tags that are no texts": ({**RUN, "config": {"tags": [1]}}, 422, "invalid"),
    "nodes that are none": ({**RUN, "interrupt_before": [1]}, 422, "invalid"),
    "an input and a command": ({**RUN, "command": {"resume": 1}}, 422, "invalid"),
    "a command of another kind": ({"assistant_id": "echo", "command": {"stop": True}}, 422, "invalid"),
    "a command that goes nowhere": ({"assistant_id": "echo", "command": {"goto": 7}}, 422, "invalid"),
    "an update that is none": ({"assistant_id": "echo", "command": {"update": ["a"]}}, 422, "invalid"),
    "a context twice": ({**RUN, "context": {"a": 1}, "config": {"configurable": {"a": 1}}}, 400, "context_and_configurable"),
    "an answer where nobody asked": ({"assistant_id": "echo", "command": {"resume": 1}}, 409, "nothing_asked"),
}


@pytest.mark.parametrize(("sent", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_a_run_that_makes_no_sense_is_refused_and_not_stored(ada: Person, mine: str, sent: Any, status: int, code: str) -> None:
    for route in ("", "/stream", "/wait"):
        answer = ada.post(f"/threads/{mine}/runs{route}", json=sent)
        assert (answer.status_code, answer.json["error"]) == (status, code)
        assert answer.json["detail"] == answer.json["message"]
    assert ada.get(f"/threads/{mine}/runs").json == []
    assert thread_of(ada).status == "idle"


@pytest.mark.parametrize("sent", [b"", b"{nope", b"[" * 100_000])
def test_a_body_that_is_no_json_cannot_be_processed(ada: Person, mine: str, sent: bytes) -> None:
    for route in ("/threads/mine/runs", "/threads/mine/runs/stream", "/threads/mine/runs/wait", "/runs", "/runs/batch"):
        answer = ada.post(route, data=sent, content_type="application/json")
        assert (answer.status_code, answer.json["error"], answer.json["detail"]) == (422, "missing_json", "Invalid JSON in request body")


@pytest.mark.parametrize("sent", [[], {}, [RUN, 7], [RUN, {"assistant_id": "nope"}], [RUN] * 101])
def test_of_a_batch_with_one_that_makes_no_sense_none_is_started(ada: Person, sent: Any) -> None:
    assert ada.post("/runs/batch", json=sent).status_code == 422
    db.session.rollback()
    assert db.session.query(Run).count() == 0


ROUTES = (("GET", ""), ("GET", "/join"), ("GET", "/stream"), ("POST", "/cancel"), ("DELETE", ""))


@pytest.mark.parametrize(("run_id", "status"), [(NOBODY, 404), ("nope", 422), ("7", 422)])
def test_a_run_that_is_not_there_is_not_found(ada: Person, mine: str, run_id: str, status: int) -> None:
    for method, path in ROUTES:
        assert ada.ask(method, f"/threads/{mine}/runs/{run_id}{path}").status_code == status


def test_somebody_elses_run_is_not_there(ada: Person, ben: Person) -> None:
    run_id = started(ada)
    ben.post("/threads", json={"thread_id": "mine"})
    for method, path in ROUTES:
        assert ben.ask(method, f"/threads/mine/runs/{run_id}{path}").status_code == 404
    assert ben.get(f"/runs/{run_id}/stream").status_code == 404
    assert ben.post("/runs/cancel", json={"run_ids": [str(run_id)]}).status_code == 404
    assert factories.stored(run_id).status == "pending"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/threads/mine/nothing", 404),
        ("PUT", "/threads", 405),
        ("PATCH", "/runs/batch", 405),
        ("GET", "/store/nothing", 404),
        ("GET", "/assistants/a/b/c", 404),
    ],
)
def test_a_route_that_is_not_there_is_refused_in_the_words_of_its_neighbours(app: Flask, method: str, path: str, status: int) -> None:
    answer = ask(app, method, path)
    assert answer.status_code == status
    assert set(answer.json) == {"detail", "error", "message"}


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing/here"), ("GET", "/workspace/a/b/c/d"), ("PUT", "/auth/login")])
def test_a_route_of_no_dialect_is_refused_as_everywhere_else(app: Flask, method: str, path: str) -> None:
    assert set(ask(app, method, path).json) == {"msg"}


def test_a_second_run_is_refused_where_its_sender_wants_that(ada: Person) -> None:
    run_id = started(ada)
    answer = ada.post("/threads/mine/runs", json={**RUN, "multitask_strategy": "reject"})
    assert (answer.status_code, answer.json["error"]) == (409, "thread_busy")
    assert [each["run_id"] for each in ada.get("/threads/mine/runs").json] == [str(run_id)]


def test_a_run_on_a_thread_that_is_not_there_makes_it_only_where_that_is_wanted(ada: Person) -> None:
    assert ada.post("/threads/new/runs", json=RUN).status_code == 404
    assert ada.post("/threads/new/runs", json={**RUN, "if_not_exists": "create"}).status_code == 200
    assert thread_of(ada, "new").status == "busy"


# -- how it is shown ---------------------------------------------------------------------------------------------------


def test_a_run_is_shown_as_it_was_asked_for(ada: Person, mine: str) -> None:
    answer = ada.post(
        f"/threads/{mine}/runs",
        json={**RUN, "metadata": {"m": 1}, "stream_mode": "updates", "config": {"tags": ["t"], "configurable": {"k": 1}}},
    )
    shown = answer.json
    assert answer.headers["Content-Location"] == f"/threads/mine/runs/{shown['run_id']}"
    assert (shown["thread_id"], shown["status"], shown["multitask_strategy"]) == ("mine", "pending", "enqueue")
    assert shown["metadata"].items() >= {"m": 1, "graph_id": "echo", "assistant_id": shown["assistant_id"]}.items()
    assert (shown["input"], shown["kwargs"]["input"], shown["kwargs"]["stream_mode"]) == (HELLO, HELLO, ["updates"])
    assert shown["kwargs"]["config"]["configurable"].items() >= {"k": 1, "thread_id": "mine", "run_id": shown["run_id"]}.items()
    assert ada.get(f"/threads/mine/runs/{shown['run_id']}").json == shown


@pytest.mark.parametrize(("on_completion", "is_temporary"), [(None, True), ("delete", True), ("keep", False)])
def test_a_stateless_run_says_whether_its_thread_goes_with_it(ada: Person, on_completion: str | None, is_temporary: bool) -> None:
    shown = ada.post("/runs", json={**RUN, "on_completion": on_completion}).json
    assert shown["kwargs"]["temporary"] is is_temporary
    assert thread_of(ada, shown["thread_id"]).is_temporary is is_temporary


def test_the_same_idempotency_key_is_the_same_run(app: Flask, ada: Person) -> None:
    headers = {"Authorization": f"Bearer {ada.access}", "Idempotency-Key": "once"}
    first, second = (ask(app, "POST", "/runs", json=RUN, headers=headers).json["run_id"] for _ in range(2))
    assert first == second


ENDS: tuple[tuple[str, str, str, dict[str, Any], Any], ...] = (
    ("success", "success", "completed", {"output": {"n": 1}}, {"n": 1}),
    ("error", "error", "failed", {"error": ERROR}, {"__error__": {"error": "ValueError", "message": ERROR["message"]}}),
    (
        "timeout",
        "timeout",
        "failed",
        {"error": {**ERROR, "kind": None}},
        {"__error__": {"error": "agent_failed", "message": ERROR["message"]}},
    ),
    ("cancelled", "interrupted", "cancelled", {"output": {"n": 1}, "error": hub.CANCELLED}, {"n": 1}),
)


@pytest.mark.parametrize(("status", "word", "older", "facts", "left"), ENDS, ids=[each[0] for each in ENDS])
def test_an_end_is_told_in_the_words_that_are_set(
    app: Flask, ada: Person, status: str, word: str, older: str, facts: dict[str, Any], left: Any
) -> None:
    run = ended(started(ada), status, **facts)
    path = f"/threads/mine/runs/{run.id}"
    assert ada.get(path).json["status"] == word
    assert ada.get(f"{path}/join").json == left
    assert [each["run_id"] for each in ada.get(f"/threads/mine/runs?status={older}").json] == [str(run.id)]
    assert ada.get("/threads/mine/runs?status=pending").json == []
    with setting(app, run_status_words="aegra"):
        assert ada.get(path).json["status"] == older


def test_a_cancelled_run_and_one_that_waits_can_be_told_apart(ada: Person) -> None:
    cancelled = ended(started(ada), "cancelled", error=hub.CANCELLED)
    shown = ada.get(f"/threads/mine/runs/{cancelled.id}").json
    assert (shown["status"], shown["cancel_reason"], shown["error_message"]) == ("interrupted", "cancelled", None)
    assert shown["cancelled_at"] is not None


def test_a_run_that_asks_is_told_with_what_it_left(app: Flask) -> None:
    asked = {"id": "q", "value": "why?", "task_id": "t", "node": "ask", "namespace": []}
    run = Run(status="interrupted", interrupts=[asked], output={"n": 1})
    assert rendering.ending_of(run) == {"n": 1, "__interrupt__": [{"value": "why?", "id": "q", "response_schema": None}]}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, {"error": "error", "message": ""}),
        (ERROR, {"error": "ValueError", "message": ERROR["message"]}),
        ({"code": "output_too_large", "message": "m"}, {"error": "output_too_large", "message": "m"}),
    ],
)
def test_a_failure_is_told_by_its_class_or_else_by_its_code(error: Any, told: Any) -> None:
    assert rendering.failure(error) == told


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("completed", ["success"]),
        ("failed", ["error", "timeout"]),
        ("interrupted", ["interrupted", "cancelled"]),
        ("running", ["running"]),
        ("nope", []),
    ],
)
def test_a_word_of_either_family_means_the_same_runs(word: str, meant: list[str]) -> None:
    assert rendering.statuses(word) == meant


def test_a_failed_run_leaves_its_error_on_the_thread_in_the_same_words(ada: Person) -> None:
    ended(started(ada), "error", error=ERROR)
    shown = ada.get("/threads/mine").json
    assert (shown["status"], shown["error"]) == ("error", {"error": "ValueError", "message": ERROR["message"]})


def test_a_thread_says_what_it_was_configured_with_once_it_has_had_a_run(ada: Person, mine: str) -> None:
    assert ada.get("/threads/mine").json["config"] == {}
    started(ada)
    assert ada.get("/threads/mine").json["config"] == {"configurable": {}}
    started(ada, config={"configurable": {"k": 1}})
    assert ada.get("/threads/mine").json["config"] == {"configurable": {"k": 1}}


# -- lists -------------------------------------------------------------------------------------------------------------


def test_the_runs_of_a_thread_come_newest_first_and_by_pages(ada: Person) -> None:
    run_ids = [str(started(ada)) for _ in range(3)]
    assert [each["run_id"] for each in ada.get("/threads/mine/runs").json] == run_ids[::-1]
    assert ada.get("/threads/mine/runs?limit=1&offset=1&select=run_id").json == [{"run_id": run_ids[1]}]


@pytest.mark.parametrize(("asked", "status"), [("select=nope", 422), ("limit=1001", 422), ("offset=-1", 422), ("limit=0", 200)])
def test_a_list_that_cannot_be_had_is_refused(ada: Person, mine: str, asked: str, status: int) -> None:
    assert ada.get(f"/threads/{mine}/runs?{asked}").status_code == status


# -- streams -----------------------------------------------------------------------------------------------------------

SAID: tuple[tuple[str, Any], ...] = (("values", {"n": 1}), ("updates", {"a": 1}), ("messages/partial", []), ("updates|child:1", {"b": 1}))


def test_a_run_that_has_ended_is_replayed(ada: Person) -> None:
    run = ended(started(ada), says=SAID)
    answer = streamed(ada, f"/threads/mine/runs/{run.id}/stream")
    told = frames(answer.text)
    assert [each["event"] for each in told] == ["metadata", *(kind for kind, _ in SAID), "end"]
    assert [each["id"] for each in told] == [f"{run.id}_event_{n}" for n in range(6)]
    assert orjson.loads(told[0]["data"]) == {"run_id": str(run.id), "attempt": 1}
    assert orjson.loads(told[-1]["data"]) == {"status": "success"}
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert streamed(ada, f"/runs/{run.id}/stream").text == answer.text


def test_a_run_that_failed_is_told_so_last(ada: Person) -> None:
    run = ended(started(ada), "error", error=ERROR)
    told = frames(streamed(ada, f"/threads/mine/runs/{run.id}/stream").text)
    assert [each["event"] for each in told] == ["metadata", "error"]
    assert orjson.loads(told[-1]["data"]) == {"error": "ValueError", "message": ERROR["message"]}


@pytest.mark.parametrize(
    ("modes", "kinds"),
    [
        ("updates", ["updates", "updates|child:1"]),
        ("messages-tuple", ["messages/partial"]),
        ("values,updates", ["values", "updates", "updates|child:1"]),
    ],
)
def test_a_reader_may_want_some_modes_alone(ada: Person, modes: str, kinds: list[str]) -> None:
    run = ended(started(ada), says=SAID)
    told = [each["event"] for each in frames(streamed(ada, f"/threads/mine/runs/{run.id}/stream?stream_mode={modes}").text)]
    assert [kind for kind in told if kind not in ("metadata", "end")] == kinds


def test_a_mode_that_is_none_is_refused(ada: Person) -> None:
    assert ada.get(f"/threads/mine/runs/{started(ada)}/stream?stream_mode=nope").status_code == 422


CURSORS = (("-1", 6), ("{run}_event_0", 5), ("{run}_event_4", 1), ("{run}_event_5", 0))


@pytest.mark.parametrize(("cursor", "left"), CURSORS)
def test_a_stream_goes_on_after_the_event_that_a_reader_has(app: Flask, ada: Person, cursor: str, left: int) -> None:
    run = ended(started(ada), says=SAID)
    headers = {"Authorization": f"Bearer {ada.access}", "Last-Event-ID": cursor.replace("{run}", str(run.id))}
    answer = ask(app, "GET", f"/threads/mine/runs/{run.id}/stream", headers=headers, buffered=True)
    assert answer.status_code == 200
    assert [each["id"] for each in frames(answer.text)] == [f"{run.id}_event_{n}" for n in range(6 - left, 6)]


UNKNOWN = ("7", "nope", f"{NOBODY}_event_0", "{run}_event_6", "{run}_event_", "{run}_event_-1", "{run}_event_٣", "{run}_event_" + "9" * 40)


@pytest.mark.parametrize("cursor", UNKNOWN)
def test_an_event_that_a_run_never_said_is_refused(app: Flask, ada: Person, cursor: str) -> None:
    run = ended(started(ada), says=SAID)
    with pytest.raises(CursorUnknown):
        rendering.number_after(cursor.replace("{run}", str(run.id)), run)
    answer = ada.get(f"/threads/mine/runs/{run.id}/stream", query_string={"last_event_id": cursor.replace("{run}", str(run.id))})
    assert (answer.status_code, answer.json["error"]) == (410, "cursor_unknown")


def test_what_is_said_in_the_thread_protocol_is_not_told_here() -> None:
    event = Event(None, None, new_id(), 1, "v3.values", b"{}", now())
    assert rendering.told(event, "langgraph") is None


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_a_stopped_run_answers_without_a_body(ada: Person) -> None:
    answer = ada.post(f"/threads/mine/runs/{started(ada)}/cancel")
    assert (answer.status_code, answer.data, answer.headers.get("Content-Type")) == (202, b"", None)


def test_stopping_what_has_ended_finds_nothing(ada: Person) -> None:
    run = ended(started(ada))
    answer = ada.post(f"/threads/mine/runs/{run.id}/cancel")
    assert (answer.status_code, answer.json["error"]) == (404, "nothing_to_cancel")


@pytest.mark.parametrize("status", ["pending", "all"])
def test_all_of_ones_own_can_be_stopped(ada: Person, ben: Person, status: str) -> None:
    hers, his = started(ada), started(ben)
    answer = ada.post("/runs/cancel", json={"status": status})
    assert (answer.status_code, answer.headers.get("Content-Type")) == (204, None)
    assert (factories.stored(hers).status, factories.stored(his).status) == ("cancelled", "pending")
    assert thread_of(ada).status == "idle"


@pytest.mark.parametrize(
    ("sent", "status"),
    [({}, 422), ({"status": "nope"}, 422), ({"run_ids": ["nope"]}, 422), ({"run_ids": [NOBODY]}, 404), ({"status": "running"}, 404)],
)
def test_stopping_nothing_is_refused(ada: Person, mine: str, sent: Any, status: int) -> None:
    assert ada.post("/runs/cancel", json=sent).status_code == status


def test_a_deleted_run_is_gone_and_leaves_its_thread_free(ada: Person) -> None:
    run_id = started(ada)
    answer = ada.delete(f"/threads/mine/runs/{run_id}")
    assert (answer.status_code, answer.headers.get("Content-Type")) == (204, None)
    assert ada.get(f"/threads/mine/runs/{run_id}").status_code == 404
    assert thread_of(ada).status == "idle"
