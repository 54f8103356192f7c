"""Programs that ask for the same thing at the same time: one wins, and the others are told so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.journeys.conftest import web_beside
from tests.journeys.door import Caller, Stream, at_once
from tests.journeys.hub import Hub, hub
from tests.stack import eventually

MANY = 20


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub(WORKER_PROCESSES="2") as made:
        yield made


@pytest.fixture(scope="module")
def caller(server: Hub) -> Iterator[Caller]:
    with web_beside(server.stack) as url:
        yield Caller(server.stack.base_url, url)


def together(count: int, send: Any) -> list[requests.Response]:
    """The answers to requests that are sent at the same moment, alternately to the two web processes."""
    gate = threading.Barrier(count)

    def sent(number: int) -> requests.Response:
        gate.wait(20)
        answer: requests.Response = send(number)
        return answer

    return at_once([lambda number=number: sent(number) for number in range(count)], threads=count)


def diary_runs(caller: Caller, thread: str, strategy: str, *, pause: float) -> list[requests.Response]:
    def send(number: int) -> requests.Response:
        body = {"assistant_id": "diary", "input": {"who": str(number), "pause": pause}, "multitask_strategy": strategy}
        return caller.send("POST", f"/threads/{thread}/runs", body, number=number)

    return together(MANY, send)


def lines_of(caller: Caller, thread: str) -> list[str]:
    return list(caller.state(thread)["values"].get("lines", []))


def accepted(answers: list[requests.Response]) -> list[str]:
    return [answer.json()["run_id"] for answer in answers if answer.ok]


def nobody_between(lines: list[str]) -> bool:
    """Whether each began when the one before had ended."""
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return all((began, ended) == (f"{began.split()[0]} began", f"{began.split()[0]} ended") for began, ended in pairs)


def test_of_many_runs_at_once_that_want_a_thread_for_themselves_one_is_accepted(server: Hub, caller: Caller) -> None:
    thread = caller.thread()
    for turn in range(2):
        answers = diary_runs(caller, thread, "reject", pause=1.5)
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * (MANY - 1)
        refusal = next(answer for answer in answers if not answer.ok)
        assert refusal.json()["error"] == "thread_busy"
        server.await_status(accepted(answers), "success")
        lines = lines_of(caller, thread)
        assert len(lines) == 2 * (turn + 1)
        assert nobody_between(lines)


def test_many_runs_at_once_that_wait_for_each_other_are_carried_out_one_by_one(server: Hub, caller: Caller) -> None:
    thread = caller.thread()
    run_ids = accepted(diary_runs(caller, thread, "enqueue", pause=0.02))
    assert len(run_ids) == MANY
    server.await_status(run_ids, "success")
    lines = lines_of(caller, thread)
    assert nobody_between(lines)
    assert {line.split()[0] for line in lines[::2]} == {str(number) for number in range(MANY)}
    assert caller.send("GET", f"/threads/{thread}").json()["status"] == "idle"


def test_runs_that_wait_for_each_other_are_carried_out_in_the_order_in_which_they_were_asked_for(server: Hub, caller: Caller) -> None:
    thread = caller.thread()
    bodies = [{"assistant_id": "diary", "input": {"who": str(number), "pause": 0.05}} for number in range(MANY)]
    run_ids = accepted([caller.send("POST", f"/threads/{thread}/runs", body, number=number) for number, body in enumerate(bodies)])
    server.await_status(run_ids, "success")
    lines = lines_of(caller, thread)
    assert nobody_between(lines)
    assert [line.split()[0] for line in lines[::2]] == [str(number) for number in range(MANY)]


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_of_many_runs_at_once_that_push_each_other_aside_the_last_one_stays(server: Hub, caller: Caller, strategy: str) -> None:
    thread = caller.thread()
    run_ids = accepted(diary_runs(caller, thread, strategy, pause=0.5))
    assert len(run_ids) == MANY
    of_thread = "SELECT runs.status, runs.input FROM runs JOIN threads ON threads.id = thread_key WHERE threads.name = %s"
    active = of_thread + " AND runs.status IN ('pending', 'running')"
    eventually(lambda: not server.query(active, thread), within_s=60, what="the end of all runs")
    left = server.query(of_thread, thread)
    well = [row["input"]["who"] for row in left if row["status"] == "success"]
    assert len(well) == 1, [(row["status"], row["input"]["who"]) for row in left]
    lines = lines_of(caller, thread)
    assert lines[-2:] == [f"{well[0]} began", f"{well[0]} ended"]
    assert not [line for line in lines[:-1] if line.endswith("ended")]
    if strategy == "rollback":
        assert lines == [f"{well[0]} began", f"{well[0]} ended"]
    assert caller.send("GET", f"/threads/{thread}").json()["status"] == "idle"


@pytest.mark.parametrize("place", ["/threads/{}/runs", "/threads/{}/runs/wait", "/threads/{}/runs/stream", "/runs"])
def test_fifty_requests_under_one_key_make_one_run(server: Hub, caller: Caller, place: str) -> None:
    path = place.format(caller.thread())
    body = {"assistant_id": "diary", "input": {"who": "one"}}
    key = f"key of {path}"
    before = server.query("SELECT count(*) AS n FROM runs")[0]["n"]
    answers = together(50, lambda number: caller.send("POST", path, body, number=number, **{"Idempotency-Key": key}))
    assert {answer.status_code for answer in answers} == {200}, {answer.text for answer in answers if not answer.ok}
    assert len({answer.headers["Content-Location"].rpartition("/")[2] for answer in answers}) == 1
    assert server.query("SELECT count(*) AS n FROM runs")[0]["n"] == before + 1
    if "wait" in path:
        assert {str(answer.json()["lines"]) for answer in answers} == {"['one began', 'one ended']"}


def test_a_key_belongs_to_its_user(server: Hub, caller: Caller) -> None:
    other = Caller(*caller.urls)
    body = {"assistant_id": "diary", "input": {"who": "one"}}
    runs = [each.send("POST", "/runs", body, **{"Idempotency-Key": "the same"}).json()["run_id"] for each in (caller, other)]
    assert runs[0] != runs[1]


def test_two_users_threads_of_one_name_never_meet(server: Hub, caller: Caller) -> None:
    people = [caller, *(Caller(*caller.urls) for _ in range(3))]
    for each in people:
        each.thread("example-thread-123")

    def send(number: int) -> requests.Response:
        body = {"assistant_id": "diary", "input": {"who": f"user{number % len(people)}"}}
        return people[number % len(people)].send("POST", "/threads/example-thread-123/runs", body, number=number // len(people))

    answers = together(MANY, send)
    server.await_status(accepted(answers), "success")
    for number, each in enumerate(people):
        lines = lines_of(each, "example-thread-123")
        assert lines == [f"user{number} began", f"user{number} ended"] * (MANY // len(people))
        mine = {answer.json()["run_id"] for answer in answers[number :: len(people)]}
        assert {run["run_id"] for run in each.send("GET", "/threads/example-thread-123/runs?limit=100").json()} == mine
        history = each.send("GET", "/threads/example-thread-123/history?limit=1000").json()
        assert {state["metadata"]["run_id"] for state in history} <= mine


def test_of_two_answers_at_once_to_one_question_the_first_wins(server: Hub, caller: Caller) -> None:
    answer = {"assistant_id": "errand", "command": {"resume": "yes"}}
    for _ in range(5):
        thread = caller.thread()
        body = {"assistant_id": "errand", "input": {"what": "go"}}
        assert "__interrupt__" in caller.send("POST", f"/threads/{thread}/runs/wait", body).json()
        answers = together(4, lambda number, thread=thread: caller.send("POST", f"/threads/{thread}/runs", answer, number=number))
        assert sorted(each.status_code for each in answers) == [200, 409, 409, 409], [each.text for each in answers]
        server.await_status(accepted(answers), "success")
        assert caller.state(thread)["values"]["done"] == ["prepared", "allowed: yes", "acted"]
        assert caller.send("POST", f"/threads/{thread}/runs", answer).status_code == 409


@pytest.mark.parametrize("mode", ["updates", "values"])
def test_a_question_is_in_the_state_and_can_be_answered_as_soon_as_the_stream_has_told_it(caller: Caller, mode: str) -> None:
    for _ in range(10):
        thread = caller.thread()
        with Stream(
            caller, f"/threads/{thread}/runs/stream", body={"assistant_id": "errand", "input": {"what": "go"}, "stream_mode": mode}
        ) as said:
            next(frame for frame in said if "__interrupt__" in frame.data)
            state = caller.state(thread)
            assert [each["value"] for task in state["tasks"] for each in task["interrupts"]] == [{"may I": "go"}]
            assert caller.send("GET", f"/threads/{thread}").json()["status"] == "interrupted"
            answer = {"assistant_id": "errand", "command": {"resume": "yes"}}
            assert caller.send("POST", f"/threads/{thread}/runs/wait", answer).json()["done"] == ["prepared", "allowed: yes", "acted"]
