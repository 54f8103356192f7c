"""Workers that are killed, frozen and filled up, with runs in them: every run ends, and once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.journeys.hub import Hub, hub
from tests.stack import eventually
from tests.talk import Line, Person, living_text, numbers, without_gaps

pytestmark = pytest.mark.usefixtures("rested")

WORDS = "".join(f"{step}{number} " for step in "abc" for number in range(1, 9))


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub(LEASE_S="4") as made:
        yield made


def step_starts(server: Hub, run_id: str) -> list[str]:
    return [each["data"]["name"] for each in server.events(run_id) if each["type"] == "step" and each["data"]["phase"] == "start"]


@pytest.mark.timeout(300)  # The bounds of what it waits for are more than the usual two minutes.
def test_a_worker_killed_again_and_again_loses_no_run_and_doubles_nothing(server: Hub) -> None:
    people = [Person(server.stack.base_url) for _ in range(3)]
    lines = [Line(person, person.chat("steps")).open() for person in people]
    asked = [line.say("n=8 delay=0.1")["run_id"] for line in lines]
    run_ids = server.start("steps", "n=8 delay=0.1", count=30)
    recoveries = []
    chance = random.Random(1)
    for _ in range(2):
        before = server.tokens(run_ids)
        eventually(lambda before=before: server.tokens(run_ids) > before + 60, what="some tokens")
        time.sleep(chance.random())  # anywhere in the work
        killed = server.kill_worker()
        killed_at = time.monotonic()
        before = server.tokens(run_ids)
        server.stack.await_restart("worker", killed)
        eventually(lambda before=before: server.tokens(run_ids) > before, within_s=40, what="going on")
        recoveries.append(time.monotonic() - killed_at)
    rows = server.await_status(run_ids + asked, within_s=90)
    last_s = time.monotonic() - killed_at
    print(
        f"\nkill -9 twice under {len(rows)} runs: going on after {[f'{each:.1f} s' for each in recoveries]}, all ended {last_s:.1f} s after"
    )
    assert {row["status"] for row in rows} == {"success"}
    server.check(run_ids + asked)
    pids: set[str] = set()
    for run_id in run_ids:
        state = server.state(run_id)
        assert [each.split(":")[0] for each in state["trail"]] == ["a", "b", "c"]
        assert [message.type for message in state["messages"]] == ["human", "ai", "ai", "ai"]
        pids |= {each.split(":")[1] for each in state["trail"]}
    assert len(pids) > 1
    repeated = sum(len(step_starts(server, run_id)) - 3 for run_id in run_ids)
    assert repeated <= sum(row["attempt"] - 1 for row in rows)  # at most the step in progress, never one that was done
    for line, run_id in zip(lines, asked, strict=True):
        assert line.answer_to(run_id) == "".join(f"c{number} " for number in range(1, 9))
        line.await_status(run_id, "success")
        assert without_gaps(numbers(line))
        assert living_text(line, run_id) == WORDS
        line.close()


def test_a_worker_frozen_for_two_leases_writes_nothing_when_it_wakes_up(server: Hub) -> None:
    run_ids = server.start("steps", "n=25 delay=0.1", count=5)
    eventually(lambda: server.tokens(run_ids) > 20, what="some tokens")
    worker = server.stack.pids("worker")[0]
    os.kill(worker, signal.SIGSTOP)
    frozen_at = time.monotonic()
    # Nobody else is there to go on with them but the one that wakes up: it has to give up what it holds, and begin anew.
    eventually(lambda: {row["status"] for row in server.runs(run_ids)} == {"pending"}, within_s=40, what="taking them from the frozen one")
    taken_s = time.monotonic() - frozen_at
    before = {run_id: server.run(run_id)["last_event"] for run_id in run_ids}
    os.kill(worker, signal.SIGCONT)
    rows = server.await_status(run_ids, within_s=90)
    print(f"\nSIGSTOP: taken away after {taken_s:.1f} s, ended {time.monotonic() - frozen_at:.1f} s after")
    assert {row["status"] for row in rows} == {"success"}
    server.check(run_ids)
    for run_id in run_ids:
        after = [event for event in server.events(run_id) if event["run_seq"] > before[run_id]]
        assert (after[0]["type"], after[0]["data"]["attempt"]) == ("run", 2)  # no late word of the first attempt stands before it
        assert len(server.state(run_id)["messages"]) == 4


def test_five_hundred_runs_that_wait_are_carried_by_one_worker_at_once(server: Hub) -> None:
    began = time.monotonic()
    run_ids = server.start("waiting", "for=5", count=500)
    accepted_s = time.monotonic() - began
    rows = server.await_status(run_ids, within_s=60)
    took_s = (max(row["finished_at"] for row in rows) - min(row["created_at"] for row in rows)).total_seconds()
    print(f"\n500 runs of 5 s: accepted in {accepted_s:.1f} s by one caller, the last ended {took_s:.1f} s after the first was accepted")
    assert {row["status"] for row in rows} == {"success"}
    assert took_s < 20
