"""Processes that die under programs' runs: every run ends, from its checkpoint, with nothing doubled in its state or its stream."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.journeys.conftest import web_beside
from tests.journeys.door import Caller, Frame, Killer, Stream, at_once, check, check_voyage, percentile, steps_repeated, voyages
from tests.journeys.hub import Hub, hub
from tests.stack import eventually

pytestmark = [pytest.mark.usefixtures("rested"), pytest.mark.timeout(300)]

RECOVERY_S = 20.0


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
        assert [each["attempt"] for each in listener.of("metadata")] == list(range(1, row["attempt"] + 1))
        values = check_voyage(listener, n=12)
        if row["attempt"] == 1:
            assert len(set(values["pids"])) == 1
    print(killer.kills, [(str(r["id"])[-4:], r["attempt"], r["deaths"], r["started_at"].timestamp(), r["finished_at"].timestamp()) for r in rows])
    recovered_s = killer.recoveries(run_ids)
    print(f"\n{len(recovered_s)} of {len(rows)} runs died with a worker; going on p50 {percentile(recovered_s, 0.5):.1f} s, "
          f"p99 {percentile(recovered_s, 0.99):.1f} s")
    assert percentile(recovered_s, 0.99) <= RECOVERY_S
    for durability in ("async", "sync"):
        mine = [each for each in listeners if each.body["durability"] == durability]
        assert all(steps_repeated(server, each.run_id) <= 2 * (server.run(each.run_id)["attempt"] - 1) for each in mine)
