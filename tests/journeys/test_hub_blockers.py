"""Agents that block their loop or hear no cancel, each beside neighbours that do not notice."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.journeys.hub import Hub, hub
from tests.stack import eventually


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub(LEASE_S="4") as made:
        yield made


def test_an_agent_that_blocks_its_loop_stops_nobody(server: Hub, neighbours: list[str]) -> None:
    worker = server.stack.pids("worker")
    first = server.start("blocking", "for=3")[0]
    server.await_status([first], "success", within_s=20)
    second = server.start("blocking", "for=8")[0]
    server.await_status([second], "running")
    began = time.monotonic()
    assert server.outcome(server.start("waiting", "for=0.1")[0], within_s=10) == ("success", None)
    print(f"\nblocking: a neighbour took {time.monotonic() - began:.1f} s")
    assert server.outcome(second) == ("success", None)
    assert server.stack.pids("worker") == worker


def test_runs_behind_a_blocker_that_nobody_knew_are_rescued(server: Hub) -> None:
    server.stack.await_restart("worker", server.kill_worker())  # one that knows of no blocker
    waiting = server.start("slow", "n=30 delay=0.1", count=3)
    eventually(lambda: server.tokens(waiting) > 10, what="some tokens")
    blocker = server.start("blocking", "for=16")[0]
    began = time.monotonic()
    rows = server.await_status(waiting, within_s=15)
    print(f"\nbehind a blocker: ended after {time.monotonic() - began:.1f} s")
    assert {(row["status"], row["deaths"], row["is_alone"]) for row in rows} == {("success", 0, False)}
    assert server.run(blocker)["status"] == "running"
    assert server.outcome(blocker) == ("success", None)
    server.check(waiting)


def test_an_agent_that_hears_no_cancel_ends_without_it(server: Hub, neighbours: list[str]) -> None:
    run_id = server.start("stubborn", "for=30")[0]
    server.await_status([run_id], "running")
    eventually(lambda: any(event["type"] == "step" for event in server.events(run_id)), what="its beginning")
    server.cancel(run_id)
    began = time.monotonic()
    assert server.outcome(run_id, within_s=15) == ("cancelled", "cancelled")
    print(f"\nstubborn: ended {time.monotonic() - began:.1f} s after the cancel")


def test_a_cancel_is_heard_at_once(server: Hub) -> None:
    run_ids = server.start("waiting", "for=30", count=5)
    server.await_status(run_ids, "running")
    began = time.monotonic()
    for run_id in run_ids:
        server.cancel(run_id)
    rows = server.await_status(run_ids, within_s=5)
    print(f"\n5 cancels: ended after {time.monotonic() - began:.2f} s")
    assert {row["status"] for row in rows} == {"cancelled"}
