"""Programs that use a running server, spoken to over its bare wire: streams that are cut at random, and the ledger they must agree with."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.journeys.hub import Hub
from tests.talk import Person

T = TypeVar("T")
LAST = ("end", "error")
AWAY_S = 60.0
# What a voyage does, and what it says where each step says so many words.
LEGS = ("out", "east", "west", "shore", "hill", "home")
EVERYTHING = ["values", "updates", "messages-tuple", "custom", "tasks", "checkpoints"]
MODES = (["values"], ["updates"], ["messages"], ["messages-tuple", "updates"], ["debug"], ["events", "values"], EVERYTHING)


class Frame(NamedTuple):
    """One event as it came over the wire."""

    id: str
    event: str
    data: str


class Cut(Exception):
    """The stream broke off, or could not be had."""


class Caller:
    """A program with a user's account; speaks to any of the web processes."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls
        self.person = Person(urls[0])
        self.headers = {"Authorization": f"Bearer {self.person.tokens['access_token']}"}

    def sdk(self, number: int = 0) -> SyncLangGraphClient:
        """The SDK's client of one of the web processes."""
        return get_sync_client(url=self.urls[number % len(self.urls)], headers=self.headers, timeout=60)

    def send(self, method: str, path: str, body: Any = None, *, number: int = 0, **headers: str) -> requests.Response:
        """Send one request, to one of the web processes."""
        url = self.urls[number % len(self.urls)]
        return requests.request(method, url + path, json=body, headers={**self.headers, **headers}, timeout=60)

    def thread(self, name: str | None = None) -> str:
        """The name of a new thread."""
        made = self.send("POST", "/threads", {"thread_id": name} if name else {})
        assert made.ok, made.text
        return str(made.json()["thread_id"])

    def state(self, thread_id: str) -> dict[str, Any]:
        """The state of a thread."""
        answer = self.send("GET", f"/threads/{thread_id}/state")
        assert answer.ok, answer.text
        state: dict[str, Any] = answer.json()
        return state

    def replay(self, run_id: str, *, number: int = 0) -> list[Frame]:
        """Everything that a run has said, from its beginning."""
        with Stream(self, f"/runs/{run_id}/stream", number=number, after="-1") as stream:
            return list(stream)


class Stream:
    """One connection that carries a stream. Raises Cut where it cannot be had."""

    def __init__(
        self, caller: Caller, path: str, *, number: int = 0, after: str | None = None, body: Any = None, wait_s: float = 60.0
    ) -> None:
        place = urlsplit(caller.urls[number % len(caller.urls)])
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=wait_s)
        headers = {**caller.headers, "Content-Type": "application/json", **({"Last-Event-ID": after} if after else {})}
        try:
            self._connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
            self.response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Cut(repr(error)) from None
        if self.response.status != 200:
            said = self.response.read().decode()
            self._connection.close()
            assert self.response.status in (502, 503), f"{path}: {self.response.status} {said}"
            raise Cut(f"{self.response.status} {said}")

    def __iter__(self) -> Iterator[Frame]:
        fields: dict[str, str] = {}
        try:
            for line in iter(self.response.readline, b""):
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                    continue
                if "event" in fields:
                    yield Frame(fields.get("id", ""), fields["event"], fields["data"])
                fields = {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Cut(repr(error)) from None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self._connection.close()


@dataclass
class Listener:
    """Follows one run over connections that are cut, each time at the next web process, and keeps what it was told."""

    caller: Caller
    thread_id: str
    body: dict[str, Any]
    cuts: Sequence[int] = ()
    run_id: str = ""
    heard: list[Frame] = field(default_factory=list)
    connections: int = 0
    refusals: list[str] = field(default_factory=list)

    def follow(self) -> Listener:
        """Start the run and hear it to its end."""
        cuts = iter(self.cuts)
        first = Stream(self.caller, f"/threads/{self.thread_id}/runs/stream", body=self.body)
        self.run_id = (first.response.headers["Content-Location"] or "").rpartition("/")[2]
        self._hear(first, next(cuts, None))
        return self.resume(cuts)

    def resume(self, cuts: Iterable[int] = ()) -> Listener:
        """Hear the rest of a run that was begun."""
        left = iter(cuts)
        deadline = time.monotonic() + AWAY_S
        while not self.is_done:
            before = len(self.heard)
            try:
                place = f"/threads/{self.thread_id}/runs/{self.run_id}/stream"
                after = self.heard[-1].id if self.heard else "-1"
                self._hear(Stream(self.caller, place, number=self.connections, after=after), next(left, None))
            except Cut as cut:
                self.refusals.append(str(cut))
                threading.Event().wait(0.1)
            if len(self.heard) > before:
                deadline = time.monotonic() + AWAY_S
            assert time.monotonic() < deadline, f"nothing came for {AWAY_S} s after {self.heard[-1:]} {self.refusals[-3:]}"
        return self

    @property
    def is_done(self) -> bool:
        """Whether the end of the run has come."""
        return bool(self.heard) and self.heard[-1].event in LAST

    def _hear(self, stream: Stream, at_most: int | None) -> None:
        self.connections += 1
        with stream:
            try:
                for frame in itertools.islice(stream, at_most):
                    self.heard.append(frame)
            except Cut as cut:
                self.refusals.append(str(cut))

    def of(self, event: str) -> list[Any]:
        """The data of its events of a kind."""
        return [json.loads(frame.data) for frame in self.heard if frame.event == event]


# -- the ledger --------------------------------------------------------------------------------------------------------


def stored(server: Hub, run_id: str) -> list[Frame]:
    """What the table of events says that a client has to be told of a run."""
    rows = server.query("SELECT type, run_seq, data FROM events WHERE run_id = %s::uuid ORDER BY run_seq", run_id)
    told = [(row["run_seq"], *_told(row["type"], row["data"])) for row in rows]
    return [Frame(f"{run_id}_event_{number - 1}", event, data) for number, event, data in told if event]


def _told(kind: str, text: str) -> tuple[str, str]:
    if kind not in ("run", "error"):
        return kind, text
    data = json.loads(text)
    if kind == "error":
        return "error", json.dumps({"error": data.get("kind") or data["code"], "message": data["message"]})
    if data["status"] == "running":
        return "metadata", json.dumps({"run_id": data["run_id"], "attempt": data["attempt"]})
    word = {"cancelled": "interrupted"}.get(data["status"], data["status"])
    return ("", "") if data["status"] in ("error", "timeout") else ("end", json.dumps({"status": word}))


def check(server: Hub, listener: Listener) -> None:
    """What a client was told is what is stored, and what a replay tells; without a gap, each once, in order."""
    ids = [frame.id for frame in listener.heard]
    assert ids == [f"{listener.run_id}_event_{number}" for number in range(len(ids))], listener.run_id
    for told in (stored(server, listener.run_id), listener.caller.replay(listener.run_id, number=listener.connections)):
        assert [_loaded(frame) for frame in told] == [_loaded(frame) for frame in listener.heard], listener.run_id


def _loaded(frame: Frame) -> tuple[str, str, Any]:
    return frame.id, frame.event, json.loads(frame.data)


def check_voyage(listener: Listener, *, n: int) -> dict[str, Any]:
    """Each step of a voyage is in the state once, and what the stream said last is what the state holds; the state's values."""
    values: dict[str, Any] = listener.caller.state(listener.thread_id)["values"]
    trail = values["trail"]
    assert (trail[0], set(trail[1:3]), trail[3:]) == ("out", {"east", "west"}, ["shore", "hill", "home"]), trail
    said = [message["content"] for message in values["messages"]]
    assert said == ["".join(f"{leg}{number} " for number in range(1, n + 1)) for leg in trail], said
    if told := listener.of("values"):
        assert told[-1] == values
    return values


# -- many at once ------------------------------------------------------------------------------------------------------


def at_once(work: Iterable[Callable[[], T]], *, threads: int) -> list[T]:
    """The results of all of it, so many at a time, in order; raises what the first failure raised."""
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(each) for each in work]]


