"""A thread over a WebSocket: commands come in, their answers and the events that were subscribed to go out.

The talk's thread reads commands and carries them out; one more follows the thread for all subscriptions. An event goes out once,
however many subscriptions want it; a new subscription first gets what was said before.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator

import orjson
from flask import Flask

from server.kit.errors import Refusal
from server.kit.websocket import Closed, WebSocket
from server.langgraph_api.protocol_commands import Commands, Wrong
from server.langgraph_api.protocol_events import Filter, Frame
from server.langgraph_api.protocol_lines import Line
from server.langgraph_api.protocol_reading import Reader, thread_when_made
from server.runs.threads import reads

__all__ = ["Conversation"]

log = logging.getLogger(__name__)

MAX_SUBSCRIPTIONS = 100


class Conversation:
    """One client's talk about one of its threads."""

    def __init__(self, app: Flask, socket: WebSocket, owner_id: uuid.UUID, name: str, line: Line) -> None:
        self._app = app
        self._socket = socket
        self._owner_id = owner_id
        self._name = name
        self._line = line
        self._commands = Commands(owner_id, name, subscriber=self)
        self._subscriptions: dict[str, Filter] = {}
        self._reader: Reader | None = None
        self._lock = threading.RLock()
        self._follower: threading.Thread | None = None
        self._is_over = False

    def run(self) -> None:
        """Answer the client's commands until the socket is closed."""
        try:
            for text in self._socket:
                self._socket.send(orjson.dumps(self._commands.answer_text(text)))
        finally:
            self._is_over = True
            with self._lock:
                if self._reader is not None:
                    self._reader.follower.close()

    # -- subscriptions -----------------------------------------------------------------------------------------------

    def subscribe(self, wanted: Filter, since: int | None) -> tuple[str, int]:
        """Send what was said after a number and what will be; the subscription's id, and how many events were sent of the past."""
        with self._lock:
            if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
                raise Wrong("invalid_argument", f"A connection has at most {MAX_SUBSCRIPTIONS} subscriptions.")
            replayed = 0
            for frame in self._past(since):
                if wanted.wants(frame):
                    self._socket.wait_for_room()
                    self._socket.send(frame.text)
                    replayed += 1
            subscription_id = str(uuid.uuid4())
            self._subscriptions[subscription_id] = wanted
            self._begin_to_follow()
        return subscription_id, replayed

    def unsubscribe(self, subscription_id: str) -> bool:
        """Send no more of it; whether there was one."""
        with self._lock:
            return self._subscriptions.pop(subscription_id, None) is not None

    def _past(self, since: int | None) -> Iterator[Frame]:
        """What was said after a number, up to where the others are; the first subscription decides where that is."""
        if self._reader is not None:
            yield from self._reader.past(since)
            return
        thread_id = reads.id_named(self._owner_id, self._name) if self._follower is None else None
        if thread_id is None:
            return
        reader = Reader(thread_id)
        reader.begin(since)
        self._line.thread_id = thread_id
        yield from reader.catch_up()
        self._reader = reader

    def _begin_to_follow(self) -> None:
        if self._follower is None:
            self._follower = threading.Thread(target=self._follow, name="protocol", daemon=True)
            self._follower.start()

    def _follow(self) -> None:
        """Send what is said from now on to whoever wants it, until the socket is closed."""
        try:
            with self._app.app_context():
                reader = self._found()
                if reader is not None:
                    self._send_live(reader)
        except Closed:
            pass
        except Refusal as refusal:
            self._socket.close(refusal.close_code, refusal.message)
        except Exception:
            log.exception("protocol.follow_failed")
            self._socket.close(1011, "Internal server error")

    def _found(self) -> Reader | None:
        """The reader of the thread, once there is one; None when the socket was closed before."""
        if self._reader is None:
            for thread_id in thread_when_made(self._owner_id, self._name, lambda: self._is_over):
                if thread_id is not None:
                    with self._lock:
                        self._reader = Reader(thread_id)
                        self._line.thread_id = thread_id
        return self._reader

    def _send_live(self, reader: Reader) -> None:
        for newest, frames in reader.live():
            self._socket.wait_for_room()
            with self._lock:
                wanted = list(self._subscriptions.values())
                for frame in frames:
                    if any(each.wants(frame) for each in wanted):
                        self._socket.send(frame.text)
                reader.position = newest
            if self._is_over:
                return
