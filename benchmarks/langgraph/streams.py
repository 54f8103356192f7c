"""Streams that are cut at random: `python -m benchmarks.langgraph.streams` starts a server of its own, proves, prints, and stops it.

Each client starts a run at one web process, is cut off after a random number of events, comes back at the other with its Last-Event-ID,
and so on to the end. What it was told is compared with the table of events and with a full replay: nothing lost, nothing twice.
"""

from __future__ import annotations

import argparse
import random
import time

from tests.journeys.conftest import web_beside
from tests.journeys.door import Caller, Listener, at_once, check, check_voyage, voyages
from tests.journeys.hub import Hub, hub

WORDS = 5


def heard(listeners: list[Listener], *, threads: int) -> None:
    """Let them all follow their runs, and say how it went."""
    began = time.monotonic()
    at_once([each.follow for each in listeners], threads=threads)
    took_s = time.monotonic() - began
    events, connections = sum(len(each.heard) for each in listeners), sum(each.connections for each in listeners)
    print(f"streams    {len(listeners)} runs, {threads} clients at once: {events} events over {connections} connections in {took_s:.1f} s")


def compared(server: Hub, listeners: list[Listener]) -> None:
    """Compare what each was told with what is stored; raises AssertionError for the first difference."""
    began = time.monotonic()
    for listener in listeners:
        check(server, listener)
        check_voyage(listener, n=WORDS)
    print(
        f"           all equal the stored events, a full replay and the state of the thread (compared in {time.monotonic() - began:.1f} s)"
    )


def main() -> None:
    """Prove it once."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--runs", type=int, default=1000)
    asked.add_argument("--clients", type=int, default=32, help="how many follow a run at the same time")
    asked.add_argument("--cuts", type=int, default=6, help="how often each is cut off at most")
    asked.add_argument("--seed", type=int, default=1)
    options = asked.parse_args()
    with hub(WORKER_PROCESSES="2", LOG_LEVEL="warning") as server, web_beside(server.stack) as second:
        caller = Caller(server.stack.base_url, second)
        listeners = voyages(caller, options.runs, n=WORDS, delay=0.01, chance=random.Random(options.seed), cuts=options.cuts)
        heard(listeners, threads=options.clients)
        compared(server, listeners)


if __name__ == "__main__":
    main()
