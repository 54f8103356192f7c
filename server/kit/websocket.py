"""Raw WebSockets for a route of Flask, on any of the servers that this one runs under.

    @door.get("/live/<name>", websocket=True)     # only for requests that want to become one
    def live(name):
        return websocket.talk(lambda socket: ...)      # the talk: it reads `socket` until that ends

    opening ──accept──▶ open ──close, or the client's close──▶ closing ──▶ closed
                          └──the line breaks, the client is silent or too slow, a frame is too large──▶ closed

One thread (or green thread) reads and runs the talk, a second one writes what waits. Nobody who sends is held up: what a client does
not read waits, bounded in frames and bytes, and a client that is too far behind is closed; it comes back and asks from where it was.
A Refusal that the talk raises closes the socket with its close code: a browser cannot read the status of a refused upgrade.
Source: RFC 6455; simple-websocket for where servers keep the socket.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import logging
import socket as sockets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response, request
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from server.kit.errors import Refusal

__all__ = ["Closed", "WebSocket", "talk"]

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 1_048_576  # the longest message that a client may send
MAX_WAITING_FRAMES = 2_000  # what may wait for a client before it counts as too slow
MAX_WAITING_BYTES = 16 * 1_048_576
HEARTBEAT_S = 20.0  # how long nothing may come before the client is asked whether it is there; it has as long to answer
GOODBYE_S = 3.0  # how long what waits may take to be written once the socket is being closed
READ_BYTES = 16_384
MAX_REASON_BYTES = 120  # RFC 6455, 5.5: a control frame carries at most 125 bytes, two of which are the code

NORMAL = 1000
GOING_AWAY = 1001
UNSUPPORTED = 1003
TOO_SLOW = 4408
BUG = 1011
TOO_LARGE = 1009

Talk = Callable[["WebSocket"], object]


class Closed(Exception):
    """The socket is closed."""

    def __init__(self, code: int, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}".strip())


class State(enum.Enum):
    """Where in its life a socket is."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class WebSocket:
    """One client's socket. `send` and `close` may be called from any thread; only the talk iterates."""

    def __init__(self, link: sockets.socket, *, heartbeat_s: float = HEARTBEAT_S, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._link = link
        self._heartbeat_s = heartbeat_s
        self._max_frame_bytes = max_frame_bytes
        self._wire = WSConnection(ConnectionType.SERVER)
        self._state = State.OPENING
        self._ended: Closed | None = None
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._heard: collections.deque[str] = collections.deque()
        self._partial: list[str] = []
        self._partial_bytes = 0

    # -- opening -----------------------------------------------------------------------------------------------------

    def accept(self, headers: dict[str, str]) -> None:
        """Shake hands with a client whose request had these headers. Raises Refusal (400) for one that is no handshake."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        try:
            self._wire.receive_data(f"GET / HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace"))
            asked = next(iter(self._wire.events()))
            if not isinstance(asked, Request):
                raise Refusal("This is no WebSocket handshake.")
            self._link.settimeout(self._heartbeat_s)
            self._link.sendall(self._wire.send(AcceptConnection()))
        except (RemoteProtocolError, LocalProtocolError, StopIteration):
            raise Refusal("This is no WebSocket handshake.") from None
        self._state = State.OPEN
        threading.Thread(target=self._write_forever, name="websocket", daemon=True).start()

    # -- reading -----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[str]:
        """The client's messages, until the socket is closed by either side or the line breaks."""
        while True:
            try:
                yield self.receive()
            except Closed:
                return

    def receive(self) -> str:
        """The client's next message. Blocks; raises Closed."""
        was_asked = False
        while not self._heard:
            if self._ended is not None:
                raise self._ended
            try:
                data = self._link.recv(READ_BYTES)
            except TimeoutError:
                if was_asked:
                    self.close(GOING_AWAY, "You are silent.")
                    continue
                was_asked = True
                self._put(self._wire_says(Ping()))
                continue
            except OSError:
                data = b""
            was_asked = False
            self._take(data)
        return self._heard.popleft()

    def _take(self, data: bytes) -> None:
        """Take what came over the line: nothing means that it is cut."""
        if not data:
            self._end(Closed(1006))
            return
        try:
            with self._changed:
                self._wire.receive_data(data)
                said = list(self._wire.events())
        except RemoteProtocolError as error:
            self.close(getattr(error.event_hint, "code", None) or 1002, "This is not the protocol.")
            return
        for event in said:
            self._hear(event)

    def _hear(self, event: Any) -> None:
        if isinstance(event, TextMessage):
            self._hear_text(event)
        elif isinstance(event, BytesMessage):
            self.close(UNSUPPORTED, "Messages are JSON text.")
        elif isinstance(event, Ping):
            self._put(self._wire_says(event.response()))
        elif isinstance(event, CloseConnection):
            if self._wire.state is ConnectionState.REMOTE_CLOSING:
                self._put(self._wire_says(event.response()))
            self._finish(Closed(event.code, event.reason or ""))
        elif not isinstance(event, Pong):
            log.debug("websocket.passed_over", extra={"facts": {"kind": type(event).__name__}})

    def _hear_text(self, event: TextMessage) -> None:
        self._partial.append(event.data)
        self._partial_bytes += len(event.data.encode())
        if self._partial_bytes > self._max_frame_bytes:
            self.close(TOO_LARGE, f"A message has at most {self._max_frame_bytes} bytes.")
            return
        if event.message_finished:
            self._heard.append("".join(self._partial))
            self._partial, self._partial_bytes = [], 0

    # -- writing -----------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether what is sent now may arrive."""
        return self._state is State.OPEN

    def send(self, text: str | bytes) -> None:
        """Queue a text message (bytes are UTF-8). A client that is too far behind is closed with TOO_SLOW. Raises Closed."""
        told = text if isinstance(text, str) else text.decode()
        with self._changed:
            if self._state is not State.OPEN:
                raise self._ended or Closed(NORMAL)
            if len(self._waiting) >= MAX_WAITING_FRAMES or self._waiting_bytes > MAX_WAITING_BYTES:
                is_behind = True
            else:
                is_behind = False
                self._put(self._wire_says(TextMessage(data=told)))
        if is_behind:
            self.close(TOO_SLOW, "You read too slowly; come back and ask from where you were.")
            raise self._ended or Closed(TOO_SLOW)

    def wait_for_room(self, timeout_s: float = 2 * HEARTBEAT_S) -> None:
        """Hold back who has much to send until half of what may wait is free. Raises Closed; a client that does not read is closed."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._state is State.OPEN and self._is_half_full():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            is_stuck = self._is_half_full()
        if is_stuck:
            self.close(TOO_SLOW, "You read too slowly; come back and ask from where you were.")
        if self._state is not State.OPEN:
            raise self._ended or Closed(NORMAL)

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say goodbye after what waits, at most GOODBYE_S; nothing happens the second time. What waits for one too slow is dropped."""
        with self._changed:
            if self._state is not State.OPEN:
                return
            if code == TOO_SLOW:
                self._waiting.clear()
                self._waiting_bytes = 0
            short = reason.encode()[:MAX_REASON_BYTES].decode("utf-8", "ignore")
            self._put(self._wire_says(CloseConnection(code, short)))
        self._finish(Closed(code, reason))

    def _is_half_full(self) -> bool:
        return len(self._waiting) > MAX_WAITING_FRAMES // 2 or self._waiting_bytes > MAX_WAITING_BYTES // 2

    def _wire_says(self, event: Any) -> bytes:
        """The bytes of an event; nothing once the protocol is over."""
        with self._changed:
            try:
                return bytes(self._wire.send(event))
            except LocalProtocolError:
                return b""

    def _put(self, data: bytes) -> None:
        with self._changed:
            if data and self._state in (State.OPEN, State.CLOSING):
                self._waiting.append(data)
                self._waiting_bytes += len(data)
                self._changed.notify_all()

    def _write_forever(self) -> None:
        while (data := self._next()) is not None:
            try:
                self._link.sendall(data)
            except OSError:  # the line is cut, or nothing was read from it for a heartbeat
                self._end(Closed(1006))
        self._shut()

    def _next(self) -> bytes | None:
        """What is to be written next; None when there is nothing more to come."""
        with self._changed:
            self._changed.notify_all()
            while not self._waiting and self._state is State.OPEN:
                self._changed.wait()
            if not self._waiting or self._state is State.CLOSED:
                return None
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            return data

    # -- the end -----------------------------------------------------------------------------------------------------

    def _finish(self, why: Closed) -> None:
        """Nothing more is taken; what waits still goes out."""
        with self._changed:
            if self._state is not State.OPEN:
                return
            self._state = State.CLOSING
            self._ended = why
            self._changed.notify_all()

    def _end(self, why: Closed) -> None:
        """The line is of no use any more."""
        with self._changed:
            self._ended = self._ended or why
            self._state = State.CLOSED
            self._waiting.clear()
            self._changed.notify_all()

    def _shut(self) -> None:
        with self._changed:
            self._state = State.CLOSED
            self._changed.notify_all()
        # What the client has sent meanwhile must not break off what it has still to read.
        with contextlib.suppress(OSError):
            self._link.shutdown(sockets.SHUT_WR)

    def farewell(self) -> None:
        """Returns when the last word is written and the client has let go, or GOODBYE_S later; the line is cut then."""
        deadline = time.monotonic() + GOODBYE_S
        with self._changed:
            while self._state is State.CLOSING and (left_s := deadline - time.monotonic()) > 0:
                self._changed.wait(left_s)
        self._end(Closed(NORMAL))
        with contextlib.suppress(OSError):
            while (left_s := deadline - time.monotonic()) > 0:
                self._link.settimeout(left_s)
                if not self._link.recv(READ_BYTES):
                    break
        with contextlib.suppress(OSError):
            self._link.shutdown(sockets.SHUT_RDWR)


# -- in a route ----------------------------------------------------------------------------------------------------------


def talk(run: Talk, *, heartbeat_s: float = HEARTBEAT_S, max_frame_bytes: int = MAX_FRAME_BYTES) -> Response:
    """Accept this request's WebSocket and carry out the talk; what to return from the view when it is over.

    Blocks as long as the talk does. Raises Refusal (400) for a handshake that is none.
    """
    socket = WebSocket(_link(request.environ), heartbeat_s=heartbeat_s, max_frame_bytes=max_frame_bytes)
    socket.accept(dict(request.headers))
    try:
        run(socket)
        socket.close()
    except Closed:
        pass
    except Refusal as refusal:
        socket.close(refusal.close_code, refusal.message)
    except Exception:
        log.exception("websocket.bug")
        socket.close(BUG, "Internal server error")
    finally:
        socket.farewell()
    return _Spoken()


class _Spoken(Response):
    """The answer to a request whose connection has been used up: nothing."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if "werkzeug.socket" in environ:
            raise ConnectionAbortedError
        green = sys.modules.get("eventlet.wsgi")
        if green is not None and "eventlet.input" in environ:
            green.WSGI_LOCAL.already_handled = True
        return []


def _link(environ: dict[str, Any]) -> sockets.socket:
    """The client's connection; every server keeps it somewhere else."""
    for name in ("werkzeug.socket", "gunicorn.socket"):
        if name in environ:
            link: sockets.socket = environ[name]
            return link
    if "eventlet.input" in environ:
        return environ["eventlet.input"].get_socket()  # type: ignore[no-any-return]
    source = environ["wsgi.input"]
    source = getattr(source, "rfile", source)
    if hasattr(source, "raw"):  # gevent
        return source.raw._sock  # type: ignore[no-any-return]
    raise Refusal("This server does not speak WebSocket.")
