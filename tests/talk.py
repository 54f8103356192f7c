"""People who use a running server: they sign in over HTTP, talk over Socket.IO, and keep what they were sent."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import requests
import socketio

PASSWORD = "correct horse battery"
NAMESPACE = "/chat"


class Person:
    """Somebody with an account, signed in."""

    def __init__(self, base_url: str, email: str | None = None) -> None:
        self.base_url = base_url
        self.email = email or f"{uuid.uuid4().hex[:10]}@example.com"
        self.http = requests.Session()
        self.call("POST", "/register", json={"email": self.email, "password": PASSWORD})
        self.tokens = self.call("POST", "/auth/login", json={"email": self.email, "password": PASSWORD})
        self.http.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"

    def call(self, method: str, path: str, *, expect: int = 200, **options: Any) -> Any:
        """The JSON answer of a request; fails unless the status is the one expected."""
        response = self.http.request(method, self.base_url + path, timeout=30, **options)
        assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def workspace(self, *agents: str) -> str:
        """A new workspace with these agents."""
        workspace_id = self.call("POST", "/workspace", json={"name": "Tests"})["workspace"]["workspace_id"]
        for agent_id in agents:
            self.call("POST", f"/workspace/{workspace_id}/agent", json={"agent_id": agent_id})
        return str(workspace_id)

    def chat(self, *agents: str, workspace_id: str | None = None) -> str:
        """A new chat, in a new workspace with these agents or in a given one."""
        home = workspace_id or self.workspace(*agents)
        return str(self.call("POST", f"/chat?workspace_id={home}")["chat"]["chat_id"])

    def connection_string(self, chat_id: str) -> str:
        """A string that opens one connection."""
        return str(self.call("GET", f"/chat/authorize?chat_id={chat_id}")["connection_string"])

    def message_string(self, chat_id: str) -> str:
        """A string that lets one message pass."""
        return str(self.call("GET", f"/chat/authorize/message?chat_id={chat_id}")["message_string"])

    def messages(self, chat_id: str) -> list[dict[str, Any]]:
        """The chat's stored messages, oldest first."""
        return list(reversed(self.call("GET", f"/chat/{chat_id}/messages?limit=200")["messages"]))


@dataclass
class Line:
    """A socket of a person in a chat: comes back by itself, and keeps each event that it was sent, in order of arrival."""

    person: Person
    chat_id: str
    transports: tuple[str, ...] = ("websocket",)
    base_url: str | None = None
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    closed: dict[str, Any] | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _is_leaving: bool = False

    def __post_init__(self) -> None:
        self.base_url = self.base_url or self.person.base_url
        self._client: socketio.Client | None = None

    @property
    def last_seq(self) -> int:
        """The number of the last event that came."""
        return max((data["seq"] for _, data in self.events if "seq" in data), default=self.session.get("start_seq", 0))

    def open(self, *, since: int | None = None) -> Line:
        """Connect by a fresh connection string."""
        auth: dict[str, Any] = {"connection_string": self.person.connection_string(self.chat_id)}
        self._connect({**auth, "since": since} if since is not None else auth)
        self.wait(lambda: bool(self.session), what="the session")
        self.session.setdefault("start_seq", since if since is not None else self.session["last_seq"])
        return self

    def reopen(self) -> None:
        """Connect by the resume token, from the last number."""
        self._connect({"chat_id": self.chat_id, "resume_token": self.session["resume_token"], "since": self.last_seq})

    def _connect(self, auth: dict[str, Any]) -> None:
        client = socketio.Client(reconnection=False)
        client.on("*", self._heard, namespace=NAMESPACE)
        client.on("disconnect", self._lost, namespace=NAMESPACE)
        client.connect(self.base_url, namespaces=[NAMESPACE], auth=auth, transports=list(self.transports), wait_timeout=10)
        self._client = client

    def _heard(self, kind: str, data: Any = None) -> None:
        with self._changed:
            if kind == "session":
                start = self.session.get("start_seq")
                self.session = dict(data)
                if start is not None:
                    self.session["start_seq"] = start
            elif kind == "closed":
                self.closed = data
            else:
                self.events.append((kind, data))
            self._changed.notify_all()

    def _lost(self, *_: object) -> None:
        if not self._is_leaving and self.closed is None:
            threading.Thread(target=self._come_back, daemon=True).start()

    def _come_back(self) -> None:
        for _ in range(200):
            if self._is_leaving:
                return
            try:
                self.reopen()
            except (socketio.exceptions.ConnectionError, requests.RequestException):
                time.sleep(0.1)
            else:
                return

    def wait(self, probe: Callable[[], bool], *, within_s: float = 20.0, what: str = "it") -> None:
        """Wait until `probe` is true, looking again at each event."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while not probe():
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not come within {within_s} s; got {self.events[-8:]}"
                self._changed.wait(min(left, 0.5))

    def emit(self, event: str, data: Any) -> dict[str, Any]:
        """Send an event; its acknowledgement."""
        assert self._client is not None
        ack: dict[str, Any] = self._client.call(event, data, namespace=NAMESPACE, timeout=20)
        return ack

    def say(self, content: str, **options: Any) -> dict[str, Any]:
        """Send a message with a fresh string; its acknowledgement, which has to be good."""
        ack = self.emit("message", {"message_string": self.person.message_string(self.chat_id), "content": content, **options})
        assert ack["ok"], ack
        return ack

    def of(self, kind: str, run_id: str | None = None) -> list[dict[str, Any]]:
        """The events of a kind, of one run or of all."""
        return [data for each, data in list(self.events) if each == kind and run_id in (None, data.get("run_id"))]

    def statuses(self, run_id: str) -> list[str]:
        """The statuses that a run was said to have, in order."""
        return [data["status"] for data in self.of("run", run_id)]

    def answer_to(self, run_id: str, *, within_s: float = 30.0) -> str:
        """Wait for a run's stored answer."""

        def answers() -> list[dict[str, Any]]:
            return [data for data in self.of("message", run_id) if data["role"] == "assistant"]

        self.wait(lambda: bool(answers()), within_s=within_s, what=f"the answer of {run_id}")
        return str(answers()[0]["content"])

    def await_status(self, run_id: str, *statuses: str, within_s: float = 30.0) -> str:
        """Wait until a run was said to have one of these statuses."""
        self.wait(lambda: bool(set(self.statuses(run_id)) & set(statuses)), within_s=within_s, what=f"{statuses} of {run_id}")
        return next(status for status in reversed(self.statuses(run_id)) if status in statuses)

    def close(self) -> None:
        """Leave for good."""
        self._is_leaving = True
        if self._client is not None:
            self._client.disconnect()


def numbers(line: Line) -> list[int]:
    """The numbers of a line's events, as they came."""
    return [data["seq"] for _, data in line.events if "seq" in data]


def without_gaps(seqs: Iterable[int]) -> bool:
    """Whether numbers go up by one."""
    listed = list(seqs)
    return listed == list(range(listed[0], listed[0] + len(listed))) if listed else True


def living_text(line: Line, run_id: str) -> str:
    """What a client shows of a running answer: its tokens, less those that a later attempt superseded."""
    superseded = [(data["supersedes"], data["seq"]) for data in line.of("run", run_id) if "supersedes" in data]
    kept = [data["delta"] for data in line.of("token", run_id) if not any(start <= data["seq"] < at for start, at in superseded)]
    return "".join(kept)
