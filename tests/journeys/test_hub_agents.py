"""Agents that misbehave, each beside neighbours that do not notice."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.journeys.hub import Hub, hub

MEMORY = 700 * 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub(WORKER_MEMORY_BYTES=str(MEMORY), LEASE_S="4") as made:
        yield made


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
    assert [server.outcome(run_id, within_s=15) for run_id in run_ids] == [("error", code) for code in FAILING.values()]
    assert {row["attempt"] for row in server.runs(run_ids)} == {1}


def test_an_agent_that_kills_its_process_is_given_up_after_two_deaths_alone(server: Hub, neighbours: list[str]) -> None:
    run_id = server.start("dying", "after=0.2")[0]
    began = time.monotonic()
    assert server.outcome(run_id) == ("error", "worker_died")
    row = server.run(run_id)
    assert (row["attempt"], row["deaths"]) == (3, 2)
    print(f"\ndying: given up after {time.monotonic() - began:.1f} s")


def test_an_agent_that_takes_too_much_memory_is_found_out(server: Hub, neighbours: list[str]) -> None:
    run_id = server.start("greedy")[0]
    assert server.outcome(run_id) == ("error", "out_of_memory")
    assert server.run(run_id)["attempt"] == 2


def test_an_agent_that_prints_disturbs_nobody_also_when_it_is_alone(server: Hub) -> None:
    killed = server.start("waiting", "for=2")
    server.await_status(killed, "running")
    server.stack.await_restart("worker", server.kill_worker())
    server.query("UPDATE runs SET agent_id = 'printing' WHERE id = %s::uuid RETURNING id", killed[0])
    assert server.outcome(killed[0]) == ("success", None)
    assert server.run(killed[0])["is_alone"]
    # The next one that has to be carried alone is carried, and its death is heard of.
    run_id = server.start("dying", "after=0.1")[0]
    assert server.outcome(run_id) == ("error", "worker_died")


def test_an_agents_own_types_come_back_and_others_end_the_run_by_name(server: Hub) -> None:
    own = server.start("keeping", "own", thread_id="own")[0]
    assert server.outcome(own) == ("success", None)
    again = server.start("keeping", "again", thread_id="own")[0]
    assert server.outcome(again) == ("success", None)
    assert server.run(again)["output"]["content"] == "Note mine"
    foreign = server.start("keeping", "foreign", thread_id="foreign")[0]
    assert server.outcome(foreign) == ("success", None)
    refused = server.start("keeping", "again", thread_id="foreign")[0]
    assert server.outcome(refused) == ("error", "state_type_blocked")
    assert server.run(refused)["error"]["message"].endswith("urllib.parse.SplitResult.")
