"""What chat sockets cost one web process: connecting, memory, telling all, one that does not read, and the way to the first token.

`python -m benchmarks.chats.sockets [sockets] [async mode]` starts a server of its own, prints the figures, and stops it. The client runs
on the same machine and takes part of its time.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flask import Flask

from server.app import create_app
from server.chats.models import stream_of
from server.kit.db import commit
from server.kit.http import parse_id
from server.realtime import log
from server.settings import load
from tests.chats.raw import Raw
from tests.journeys.conftest import AGENTS
from tests.stack import Stack, eventually
from tests.talk import Person

ROUNDS = 20
MESSAGES = 60
EVENTS = 20_000
CHUNK = 200
EVENT_CHARS = 1_000


def main() -> None:
    """Measure, one after the other, on one server."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    mode = sys.argv[2] if len(sys.argv) > 2 else "eventlet"
    stack = Stack.started(AGENTS_CONFIG=str(AGENTS), ASYNC_MODE=mode, CONNECTION_STRING_S="600", MESSAGE_RATE="100000")
    try:
        person = Person(stack.base_url)
        first_token(person)
        one_that_does_not_read(stack, person)
        many(stack, person, count)
    finally:
        stack.stop()


def memory_mb(stack: Stack) -> float:
    """What the web process holds for itself."""
    lines = Path(f"/proc/{stack.pids('web')[0]}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))) / 1024


def cpu_s(stack: Stack) -> float:
    """The time that the web process has had of a processor."""
    fields = Path(f"/proc/{stack.pids('web')[0]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return sorted(values)[int(len(values) * 0.95)]


def opened(person: Person, chat_id: str, string: str | None = None, since: int | None = None) -> Raw:
    """A socket that was let in."""
    raw = Raw(person.base_url, {"connection_string": string or person.connection_string(chat_id)}, since=since)
    raw.until_event("session")
    return raw


def first_token(person: Person) -> None:
    """A lone message: sent, acknowledged, and the first token of its answer."""
    chat_id = person.chat("slow")
    raw = opened(person, chat_id)
    acknowledged, heard = [], []
    for number in range(1, MESSAGES + 1):
        string = person.message_string(chat_id)
        began = time.perf_counter()
        raw.ask("message", {"message_string": string, "content": "n=1"})
        acknowledged.append((time.perf_counter() - began) * 1000)
        raw.until_event("token", number)
        heard.append((time.perf_counter() - began) * 1000)
        raw.until_event("message", 2 * number)
    raw.close()
    print(f"message → acknowledged p50 {statistics.median(acknowledged):.1f} ms, p95 {p95(acknowledged):.1f} ms")
    print(f"message → first token  p50 {statistics.median(heard):.1f} ms, p95 {p95(heard):.1f} ms")


def one_that_does_not_read(stack: Stack, person: Person) -> None:
    """A socket that stops reading while its chat goes on: what the server holds of it, when it cuts it off, whether it comes back whole."""
    chat_id = person.chat("slow")
    raw, other = opened(person, chat_id), opened(person, chat_id)
    token = raw.of("session")[0]["resume_token"]
    app, before, most = beside(stack), memory_mb(stack), 0.0
    began = time.monotonic()
    for told_of in range(CHUNK, EVENTS + 1, CHUNK):
        happen(app, chat_id, CHUNK)
        other.until(lambda told_of=told_of: newest(other) == told_of)
        most = max(most, memory_mb(stack))
    told_s = time.monotonic() - began
    eventually(lambda: "chat.stalled_socket" in stack.log("web-1"), within_s=60, what="the cut")
    cut_s = time.monotonic() - began
    raw.until_closed()
    heard = raw.numbers()
    back = Raw(person.base_url, {"chat_id": chat_id, "resume_token": token}, since=heard[-1] if heard else 0)
    back.until(lambda: newest(back) == EVENTS, within_s=60)
    is_whole = heard + back.numbers() == other.numbers() == list(range(1, EVENTS + 1))
    print(f"{EVENTS} events of {EVENT_CHARS} characters, told to a reader in {told_s:.1f} s, past one that does not read:")
    print(
        f"  memory grew by at most {most - before:.1f} MB, cut off after {cut_s:.1f} s at event {len(heard)}, came back whole: {is_whole}"
    )
    for each in (raw, other, back):
        each.close()


def newest(raw: Raw) -> int:
    """The number of the event that came last."""
    return raw.events[-1][1].get("seq", 0) if raw.events else 0


def beside(stack: Stack) -> Flask:
    """The server's database and Redis, from this process."""
    servers = json.loads((stack.data_dir / "run" / "servers.json").read_text())
    settings = load(
        {}, data_dir=stack.data_dir, database_url=servers["database"]["url"], redis_url=servers["redis"]["url"], log_level="error"
    )
    return create_app(settings, doors=False)


def happen(app: Flask, chat_id: str, count: int) -> None:
    """Let events happen in a chat, in one transaction."""
    chat = parse_id(chat_id)
    assert chat is not None
    with app.app_context():
        for _ in range(count):
            log.append(stream_of(chat), "token", {"delta": "x" * EVENT_CHARS})
        commit()


def many(stack: Stack, person: Person, count: int) -> None:
    """Many sockets in one chat: how long they take to connect, what they hold, and how soon all of them are told something."""
    chat_id = person.chat("slow")
    speaker = opened(person, chat_id)
    strings = [person.connection_string(chat_id) for _ in range(count)]
    before, began, cpu_before = memory_mb(stack), time.perf_counter(), cpu_s(stack)
    with ThreadPoolExecutor(8) as pool:
        sockets = list(pool.map(lambda string: opened(person, chat_id, string), strings))
    took_s = time.perf_counter() - began
    grown, each_ms = memory_mb(stack) - before, (cpu_s(stack) - cpu_before) / count * 1000
    took = [latency for _ in range(ROUNDS) for latency in told(person, chat_id, speaker, sockets)]
    print(f"{count} sockets: connected in {took_s:.1f} s ({each_ms:.1f} ms of the web process each), {grown:.0f} MB")
    print(f"  told a message: p50 {statistics.median(took):.0f} ms, p95 {p95(took):.0f} ms, last {max(took):.0f} ms")


def told(person: Person, chat_id: str, speaker: Raw, sockets: list[Raw]) -> list[float]:
    """How long after it was sent each socket heard a message, in ms. Waits until its answer is through to all."""
    string, marker = person.message_string(chat_id), f"n=1 at={time.time_ns()}"
    poller = select.epoll()
    waiting = {raw.link.sock.fileno(): raw for raw in sockets}
    for descriptor in waiting:
        poller.register(descriptor, select.EPOLLIN)
    latencies: list[float] = []
    unanswered = set(waiting)
    texts: dict[int, str] = dict.fromkeys(waiting, "")
    began = time.perf_counter()
    speaker.post("message", {"message_string": string, "content": marker})
    while unanswered:
        for descriptor, _ in poller.poll(10):
            was_told = marker in texts[descriptor]
            texts[descriptor] += waiting[descriptor].link.sock.recv(65_536).decode(errors="replace")
            if not was_told and marker in texts[descriptor]:
                latencies.append((time.perf_counter() - began) * 1000)
            if '"role":"assistant"' in texts[descriptor]:
                unanswered.discard(descriptor)
    poller.close()
    speaker.until(lambda: bool(speaker.of("message")) and speaker.of("message")[-1]["role"] == "assistant")
    speaker.events.clear()
    return latencies


if __name__ == "__main__":
    main()
