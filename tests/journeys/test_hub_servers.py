"""The servers below the hub go and come while runs are at work: nothing accepted is lost, nothing refused is carried out."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.journeys.hub import Hub, Refused, hub
from tests.stack import eventually
from tests.talk import Line, Person, living_text, numbers, without_gaps

COUNTED = "".join(f"{step}{number} " for step in "abc" for number in range(1, 21))


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub() as made:
        yield made


@pytest.fixture
def line(server: Hub) -> Iterator[Line]:
    person = Person(server.stack.base_url)
    opened = Line(person, person.chat("steps")).open()
    yield opened
    opened.close()


def saw_everything_once(line: Line, run_id: str) -> bool:
    line.await_status(run_id, "success", within_s=60)
    return without_gaps(numbers(line)) and living_text(line, run_id) == COUNTED


def test_redis_killed_and_emptied_loses_no_run_and_no_event(server: Hub, line: Line) -> None:
    asked = line.say("n=20 delay=0.1")["run_id"]
    run_ids = server.start("steps", "n=20 delay=0.05", count=10)
    eventually(lambda: server.tokens(run_ids) > 50, what="some tokens")
    for _ in range(2):
        server.kill_server("redis")
        server.empty_redis()
    began = time.monotonic()
    later = server.start("slow", "n=1")
    server.await_status(later)
    print(f"\nRedis killed twice and emptied: a new run ended {time.monotonic() - began:.1f} s after")
    rows = server.await_status(run_ids + later + [asked])
    assert {row["status"] for row in rows} == {"success"}
    assert {row["attempt"] for row in rows} == {1}
    server.check(run_ids + later + [asked])
    assert saw_everything_once(line, asked)


def test_runs_whose_messages_were_lost_are_found(server: Hub) -> None:
    worker = server.stack.pids("worker")[0]
    os.kill(worker, signal.SIGSTOP)  # so that it takes none of them
    run_ids = server.start("slow", "n=1", count=20)
    server.empty_redis()
    os.kill(worker, signal.SIGCONT)
    began = time.monotonic()
    rows = server.await_status(run_ids, within_s=40)
    print(f"\n20 lost messages: all ended {time.monotonic() - began:.1f} s after")
    assert {row["status"] for row in rows} == {"success"}


def test_while_redis_stands_still_nothing_is_accepted_and_nothing_of_it_is_carried_out_later(server: Hub) -> None:
    redis = server.stack.server_pid("redis")
    before = server.query("SELECT count(*) AS n FROM runs")[0]["n"]
    os.kill(redis, signal.SIGSTOP)
    try:
        with pytest.raises(Refused, match="unavailable"):
            server.start("slow", "n=1")
    finally:
        os.kill(redis, signal.SIGCONT)
    assert server.query("SELECT count(*) AS n FROM runs")[0]["n"] == before
    server.await_status(server.start("slow", "n=1"), "success")


def test_postgresql_restarted_under_runs_loses_and_doubles_nothing(server: Hub, line: Line) -> None:
    asked = line.say("n=20 delay=0.1")["run_id"]
    run_ids = server.start("steps", "n=20 delay=0.1", count=10)
    eventually(lambda: server.tokens(run_ids) > 50, what="some tokens")
    for _ in range(2):
        server.restart_postgresql()
        before = server.tokens(run_ids)
        began = time.monotonic()
        eventually(lambda before=before: server.tokens(run_ids) > before, what="going on")
        print(f"\nPostgreSQL restarted: tokens again after {time.monotonic() - began:.1f} s")
    rows = server.await_status([*run_ids, asked])
    assert {row["status"] for row in rows} == {"success"}
    assert {row["attempt"] for row in rows} == {1}
    server.check([*run_ids, asked])
    for run_id in run_ids:
        assert [message.type for message in server.state(run_id)["messages"]] == ["human", "ai", "ai", "ai"]
        assert "".join(event["data"]["delta"] for event in server.events(run_id) if event["type"] == "token") == COUNTED
    assert saw_everything_once(line, asked)


def test_a_run_is_taken_at_once_after_postgresql_was_restarted(server: Hub) -> None:
    server.restart_postgresql()
    began = time.monotonic()
    run_ids = eventually(lambda: accepted(server), within_s=5, what="taking runs")
    server.await_status(run_ids, "success", within_s=20)
    print(f"\n30 runs after a restart of PostgreSQL: {time.monotonic() - began:.1f} s")
    server.check(run_ids)


def answered(server: Hub, run_id: str) -> str:
    try:
        return server.answer(run_id, "red")
    except Refused:
        return ""


def accepted(server: Hub) -> list[str]:
    try:
        return server.start("slow", "n=1", count=30)
    except Refused:
        return []


def test_a_human_answers_after_everything_was_killed(server: Hub) -> None:
    run_id = server.start("asking")[0]
    question = server.await_status([run_id], "interrupted")[0]["interrupts"]
    killed = {kind: server.stack.kill(kind) for kind in ("worker", "scheduler", "web")}
    server.kill_server("redis")
    server.restart_postgresql()
    for kind, pids in killed.items():
        server.stack.await_restart(kind, pids)
    server.empty_redis()
    assert server.run(run_id)["interrupts"] == question
    assert eventually(lambda: answered(server, run_id), what="the database") == "ok"
    assert server.answer(run_id, "blue") == "nothing_asked"
    server.await_status([run_id], "interrupted")
    assert server.answer(run_id, "large") == "ok"
    row = server.await_status([run_id], "success")[0]
    assert row["output"]["content"] == "red and large"
    server.check([run_id])
