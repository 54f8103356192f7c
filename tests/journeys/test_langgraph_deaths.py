"""Processes that die under programs' runs: every run ends, from its checkpoint, with nothing doubled in its state or its stream."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.journeys.conftest import web_beside
from tests.journeys.door import Caller, Killer, at_once, check, check_voyage, percentile, steps_repeated, voyages
from tests.journeys.hub import Hub, hub
from tests.stack import eventually

pytestmark = [pytest.mark.usefixtures("rested"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub(WORKER_PROCESSES="2") as made:
        yield made


@pytest.fixture(scope="module")
def second(server: Hub) -> Iterator[str]:
    with web_beside(server.stack) as url:
        yield url


@pytest.fixture(scope="module")
def caller(server: Hub, second: str) -> Caller:
    return Caller(server.stack.base_url, second)


# -- workers -----------------------------------------------------------------------------------------------------------


def test_workers_killed_at_random_lose_no_run_and_double_nothing(server: Hub, caller: Caller) -> None:
    chance = random.Random(5)
    listeners = voyages(caller, 24, n=12, delay=0.1, chance=chance, cuts=3, durability=("async", "sync", "exit"))
    with Killer(server, chance, kills=2) as killer:
        at_once([each.follow for each in listeners], threads=len(listeners))
    run_ids = [each.run_id for each in listeners]
    rows = server.await_status(run_ids)
    print([(str(row["id"]), row["error"], row["attempt"], row["deaths"], row["options"]["modes"]) for row in rows if row["error"]])
    assert {row["status"] for row in rows} == {"success"}
    server.check(run_ids)
    for listener, row in zip(listeners, rows, strict=True):
        check(server, listener)
        attempts = [each["attempt"] for each in listener.of("metadata")]  # one that was killed before its first word is in none
        assert (attempts[0], attempts[-1], sorted(set(attempts))) == (1, row["attempt"], attempts)
        values = check_voyage(listener, n=12)
        if row["attempt"] == 1:
            assert len(set(values["pids"])) == 1
    recovered_s = killer.recoveries(run_ids)
    print(
        f"\n{len(recovered_s)} of {len(rows)} runs died with a worker; going on p50 {percentile(recovered_s, 0.5):.1f} s, "
        f"p99 {percentile(recovered_s, 0.99):.1f} s"
    )
    for durability in ("async", "sync"):
        mine = [each for each in listeners if each.body["durability"] == durability]
        assert all(steps_repeated(server, each.run_id) <= 2 * (server.run(each.run_id)["attempt"] - 1) for each in mine)


# -- everything --------------------------------------------------------------------------------------------------------


def test_a_human_answers_after_everything_was_killed(server: Hub, caller: Caller) -> None:
    threads = [caller.thread() for _ in range(3)]
    for thread in threads:
        asked = caller.sdk().runs.wait(thread, "errand", input={"what": thread})
        assert asked["__interrupt__"][0]["value"] == {"may I": thread}
    killed = {kind: server.stack.kill(kind) for kind in ("worker", "scheduler", "web")}
    server.kill_server("redis")
    server.restart_postgresql()
    for kind, pids in killed.items():
        server.stack.await_restart(kind, pids, within_s=60)
    for thread in threads:
        state = eventually(lambda thread=thread: answer_or_away(caller, thread), within_s=60, what="the state")
        assert [each["value"] for task in state["tasks"] for each in task["interrupts"]] == [{"may I": thread}]
        done = caller.sdk().runs.wait(thread, "errand", command={"resume": f"yes, {thread}"})
        assert done["done"] == ["prepared", f"allowed: yes, {thread}", "acted"]
        again = caller.send("POST", f"/threads/{thread}/runs", {"assistant_id": "errand", "command": {"resume": "no"}})
        assert (again.status_code, again.json()["error"]) == (409, "nothing_asked")


def answer_or_away(caller: Caller, thread: str) -> dict[str, Any] | None:
    answer = caller.send("GET", f"/threads/{thread}/state")
    assert answer.status_code in (200, 503), answer.text
    return answer.json() if answer.ok else None


# -- the database and the bell -----------------------------------------------------------------------------------------


class Posting:
    """Somebody who starts runs one after the other, whatever happens; keeps what was answered."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._post_on, name="posting")
        self.answers: list[tuple[int, str, str]] = []
        self.broken: list[str] = []

    def __enter__(self) -> Posting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(90)

    def _post_on(self) -> None:
        number = 0
        while not self._is_over.wait(0.02):
            number += 1
            body = {"assistant_id": "diary", "input": {"who": f"{id(self)}-{number}"}}
            try:
                answer = self._caller.send("POST", "/runs", body, number=number)
            except requests.RequestException as error:
                self.broken.append(repr(error))
                continue
            self.answers.append((answer.status_code, str(body["input"]["who"]), answer.text))  # type: ignore[index]


@pytest.mark.parametrize("server_name", ["redis", "database"])
def test_a_server_behind_it_that_goes_away_costs_no_run_and_no_event(server: Hub, caller: Caller, server_name: str) -> None:
    listeners = voyages(caller, 12, n=12, delay=0.1, chance=random.Random(7), cuts=2, stream_mode=["values", "messages-tuple"])
    with Posting(caller) as posting:
        breaking = threading.Thread(target=break_under, args=(server, server_name, len(listeners)))
        breaking.start()
        at_once([each.follow for each in listeners], threads=len(listeners))
        breaking.join(90)
    server.await_status([each.run_id for each in listeners], "success")
    for listener in listeners:
        check(server, listener)
        check_voyage(listener, n=12)
    statuses = {status for status, _, _ in posting.answers}
    print(
        f"\n{server_name}: answers {sorted((s, sum(s == t for t, _, _ in posting.answers)) for s in statuses)}, "
        f"refused streams {sum(len(each.refusals) for each in listeners)}"
    )
    assert statuses <= {200, 503}, [text for status, _, text in posting.answers if status not in (200, 503)][:3]
    assert not posting.broken
    taken = {who for status, who, _ in posting.answers if status == 200}
    refused = {who for status, who, _ in posting.answers if status == 503}
    runs = {row["input"]["who"]: str(row["id"]) for row in server.query("SELECT id, input FROM runs WHERE agent_id = 'diary'")}
    assert taken <= set(runs)
    print(f"refused, and there all the same: {len(refused & set(runs))}")
    if server_name == "redis":
        assert not refused & set(runs)
    rows = server.await_status([runs[who] for who in taken], within_s=90)
    assert {row["status"] for row in rows} == {"success"}


def break_under(server: Hub, name: str, runs: int) -> None:
    """Take a server away, twice, while so many runs are at work."""
    working = "SELECT count(*) AS n FROM runs WHERE status = 'running' AND agent_id = 'voyage'"
    eventually(lambda: server.query(working)[0]["n"] == runs, within_s=60, what="runs at work")
    for _ in range(2):
        if name == "redis":
            server.kill_server("redis")
        else:
            server.restart_postgresql()
