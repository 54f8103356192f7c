"""What the hub costs, seen from outside: `python -m benchmarks.hub.run` starts a server of its own, measures, prints, and stops it.

    idle        one message at a time: sent → acknowledged → first token → stored answer
    waiting     500 runs that wait 5 s each, accepted by one caller, on one worker
    tokens      tokens a second that one client reads, with 1 and with 16 chats that speak at once
    recovery    kill -9 of the worker under 30 runs: until one goes on, and until the last has ended

The client is on the same machine and shares its processors: ratios between two runs side by side mean more than the figures.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.journeys.hub import Hub, hub
from tests.talk import Line, Person

PACKAGES = ("flask-socketio", "celery", "redis", "psycopg", "sqlalchemy", "langgraph", "langchain-core", "langgraph-checkpoint-postgres")
MESSAGES = 60
TOKENS = 3000


class Timed(Line):
    """A line that notes when each event came."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.moments: list[tuple[float, str, dict[str, Any]]] = []

    def _heard(self, kind: str, data: Any = None) -> None:
        self.moments.append((time.perf_counter(), kind, data))
        super()._heard(kind, data)

    def when(self, kind: str, run_id: str) -> float:
        """When the first event of a kind came of a run."""
        return next(moment for moment, each, data in self.moments if each == kind and data.get("run_id") == run_id and said(each, data))


def said(kind: str, data: dict[str, Any]) -> bool:
    """Whether it is not the human's own message come back."""
    return kind != "message" or data["role"] == "assistant"


def percentiles(seconds: Sequence[float]) -> str:
    """p50 and p95, in milliseconds."""
    ordered = sorted(seconds)
    return f"p50 {statistics.median(ordered) * 1000:6.1f} ms   p95 {ordered[int(len(ordered) * 0.95)] * 1000:6.1f} ms"


def versions() -> None:
    """What is measured, and on what."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, {platform.system()} {platform.machine()}")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))


def idle(person: Person) -> None:
    """One message at a time, nothing else going on."""
    line = Timed(person, person.chat("slow"))
    line.open()
    acked, first, ended = [], [], []
    for number in range(MESSAGES + 5):
        string = person.message_string(line.chat_id)
        began = time.perf_counter()
        ack = line.emit("message", {"message_string": string, "content": "n=5"})
        acked_at = time.perf_counter()
        line.answer_to(ack["run_id"])
        if number >= 5:  # the first ones open connections and the agent's code
            acked.append(acked_at - began)
            first.append(line.when("token", ack["run_id"]) - began)
            ended.append(line.when("message", ack["run_id"]) - began)
    line.close()
    print(f"idle       message → acknowledged  {percentiles(acked)}")
    print(f"           message → first token   {percentiles(first)}")
    print(f"           message → answer        {percentiles(ended)}")


def waiting(server: Hub) -> None:
    """Many runs that wait for a model at once."""
    began = time.perf_counter()
    run_ids = server.start("waiting", "for=5", count=500)
    accepted_s = time.perf_counter() - began
    rows = server.await_status(run_ids, "success", within_s=120)
    begun = [(row["started_at"] - row["created_at"]).total_seconds() for row in rows]
    took_s = (max(row["finished_at"] for row in rows) - min(row["created_at"] for row in rows)).total_seconds()
    print(f"waiting    500 runs of 5 s: {took_s:.1f} s from the first accepted to the last ended; accepted in {accepted_s:.1f} s")
    print(f"           accepted → begun        {percentiles(begun)}")


def tokens(person: Person, chats: int) -> None:
    """How fast what is said gets to a client."""
    each = TOKENS // chats
    lines = [Timed(person, person.chat("slow")) for _ in range(chats)]
    for line in lines:
        line.open()
    began = time.perf_counter()
    talking = [threading.Thread(target=lambda line=line: line.answer_to(line.say(f"n={each}")["run_id"], within_s=120)) for line in lines]
    for thread in talking:
        thread.start()
    for thread in talking:
        thread.join()
    took_s = time.perf_counter() - began
    events = sum(len(line.of("token")) for line in lines)
    for line in lines:
        line.close()
    told = each * chats
    print(f"tokens     {chats:2} chats: {told / took_s:,.0f} tokens a second ({told} tokens in {events} events in {took_s:.2f} s)")


def recovery(server: Hub) -> None:
    """A worker is killed with runs in it."""
    run_ids = server.start("steps", "n=20 delay=0.05", count=30)
    while server.tokens(run_ids) < 100:
        time.sleep(0.02)
    killed = server.kill_worker()
    began = time.perf_counter()
    before = server.tokens(run_ids)
    server.stack.await_restart("worker", killed)
    ready_s = time.perf_counter() - began
    while server.tokens(run_ids) == before:
        time.sleep(0.02)
    again_s = time.perf_counter() - began
    rows = server.await_status(run_ids, within_s=120)
    print(
        f"recovery   kill -9 under 30 runs: a worker again after {ready_s:.1f} s, first words after {again_s:.1f} s, "
        f"all ended after {time.perf_counter() - began:.1f} s ({sum(row['status'] == 'success' for row in rows)} of 30 well)"
    )


def main() -> None:
    """Measure everything once."""
    versions()
    with hub(SOCKET_QUEUE="100000", LOG_LEVEL="warning") as server:
        person = Person(server.stack.base_url)
        idle(person)
        for chats in (1, 16):
            tokens(person, chats)
        waiting(server)
        recovery(server)


if __name__ == "__main__":
    main()
