"""Agents that misbehave, each beside neighbours that do not notice."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.journeys.hub import Hub, hub
from tests.stack import eventually

MEMORY = 700 * 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub(WORKER_MEMORY_BYTES=str(MEMORY), LEASE_S="4") as made:
        yield made


@pytest.fixture
def neighbours(server: Hub) -> Iterator[list[str]]:
    """Runs of a well-behaved agent; at the end of the test they have to have ended well, and to have been said once."""
    run_ids = server.start("steps", "n=20 delay=0.05", count=5)
    server.await_status(run_ids, "running")
    yield run_ids
    rows = server.await_status(run_ids, within_s=90)
    assert {row["status"] for row in rows} == {"success"}
    server.check(run_ids)


def ended(server: Hub, run_id: str, *, within_s: float = 60.0) -> tuple[str, str | None]:
    row = server.await_status([run_id], within_s=within_s)[0]
    server.check([run_id])
    return row["status"], (row["error"] or {}).get("code")


FAILING = {
    "failing": "agent_failed",
    "huge": "output_too_large",
    "broken": "agent_broken",
    "exiting": "agent_failed",
    "sync_exiting": "agent_failed",
    "cancelling": "agent_failed",
    "asking_oddly": "agent_failed",
}


def test_agents_that_fail_end_as_errors_in_their_first_attempt(server: Hub, neighbours: list[str]) -> None:
    run_ids = [server.start(agent)[0] for agent in FAILING]
    assert [ended(server, run_id, within_s=15) for run_id in run_ids] == [("error", code) for code in FAILING.values()]
    assert {row["attempt"] for row in server.runs(run_ids)} == {1}


def test_an_agent_that_kills_its_process_is_given_up_after_two_deaths_alone(server: Hub, neighbours: list[str]) -> None:
    run_id = server.start("dying", "after=0.2")[0]
    began = time.monotonic()
    assert ended(server, run_id) == ("error", "worker_died")
    row = server.run(run_id)
    assert (row["attempt"], row["deaths"]) == (3, 2)
    print(f"\ndying: given up after {time.monotonic() - began:.1f} s")


def test_an_agent_that_takes_too_much_memory_is_found_out(server: Hub, neighbours: list[str]) -> None:
    run_id = server.start("greedy")[0]
    assert ended(server, run_id) == ("error", "out_of_memory")
    assert server.run(run_id)["attempt"] == 2


def test_an_agent_that_blocks_its_loop_stops_nobody(server: Hub, neighbours: list[str]) -> None:
    worker = server.stack.pids("worker")
    first = server.start("blocking", "for=3")[0]
    server.await_status([first], "success", within_s=20)
    second = server.start("blocking", "for=8")[0]
    server.await_status([second], "running")
    began = time.monotonic()
    assert ended(server, server.start("waiting", "for=0.1")[0], within_s=10) == ("success", None)
    print(f"\nblocking: a neighbour took {time.monotonic() - began:.1f} s")
    assert ended(server, second) == ("success", None)
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
    assert ended(server, blocker) == ("success", None)
    server.check(waiting)


def test_an_agent_that_hears_no_cancel_ends_without_it(server: Hub, neighbours: list[str]) -> None:
    run_id = server.start("stubborn", "for=30")[0]
    server.await_status([run_id], "running")
    eventually(lambda: any(event["type"] == "step" for event in server.events(run_id)), what="its beginning")
    server.cancel(run_id)
    began = time.monotonic()
    assert ended(server, run_id, within_s=15) == ("cancelled", "cancelled")
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


def test_an_agent_that_prints_disturbs_nobody_also_when_it_is_alone(server: Hub) -> None:
    killed = server.start("waiting", "for=2")
    server.await_status(killed, "running")
    server.stack.await_restart("worker", server.kill_worker())
    server.query("UPDATE runs SET agent_id = 'printing' WHERE id = %s::uuid RETURNING id", killed[0])
    assert ended(server, killed[0]) == ("success", None)
    assert server.run(killed[0])["is_alone"]
    # The next one that has to be carried alone is carried, and its death is heard of.
    run_id = server.start("dying", "after=0.1")[0]
    assert ended(server, run_id) == ("error", "worker_died")


def test_an_agents_own_types_come_back_and_others_end_the_run_by_name(server: Hub) -> None:
    own = server.start("keeping", "own", thread_id="own")[0]
    assert ended(server, own) == ("success", None)
    again = server.start("keeping", "again", thread_id="own")[0]
    assert ended(server, again) == ("success", None)
    assert server.run(again)["output"]["content"] == "Note mine"
    foreign = server.start("keeping", "foreign", thread_id="foreign")[0]
    assert ended(server, foreign) == ("success", None)
    refused = server.start("keeping", "again", thread_id="foreign")[0]
    assert ended(server, refused) == ("error", "state_type_blocked")
    assert server.run(refused)["error"]["message"].endswith("urllib.parse.SplitResult.")
