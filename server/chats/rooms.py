"""The open sockets of this process, by chat: one feed a chat follows its log and sends each event to all that sit in it, once.

A socket that joins is first brought up from its own number to the feed's, then sits with the others; so it gets every event after its
number, in order, each once, however many came meanwhile.
"""

from __future__ import annotations

import logging
import threading
import uuid
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask_socketio import SocketIO

from server.chats.models import stream_of
from server.kit.sockets import backlog, cut_off
from server.realtime import log as event_log
from server.realtime.events import Event, of_stream
from server.realtime.log import LogTrimmed
from server.realtime.tail import Follower, Ping, follow

__all__ = ["NAMESPACE", "Rooms", "Seat"]

log = logging.getLogger(__name__)

NAMESPACE = "/chat"
CATCH_UP_PAUSE_S = 0.02


@dataclass
class Seat:
    """An open socket of a chat. is_old: it is spoken to as older clients expect."""

    sid: str
    chat_id: uuid.UUID
    user_id: uuid.UUID
    credential: str
    is_old: bool

    @property
    def room(self) -> str:
        """The Socket.IO room of those that are spoken to alike."""
        return f"{'old' if self.is_old else 'now'}:{self.chat_id}"


class Feed:
    """The sockets of one chat in this process, and how far they are."""

    def __init__(self, chat_id: uuid.UUID, position: int) -> None:
        self.chat_id = chat_id
        self.position = position
        self.seats: dict[str, Seat] = {}
        self.lock = threading.RLock()
        self.follower = Follower(of_stream(stream_of(chat_id)))


