"""Streams that are cut off and taken up elsewhere: whatever process says it and whatever process carries it, nothing is lost or doubled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.conftest import web_beside
from tests.journeys.door import Caller, Listener, Stream, at_once, check, check_voyage, voyages
from tests.journeys.hub import Hub, hub


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


def test_clients_that_are_cut_off_at_random_between_two_web_processes_hear_everything_once(server: Hub, caller: Caller) -> None:
    began = time.monotonic()
    listeners = voyages(caller, 100, n=5, delay=0.01, chance=random.Random(3), cuts=6)
    at_once([each.follow for each in listeners], threads=20)
    took_s = time.monotonic() - began
    for listener in listeners:
        check(server, listener)
        check_voyage(listener, n=5)
    workers = {row["pid"] for row in server.query("SELECT DISTINCT pid FROM workers")}
    heard, connections = sum(len(each.heard) for each in listeners), sum(each.connections for each in listeners)
    print(f"\n{len(listeners)} runs, {connections} connections, {heard} events in {took_s:.1f} s; {len(workers)} workers")
    assert connections > 2 * len(listeners)


def resident_bytes(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def flooded(n: int) -> dict[str, object]:
    return {"assistant_id": "flood", "input": {"n": n}, "stream_mode": ["custom", "values"]}


@pytest.mark.timeout(240)  # A machine that has other things to do may take long to say so much.
def test_a_client_that_stops_reading_costs_little_and_others_nothing_and_goes_on_later(server: Hub, caller: Caller) -> None:
    Listener(caller, caller.thread(), flooded(3000), cuts=(1500,)).follow()
    web = server.stack.pids("web")[0]
    slow = Listener(caller, caller.thread(), flooded(100_000))
    before = resident_bytes(web)
    with Stream(caller, f"/threads/{slow.thread_id}/runs/stream", body=slow.body) as stream:
        slow.run_id = (stream.response.headers["Content-Location"] or "").rpartition("/")[2]
        slow.heard = [frame for frame, _ in zip(stream, range(10), strict=False)]
        quick = voyages(caller, 5, n=3, delay=0.0, chance=random.Random(1), cuts=1)
        for each in quick:
            check(server, each.follow())
        server.await_status([slow.run_id], "success", within_s=150)
        grown = resident_bytes(web) - before
    print(f"\na reader of 10 of 100,000 events: the web process has grown by {grown / 2**20:.1f} MiB")
    assert grown <= 20 * 2**20
    slow.resume()
    assert len(slow.heard) > 100_000
    assert [each["drop"] for each in slow.of("custom")] == list(range(100_000))
    assert [frame.id for frame in slow.heard] == [f"{slow.run_id}_event_{number}" for number in range(len(slow.heard))]
