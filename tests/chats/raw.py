"""A Socket.IO client that is spoken by hand, frame by frame: it sends what no library would, and sees in which order things come."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import websocket

NAMESPACE = "/chat"
WAIT_S = 15.0


class Raw:
    """A WebSocket on which the namespace was asked for; `greeting` is the server's answer to that.

    auth: the object of the CONNECT packet; None sends none. query: what older clients put into the address. Its system keeps little of
    what it has not read yet, so that a server soon notices that it does not read.
    """

    def __init__(self, base_url: str, auth: Any = None, *, query: dict[str, str] | None = None, since: int | None = None) -> None:
        address = base_url.replace("http", "ws") + "/socket.io/?" + urlencode({"EIO": "4", "transport": "websocket", **(query or {})})
        keep_little = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)]
        self.link = websocket.create_connection(address, timeout=WAIT_S, sockopt=keep_little, skip_utf8_validation=True)
        self.frames: list[str] = []
        self.events: list[tuple[str, Any]] = []
        self.acks: dict[int, Any] = {}
        self.greeting: tuple[str, Any] = ("", None)
        self._ids = itertools.count(1)
        assert self.link.recv()[0] == "0"
        shown = {**auth, "since": since} if since is not None else auth
        self.send(f"40{NAMESPACE}," + ("" if shown is None else json.dumps(shown)))
        self.until(lambda: self.greeting[0] != "")

    @property
    def refusal(self) -> str | None:
        """The word with which the connection was refused, if it was."""
        return self.greeting[1]["message"] if self.greeting[0] == "refused" else None

    def send(self, frame: str) -> None:
        """Send a frame as it is."""
        self.link.send(frame)

    def post(self, event: str, *data: Any) -> int:
        """Send an event; the number under which its acknowledgement will be in `acks`."""
        number = next(self._ids)
        self.send(f"42{NAMESPACE},{number}{json.dumps([event, *data])}")
        return number

    def ask(self, event: str, *data: Any) -> Any:
        """Send an event; its acknowledgement."""
        number = self.post(event, *data)
        self.until(lambda: number in self.acks)
        return self.acks[number]

    def until(self, probe: Callable[[], bool], *, within_s: float = WAIT_S) -> None:
        """Take frames until `probe` is true."""
        deadline = time.monotonic() + within_s
        while not probe():
            self.link.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                frame = self.link.recv()
            except (websocket.WebSocketTimeoutException, websocket.WebSocketConnectionClosedException) as error:
                raise AssertionError(f"{type(error).__name__}; got {self._last_frames()}") from None
            self._take(frame)

    def until_event(self, kind: str, count: int = 1) -> Any:
        """The payload of the `count`-th event of a kind, once it has come."""
        self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[Any]:
        """The payloads of a kind of event."""
        return [data for each, data in self.events if each == kind]

    def numbers(self) -> list[int]:
        """The numbers of the events that came, in order of arrival."""
        return [data["seq"] for _, data in self.events if isinstance(data, dict) and "seq" in data]

    def until_closed(self) -> bool:
        """Take frames until the server ends the WebSocket."""
        try:
            self.until(lambda: False)
        except AssertionError as error:
            return str(error).startswith("WebSocketConnectionClosed")
        return False

    def close(self) -> None:
        """Be gone."""
        self.link.close()

    def _last_frames(self) -> list[str]:
        return [frame[:200] for frame in self.frames[-6:]]

    def _take(self, frame: str) -> None:
        self.frames.append(frame)
        if frame == "":
            raise AssertionError(f"WebSocketConnectionClosed; got {self._last_frames()}")
        if frame == "2":
            self.send("3")
        elif frame.startswith(f"40{NAMESPACE}"):
            self.greeting = ("accepted", _json_of(frame))
        elif frame.startswith(f"44{NAMESPACE}"):
            self.greeting = ("refused", _json_of(frame))
        elif frame.startswith(f"41{NAMESPACE}"):
            self.events.append(("disconnected", None))
        elif frame.startswith(f"42{NAMESPACE}"):
            kind, *data = _json_of(frame)
            self.events.append((kind, data[0] if data else None))
        elif frame.startswith(f"43{NAMESPACE}"):
            text = frame.partition(",")[2]
            number, bracket, rest = text.partition("[")
            self.acks[int(number)] = json.loads(bracket + rest)[0]


def _json_of(frame: str) -> Any:
    return json.loads(frame.partition(",")[2] or "null")