def voyages(caller: Caller, count: int, *, n: int, delay: float, chance: random.Random, cuts: int, **options: Any) -> list[Listener]:
    """So many voyages that are about to begin, each on a thread of its own; each is cut off up to so many times."""
    made = []
    for number in range(count):
        body = {
            "assistant_id": "voyage",
            "input": {"n": n, "delay": delay, "messages": [], "trail": [], "pids": []},
            "stream_mode": MODES[number % len(MODES)],
            "stream_subgraphs": number % 2 == 0,
            **{name: value[number % len(value)] if isinstance(value, tuple) else value for name, value in options.items()},
        }
        at = [chance.choice((0, 1, chance.randrange(2, 8), chance.randrange(5, 40))) for _ in range(chance.randint(0, cuts))]
        made.append(Listener(caller, caller.thread(), body, at))
    return made


def percentile(values: Sequence[float], share: float) -> float:
    """The value that such a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# -- deaths ------------------------------------------------------------------------------------------------------------


class Killer:
    """Kills workers while others use the server: one at a time, with all that it has started, at a random moment of the work."""

    def __init__(self, server: Hub, chance: random.Random, *, kills: int, every_events: int = 150) -> None:
        self._server = server
        self._chance = chance
        self._left = kills
        self._every = every_events
        self._thread = threading.Thread(target=self._kill_on, name="killer")
        self._is_over = threading.Event()
        self.kills: list[tuple[float, int]] = []

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(60)

    def _events(self) -> int:
        return int(self._server.query("SELECT count(*) AS n FROM events")[0]["n"])

    def _holding(self) -> list[int]:
        rows = self._server.query("SELECT pid FROM workers WHERE id IN (SELECT worker_id FROM runs WHERE status = 'running') ORDER BY pid")
        return [row["pid"] for row in rows]

    def _kill_on(self) -> None:
        seen = self._events()
        while self._left and not self._is_over.wait(0.02):
            pids, ready = self._server.stack.pids("worker"), self._server.stack.state().get("ready_pids", [])
            if self._events() < seen + self._every or not set(pids) <= set(ready):
                continue
            self._is_over.wait(self._chance.random() * 0.5)  # anywhere in the work
            holding = [pid for pid in self._holding() if pid in pids]
            if not holding:
                continue
            pid = self._chance.choice(holding)
            self.kills.append((time.time(), pid))
            os.killpg(pid, signal.SIGKILL)
            self._left -= 1
            seen = self._events()

    def recoveries(self, run_ids: Sequence[str]) -> list[float]:
        """How long after the kill that it died of each run went on, of those that died, in seconds."""
        again = self._server.query(
            "SELECT created_at FROM events WHERE run_id = ANY(%s::uuid[]) AND type = 'run' "
            "AND data::json ->> 'status' = 'running' AND (data::json ->> 'attempt')::int > 1",
            list(run_ids),
        )
        moments = [row["created_at"].timestamp() for row in again]
        return [moment - max(killed for killed, _ in self.kills if killed <= moment) for moment in moments]


def steps_repeated(server: Hub, run_id: str) -> int:
    """How many steps of a voyage were begun again, as far as its stream tells."""
    told = server.query("SELECT data FROM events WHERE run_id = %s::uuid AND type = 'updates'", run_id)
    names = [name for row in told for name in json.loads(row["data"]) if name in (*LEGS, "island")]
    return len(names) - len(set(names))