class Rooms:
    """All open sockets of this process."""

    def __init__(self, app: Flask, socketio: SocketIO, *, max_backlog: int) -> None:
        self._app = app
        self._socketio = socketio
        self._max_backlog = max_backlog
        self._lock = threading.RLock()
        self._feeds: dict[uuid.UUID, Feed] = {}
        self.seats: dict[str, Seat] = {}

    def enter(self, seat: Seat) -> None:
        """Note a socket that was let in; it hears nothing before it has joined."""
        self.seats[seat.sid] = seat

    def join(self, seat: Seat, *, since: int | None) -> int:
        """Send the socket what it missed since a number, then everything as it happens; the number it has reached.

        since: None is from now on. Raises LogTrimmed when that is no longer kept; the socket then hears what happens from now on.
        """
        feed = self._feed(seat.chat_id)
        self._socketio.server.leave_room(seat.sid, seat.room, namespace=NAMESPACE)
        try:
            reached = feed.position if since is None else min(since, feed.position)
            while seat.sid in self.seats:
                with feed.lock:
                    if since is None or reached >= feed.position:
                        return self._sit(feed, seat)
                reached = self._catch_up(feed, seat, reached)
        except LogTrimmed:
            with feed.lock:
                self._sit(feed, seat)
            raise
        return reached

    def _sit(self, feed: Feed, seat: Seat) -> int:
        if seat.sid in self.seats:
            feed.seats[seat.sid] = seat
            self._socketio.server.enter_room(seat.sid, seat.room, namespace=NAMESPACE)
        return feed.position

    def _catch_up(self, feed: Feed, seat: Seat, after: int) -> int:
        for event in event_log.read(of_stream(stream_of(seat.chat_id)), after=after):
            if (event.seq or 0) > feed.position:
                break
            self._send(event, seat.sid, is_old=seat.is_old, chat_id=seat.chat_id)
            after = event.seq or after
        while backlog(self._socketio, seat.sid, NAMESPACE) > self._max_backlog // 2 and seat.sid in self.seats:
            self._socketio.sleep(CATCH_UP_PAUSE_S)
        return after

    def leave(self, sid: str) -> None:
        """Forget a socket; the feed of a chat ends with its last one."""
        seat = self.seats.pop(sid, None)
        if seat is None:
            return
        with self._lock:
            feed = self._feeds.get(seat.chat_id)
            if feed is None:
                return
            feed.seats.pop(sid, None)
            if not feed.seats:
                del self._feeds[seat.chat_id]
                feed.follower.close()

    def of_chat(self, chat_id: uuid.UUID) -> list[Seat]:
        """The sockets of a chat."""
        return [seat for seat in list(self.seats.values()) if seat.chat_id == chat_id]

    def close(self, seat: Seat, code: str, message: str) -> None:
        """Tell a socket why, and disconnect it."""
        if not seat.is_old:
            facts = {"chat_id": str(seat.chat_id), "code": code, "message": message}
            self._socketio.server.emit("closed", facts, to=seat.sid, namespace=NAMESPACE)
        self.leave(seat.sid)
        self._socketio.server.disconnect(seat.sid, namespace=NAMESPACE)

    def tell(self, chat_id: uuid.UUID, kind: str, facts: dict[str, Any]) -> None:
        """Send the sockets of a chat something that is not kept, such as that somebody types."""
        self._socketio.server.emit(kind, {**facts, "chat_id": str(chat_id)}, to=f"now:{chat_id}", namespace=NAMESPACE)

    # -- feeds -------------------------------------------------------------------------------------------------------

    def _feed(self, chat_id: uuid.UUID) -> Feed:
        with self._app.app_context():
            position = event_log.last_number(stream_of(chat_id))
        with self._lock:
            feed = self._feeds.get(chat_id)
            if feed is None:
                feed = self._feeds[chat_id] = Feed(chat_id, position)
                self._socketio.start_background_task(self._carry, feed)
            return feed

    def _carry(self, feed: Feed) -> None:
        """Follow the chat's log until the last socket has left."""
        while not feed.follower.is_closed:
            try:
                with self._app.app_context():
                    self._carry_on(feed)
            except LogTrimmed:
                log.warning("chat.feed_trimmed", extra={"facts": {"chat_id": feed.chat_id}})
                with self._app.app_context():
                    feed.position = event_log.last_number(stream_of(feed.chat_id))
            except Exception as error:
                log.warning("chat.feed_retries", extra={"facts": {"chat_id": feed.chat_id, "kind": type(error).__name__}})
                self._socketio.sleep(1)

    def _carry_on(self, feed: Feed) -> None:
        source = of_stream(stream_of(feed.chat_id))
        for batch in follow(source, after=feed.position, follower=feed.follower):
            if isinstance(batch, Ping):
                continue
            with feed.lock:
                for event in batch:
                    self._broadcast(event, feed)
                    feed.position = event.seq or feed.position
            self._cut_off_slow(feed)

    def _broadcast(self, event: Event, feed: Feed) -> None:
        kinds = {seat.is_old for seat in feed.seats.values()}
        for is_old in kinds:
            room = f"{'old' if is_old else 'now'}:{feed.chat_id}"
            self._send(event, room, is_old=is_old, chat_id=feed.chat_id)

    def _send(self, event: Event, to: str, *, is_old: bool, chat_id: uuid.UUID) -> None:
        facts = event.load()
        if not is_old:
            self._socketio.server.emit(
                event.type, {**facts, "chat_id": str(chat_id), "seq": event.seq}, to=to, namespace=NAMESPACE
            )
            return
        text = old_text(event.type, facts)
        if text is not None:
            self._socketio.server.emit("message", text, to=to, namespace=NAMESPACE)

    def _cut_off_slow(self, feed: Feed) -> None:
        for sid in list(feed.seats):
            if backlog(self._socketio, sid, NAMESPACE) > self._max_backlog:
                log.warning("chat.slow_socket", extra={"facts": {"chat_id": feed.chat_id}})
                self.leave(sid)
                cut_off(self._socketio, sid, NAMESPACE)


def old_text(kind: str, facts: dict[str, Any]) -> str | None:
    """What an older client is told of an event, as plain text: the answer, or why there is none; None for all else."""
    if kind == "message" and facts["role"] == "assistant":
        return str(facts["content"])
    if kind == "error":
        return str(facts["message"])
    if kind == "interrupt":
        return "The agent asks for a decision that this client cannot show. Open the chat in the page to answer it."
    return None
