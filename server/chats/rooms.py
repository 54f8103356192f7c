"""The open sockets of this process, by chat: one feed a chat follows its log, and each socket knows the number it has heard.

A socket that joins is brought up from its own number by the database, then hears what the feed carries; an event whose number it has
heard is not sent to it. So it gets every event after its number, in order, each once, however many came meanwhile, whichever process it
was on before, and however often it joins again. A socket that reads slower than its chat goes on is brought up by the database again, at
its own pace; one that does not read at all is cut off.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask_socketio import SocketIO
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from server.chats.dialects import Spoken, said, said_of_old
from server.chats.models import stream_of
from server.kit.sockets import Frames, Wire, encoded
from server.realtime import log as event_log
from server.realtime.events import Event, of_stream
from server.realtime.log import LogTrimmed
from server.realtime.tail import Follower, Ping, follow

__all__ = ["NAMESPACE", "RETRY_S", "STORE_IS_AWAY", "Rooms", "Seat"]

log = logging.getLogger(__name__)

NAMESPACE = "/chat"
STORE_IS_AWAY = (OperationalError, InterfaceError, PoolTimeout)
CATCH_UP_PAUSE_S = 0.02  # between two looks at a socket that reads slower than it is brought up
STALLED_S = 15.0  # how long a socket may be behind without reading on before it is cut off
RETRY_S = 1.0  # before a database that was away is asked again
MAX_UNREAD_CHARS = 16 * 2**20  # the longest answer there may be has to pass


@dataclass(eq=False)
class Seat:
    """An open socket of a chat. is_old: it is spoken to as older clients expect.

    heard: the number of the last event it was sent. is_live: it hears what the feed carries. joins: how often it has joined; only the
    last join goes on. All three belong to the lock of its feed.
    """

    sid: str
    wire: Wire
    chat_id: uuid.UUID
    user_id: uuid.UUID
    credential: str
    is_old: bool
    heard: int = 0
    is_live: bool = False
    joins: int = 0
    typed_at: float = float("-inf")
    _second: int = 0
    _events: int = 0

    def may_say_more(self, events_a_second: int) -> bool:
        """Count one event of the socket; whether it is among the first so many of this second."""
        second = int(time.monotonic())
        self._events = self._events + 1 if second == self._second else 1
        self._second = second
        return self._events <= events_a_second

    def next_join(self) -> int:
        """Let a join begin, which ends those before; its number."""
        self.is_live = False
        self.joins += 1
        return self.joins


class Feed:
    """The sockets of one chat in this process, and the number up to which its log was carried to them."""

    def __init__(self, chat_id: uuid.UUID, position: int) -> None:
        self.chat_id = chat_id
        self.position = position
        self.seats: dict[str, Seat] = {}
        self.lock = threading.RLock()
        self.follower = Follower(of_stream(stream_of(chat_id)))

    def live(self) -> list[Seat]:
        """The sockets that hear what is carried."""
        return [seat for seat in list(self.seats.values()) if seat.is_live]


class Rooms:
    """All open sockets of this process. The lock of a feed may be held when `_lock` is taken, never the other way round."""

    def __init__(self, app: Flask, socketio: SocketIO, *, max_unread: int) -> None:
        self._app = app
        self._socketio = socketio
        self._max_unread = max_unread
        self._lock = threading.RLock()
        self.feeds: dict[uuid.UUID, Feed] = {}
        self.seats: dict[str, Seat] = {}
        self.stalled_s = STALLED_S

    def enter(self, seat: Seat) -> None:
        """Note a socket that was let in; it hears nothing before it has joined."""
        self.seats[seat.sid] = seat

    def join(self, seat: Seat, *, since: int, last: int) -> None:
        """Send the socket everything after the number `since`, then everything as it happens; returns when it has caught up.

        last: a number that the log has reached; `since` counts as this when it is beyond. A join while another one of the socket goes on
        takes its place. Waits while the database is away.
        """
        feed = self._feed(seat, last)
        if feed is None:
            return
        with feed.lock:
            seat.heard = min(since, last)
            turn = seat.next_join()
        self._catch_up(feed, seat, turn)

    def _catch_up(self, feed: Feed, seat: Seat, turn: int) -> None:
        """Bring the socket up, no faster than it reads, until it is live or somebody else brings it up."""
        while self._bring_up(feed, seat, turn):
            self._await_reading(seat)

    def _bring_up(self, feed: Feed, seat: Seat, turn: int) -> bool:
        """Send the next page of what the socket missed; whether there is more."""
        with feed.lock:
            if seat.joins != turn or seat.sid not in self.seats:
                return False
            if seat.heard >= feed.position:
                seat.is_live = True
                return False
        try:
            page = event_log.read(of_stream(stream_of(seat.chat_id)), after=seat.heard)
        except LogTrimmed as trimmed:
            with feed.lock:
                self._skip(feed, [seat], trimmed)
            return True
        except STORE_IS_AWAY as error:
            log.warning("chat.join_retries", extra={"facts": {"chat_id": seat.chat_id, "kind": type(error).__name__}})
            self._socketio.sleep(RETRY_S)
            return True
        with feed.lock:
            for event in page if seat.joins == turn else ():
                self._say(event, [seat])
            if not page:
                seat.heard = max(seat.heard, feed.position)
        return True

    def leave(self, sid: str) -> None:
        """Forget a socket; the feed of a chat ends with its last one."""
        with self._lock:
            seat = self.seats.pop(sid, None)
            feed = self.feeds.get(seat.chat_id) if seat is not None else None
            if feed is None or feed.seats.pop(sid, None) is None or feed.seats:
                return
            del self.feeds[feed.chat_id]
        feed.follower.close()

    def close(self, seat: Seat, code: str, message: str) -> None:
        """Tell a socket why, and disconnect it."""
        if not seat.is_old:
            self.whisper(seat, "closed", {"code": code, "message": message})
        self.leave(seat.sid)
        seat.wire.hang_up()

    def whisper(self, seat: Seat, kind: str, facts: dict[str, Any]) -> None:
        """Send one socket something that is not in the log."""
        seat.wire.send(_frames((kind, {**facts, "chat_id": str(seat.chat_id)})))

    def tell(self, chat_id: uuid.UUID, kind: str, facts: dict[str, Any]) -> None:
        """Send the sockets of a chat something that is not in the log, such as that somebody types."""
        feed = self.feeds.get(chat_id)
        frames = _frames((kind, {**facts, "chat_id": str(chat_id)}))
        for seat in list(feed.seats.values()) if feed is not None else ():
            if not seat.is_old:
                seat.wire.send(frames)

    # -- feeds -------------------------------------------------------------------------------------------------------

    def _feed(self, seat: Seat, last: int) -> Feed | None:
        """The feed of the socket's chat, with the socket in it; None for a socket that has left."""
        with self._lock:
            if seat.sid not in self.seats:
                return None
            feed = self.feeds.get(seat.chat_id)
            is_new = feed is None
            if feed is None:
                feed = self.feeds[seat.chat_id] = Feed(seat.chat_id, last)
            feed.seats[seat.sid] = seat
        if is_new:
            self._socketio.start_background_task(self._carry, feed)
        return feed

    def _carry(self, feed: Feed) -> None:
        """Follow the chat's log until the last socket has left."""
        while not feed.follower.is_closed:
            try:
                with self._app.app_context():
                    self._carry_on(feed)
            except Exception as error:
                log.warning("chat.feed_retries", extra={"facts": {"chat_id": feed.chat_id, "kind": type(error).__name__}})
                self._socketio.sleep(RETRY_S)

    def _carry_on(self, feed: Feed) -> None:
        source = of_stream(stream_of(feed.chat_id))
        try:
            for batch in follow(source, after=feed.position, follower=feed.follower):
                if isinstance(batch, Ping):
                    continue
                with feed.lock:
                    for event in batch:
                        self._say(event, feed.live())
                        feed.position = event.seq or feed.position
                self._let_fall_back(feed)
        except LogTrimmed as trimmed:
            log.warning("chat.feed_trimmed", extra={"facts": {"chat_id": feed.chat_id}})
            last = event_log.last_number(source.name)
            with feed.lock:
                feed.position = last
                self._skip(feed, feed.live(), trimmed)

    def _skip(self, feed: Feed, seats: Iterable[Seat], trimmed: LogTrimmed) -> None:
        """Tell sockets that events which they have not heard are no longer kept, and go on from the feed's position."""
        for seat in seats:
            seat.heard = feed.position
            if not seat.is_old:
                self.whisper(seat, "error", {"code": trimmed.code, "message": trimmed.message, "retryable": False})

    def _say(self, event: Event, seats: Iterable[Seat]) -> None:
        """Send an event to those of the sockets that have not heard it. Called with the feed's lock."""
        number = event.seq or 0
        spoken: dict[bool, Frames] = {}
        for seat in seats:
            if seat.heard >= number:
                continue
            seat.heard = number
            if seat.is_old not in spoken:
                spoken[seat.is_old] = _frames(said_of_old(event) if seat.is_old else said(event, seat.chat_id))
            seat.wire.send(spoken[seat.is_old])

    # -- slow sockets ------------------------------------------------------------------------------------------------

    def _let_fall_back(self, feed: Feed) -> None:
        """Send nothing more from the feed to sockets that have too much unread: each goes on from the database, at its own pace."""
        for seat in feed.live():
            if self._is_behind(seat, share=1):
                with feed.lock:
                    turn = seat.next_join()
                self._socketio.start_background_task(self._go_on, feed, seat, turn)

    def _go_on(self, feed: Feed, seat: Seat, turn: int) -> None:
        with self._app.app_context():
            self._await_reading(seat)
            self._catch_up(feed, seat, turn)

    def _await_reading(self, seat: Seat) -> None:
        """Wait until the socket has read most of what it was sent; one that does not read is cut off."""
        began = time.monotonic()
        while seat.sid in self.seats and self._is_behind(seat, share=2):
            if time.monotonic() - began > self.stalled_s:
                log.warning("chat.stalled_socket", extra={"facts": {"chat_id": seat.chat_id, "unread": seat.wire.unread()}})
                self.leave(seat.sid)
                seat.wire.cut()
            self._socketio.sleep(CATCH_UP_PAUSE_S)

    def _is_behind(self, seat: Seat, *, share: int) -> bool:
        """Whether the socket has left more unread than the given share (a half, a whole) of what it may."""
        frames, characters = seat.wire.unread()
        return frames * share > self._max_unread or characters * share > MAX_UNREAD_CHARS


def _frames(spoken: Spoken | None) -> Frames:
    return encoded(*spoken, namespace=NAMESPACE) if spoken is not None else []
