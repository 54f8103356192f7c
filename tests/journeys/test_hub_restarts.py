"""Workers that are told to go, with runs in them: they hand them over, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.journeys.hub import Hub, hub
from tests.stack import eventually
from tests.talk import Line, Person, living_text, numbers, without_gaps

pytestmark = pytest.mark.usefixtures("rested")


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub(LEASE_S="4") as made:
        yield made


def test_a_graceful_restart_under_load_loses_and_fails_nothing(server: Hub) -> None:
    person = Person(server.stack.base_url)
    line = Line(person, person.chat("steps")).open()
    asked = line.say("n=20 delay=0.1")["run_id"]
    run_ids = server.start("steps", "n=20 delay=0.1", count=20)
    eventually(lambda: server.tokens(run_ids) > 100, what="some tokens")
    old = server.stack.pids("worker")
    server.stack.signal(signal.SIGHUP)
    later: list[str] = []
    deadline = time.monotonic() + 60
    while set(server.stack.pids("worker")) & set(old) and time.monotonic() < deadline:
        later += server.start("slow", "n=3")
    rows = server.await_status(run_ids + later + [asked], within_s=60)
    assert {row["status"] for row in rows} == {"success"}
    assert {row["deaths"] for row in rows} == {0}
    assert not any(row["is_alone"] for row in rows)
    server.check(run_ids + later + [asked])
    line.await_status(asked, "success")
    assert without_gaps(numbers(line))
    assert living_text(line, asked) == "".join(f"{step}{number} " for step in "abc" for number in range(1, 21))
    line.close()
    for run_id in run_ids:
        superseded = [event for event in server.events(run_id) if "supersedes" in event["data"]]
        assert len(superseded) <= 1


def test_a_worker_that_stops_hands_its_waiting_runs_over_in_time(server: Hub) -> None:
    run_ids = server.start("waiting", "for=4", count=50)
    server.await_status(run_ids, "running")
    old = server.stack.pids("worker")
    began = time.monotonic()
    os.kill(old[0], signal.SIGTERM)
    eventually(lambda: not os.path.exists(f"/proc/{old[0]}") or old[0] not in server.stack.pids("worker"), what="its leaving")
    left_s = time.monotonic() - began
    print(f"\nSIGTERM with {len(run_ids)} waiting runs: gone after {left_s:.1f} s")
    assert left_s < 10
    rows = server.await_status(run_ids, within_s=60)
    assert {(row["status"], row["deaths"], row["is_alone"]) for row in rows} == {("success", 0, False)}
    server.check(run_ids)


def test_a_run_alone_is_handed_over_by_a_restart_and_no_death_counts(server: Hub) -> None:
    run_id = server.start("steps", "n=25 delay=0.1")[0]
    eventually(lambda: server.tokens([run_id]) > 5, what="some tokens")
    server.stack.await_restart("worker", server.kill_worker())
    server.await_status([run_id], "running")
    eventually(lambda: server.run(run_id)["is_alone"] and server.run(run_id)["attempt"] == 2, what="its going on alone")
    before = server.tokens([run_id])
    eventually(lambda: server.tokens([run_id]) > before, what="its words")
    old = server.stack.pids("worker")
    os.kill(old[0], signal.SIGTERM)
    row = server.await_status([run_id], within_s=90)[0]
    assert (row["status"], row["deaths"]) == ("success", 0)
    server.check([run_id])
