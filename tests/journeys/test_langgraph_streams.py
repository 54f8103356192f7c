"""Streams that are cut off and taken up elsewhere: whatever process says it and whatever process carries it, nothing is lost or doubled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.journeys.conftest import web_beside
from tests.journeys.door import Caller, at_once, check, check_voyage, voyages
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
