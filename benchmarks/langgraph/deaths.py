"""Workers that are killed at random: `python -m benchmarks.langgraph.deaths` starts a server of its own, proves, prints, and stops it.

Clients follow runs of several steps while `kill -9` takes workers away with all that they have started, one at a time. Every run has to end
well, from its checkpoint; the state holds each step once; what each client was told is what is stored.
"""

from __future__ import annotations

import argparse
import collections
import random
import time

from tests.journeys.conftest import web_beside
from tests.journeys.door import Caller, Killer, Listener, at_once, check, check_voyage, percentile, steps_repeated, voyages
from tests.journeys.hub import Hub, hub

DURABILITIES = ("async", "sync", "exit")


def died_under(server: Hub, listeners: list[Listener], killer: Killer) -> None:
    """Say how it went with the runs."""
    rows = server.runs([each.run_id for each in listeners])
    recovered_s = killer.recoveries([each.run_id for each in listeners])
    print(
        f"deaths     statuses {dict(collections.Counter(row['status'] for row in rows))}, "
        f"attempts {dict(sorted(collections.Counter(row['attempt'] for row in rows).items()))}, {len(killer.kills)} kills"
    )
    for row in rows:
        if row["status"] != "success":
            how = f"{row['options']['modes']} {row['options']['durability']}"
            print(f"           {row['id']} {row['status']} {row['error']} attempt {row['attempt']} {how}")
    if recovered_s:
        print(
            f"           {len(recovered_s)} times a run went on: p50 {percentile(recovered_s, 0.5):.1f} s, "
            f"p99 {percentile(recovered_s, 0.99):.1f} s, last {max(recovered_s):.1f} s after the kill"
        )


def compared(server: Hub, listeners: list[Listener], words: int) -> None:
    """Compare each client, each log and each state; raises AssertionError for the first difference."""
    server.check([each.run_id for each in listeners])
    repeated = dict.fromkeys(DURABILITIES, 0)
    for listener in listeners:
        check(server, listener)
        if server.run(listener.run_id)["status"] == "success":
            check_voyage(listener, n=words)
        repeated[listener.body["durability"]] += steps_repeated(server, listener.run_id)
    print(f"           all streams equal the stored events, all states have each step once; steps told again, by durability: {repeated}")


def main() -> None:
    """Prove it once."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--runs", type=int, default=100)
    asked.add_argument("--kills", type=int, default=2)
    asked.add_argument("--words", type=int, default=12, help="tokens of each of five steps, a tenth of a second each")
    asked.add_argument("--seed", type=int, default=1)
    options = asked.parse_args()
    chance = random.Random(options.seed)
    with hub(WORKER_PROCESSES="2", LOG_LEVEL="info") as server, web_beside(server.stack) as second:
        caller = Caller(server.stack.base_url, second)
        listeners = voyages(caller, options.runs, n=options.words, delay=0.1, chance=chance, cuts=3, durability=DURABILITIES)
        began = time.monotonic()
        with Killer(server, chance, kills=options.kills, every_events=options.runs * 10) as killer:
            at_once([each.follow for each in listeners], threads=len(listeners))
        print(f"deaths     {options.runs} runs ended in {time.monotonic() - began:.1f} s")
        died_under(server, listeners, killer)
        compared(server, listeners, options.words)


if __name__ == "__main__":
    main()
