"""Following a log, live, from any number: one blocking Redis connection a process carries the bells of all followers.

A follower first asks for the bell, then reads the past from the database, then takes what the bell brings, dropping numbers it
has seen. Numbers have no gaps, so a missing one is seen at once and fetched from the database; the same happens after Redis was
away, and while it is away the database is asked every second. A follower that does not keep up loses its queue, not its place.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis

from server.kit.redis import client
from server.realtime.events import CHANNEL_PREFIX, Event, Log, read_frame
from server.realtime.log import PAGE, read

__all__ = ["PING", "Follower", "Tail", "follow", "tail"]

log = logging.getLogger(__name__)

MAX_QUEUED = 2000  # events a follower may leave unread before it is sent back to the database
POLL_S = 1.0  # how often the database is asked while Redis is away
QUIET_S = 30.0  # how long nothing may come before the connection is looked at
BELL_WAIT_S = 1.0  # how long a subscription may take before the past is read without it


class Ping:
    """The sign of a heartbeat: nothing happened, the line is to be kept open."""


PING = Ping()


class Follower:
    """One reader's bell on one log: a bounded queue of live events, and whether the database has to be asked again."""

    def __init__(self, source: Log) -> None:
        self.source = source
        self.is_closed = False
        self._events: collections.deque[Event] = collections.deque()
        self._has_gap = False
        self._ready = threading.Condition()

    def offer(self, events: list[Event]) -> None:
        """Take live events; drops them all when the reader is too far behind."""
        with self._ready:
            if len(self._events) + len(events) > MAX_QUEUED:
                self._events.clear()
                self._has_gap = True
            else:
                self._events.extend(events)
            self._ready.notify()

    def look_again(self) -> None:
        """Tell the reader that events may have passed unheard."""
        with self._ready:
            self._has_gap = True
            self._ready.notify()

    def close(self) -> None:
        """Wake the reader for the last time."""
        with self._ready:
            self.is_closed = True
            self._ready.notify()

    def take(self, timeout_s: float) -> tuple[list[Event], bool]:
        """The events that have come, and whether the database has to be asked; waits at most `timeout_s` for either."""
        with self._ready:
            if not (self._events or self._has_gap or self.is_closed):
                self._ready.wait(timeout_s)
            events, has_gap = list(self._events), self._has_gap
            self._events.clear()
            self._has_gap = False
            return events, has_gap


class Tail:
    """The one subscription of this process: hears the channels that its followers asked for, and the notices."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._followers: dict[str, list[Follower]] = {}
        self._notices: dict[str, Callable[[bytes], None]] = {}
        self._heard: dict[str, threading.Event] = {}
        self._pubsub: redis.client.PubSub | None = None
        self._reader: threading.Thread | None = None
        self.is_connected = False

    def add(self, follower: Follower) -> None:
        """Ring this follower from now on; returns when Redis has confirmed it, or after a second without."""
        channel = follower.source.channel
        with self._lock:
            self._start()
            followers = self._followers.setdefault(channel, [])
            followers.append(follower)
            heard = self._heard.setdefault(channel, threading.Event())
            if len(followers) == 1:
                self._ask("subscribe", channel)
        if not heard.wait(BELL_WAIT_S):
            heard.set()  # nobody waits any more: whoever follows by the time it is confirmed is sent to the database

    def remove(self, follower: Follower) -> None:
        """Stop ringing this follower."""
        channel = follower.source.channel
        with self._lock:
            followers = self._followers.get(channel, [])
            if follower in followers:
                followers.remove(follower)
            if not followers and channel in self._followers:
                del self._followers[channel]
                self._heard.pop(channel, None)
                self._ask("unsubscribe", channel)

    def hear(self, channel: str, handler: Callable[[bytes], None]) -> None:
        """Call `handler` with every message of a channel that is no log."""
        with self._lock:
            self._start()
            self._notices[channel] = handler
            self._ask("subscribe", channel)

    def _start(self) -> None:
        if self._reader is None:
            self._pubsub = client().pubsub(ignore_subscribe_messages=False)
            self._reader = threading.Thread(target=self._read_forever, name="tail", daemon=True)
            self._reader.start()

    def _ask(self, verb: str, channel: str) -> None:
        try:
            getattr(self._pubsub, verb)(channel)
        except redis.RedisError:
            log.warning("tail.redis_away", extra={"facts": {"verb": verb}})

    def _read_forever(self) -> None:
        pubsub = self._pubsub
        assert pubsub is not None
        while True:
            try:
                self._read_once(pubsub)
            except (redis.RedisError, OSError, RuntimeError):
                self._lost()
                # A subscription that failed leaves redis-py waiting for one, not raising: nothing is read before it is back.
                while not self._reconnect(pubsub):
                    time.sleep(POLL_S / 2)
            except Exception:
                log.exception("tail.failed")
                time.sleep(POLL_S)

    def _read_once(self, pubsub: redis.client.PubSub) -> None:
        message: dict[str, Any] | None = pubsub.get_message(timeout=QUIET_S if self.is_connected else BELL_WAIT_S)
        if message is None:
            if not self.is_connected and (self._followers or self._notices):
                raise redis.ConnectionError("No subscription was confirmed.")
            return
        channel = message["channel"].decode()
        if message["type"] == "subscribe":
            self._confirmed(channel)
        elif message["type"] == "message":
            self._carry(channel, message["data"])

    def _confirmed(self, channel: str) -> None:
        """The bell of a channel can be heard. If that was so before, the connection was new, and something may have passed unheard."""
        with self._lock:
            self.is_connected = True
            heard = self._heard.get(channel)
            followers = list(self._followers.get(channel, ())) if heard is not None and heard.is_set() else []
        if heard is not None:
            heard.set()
        for follower in followers:
            follower.look_again()

    def _carry(self, channel: str, data: bytes) -> None:
        if not channel.startswith(CHANNEL_PREFIX):
            self._notices[channel](data)
            return
        with self._lock:
            followers = list(self._followers.get(channel, ()))
        if followers:
            events = read_frame(data)
            for follower in followers:
                follower.offer(events)

    def _lost(self) -> None:
        """Send all followers to the database, where they look every second until a bell is confirmed again."""
        if not self.is_connected:
            return
        self.is_connected = False
        with self._lock:
            followers = [follower for each in self._followers.values() for follower in each]
        log.warning("tail.redis_away", extra={"facts": {"followers": len(followers)}})
        for follower in followers:
            follower.look_again()

    def _reconnect(self, pubsub: redis.client.PubSub) -> bool:
        """Connect anew with every channel asked for; each that is confirmed sends its followers to the database once. Whether it worked."""
        with self._lock:
            wanted = [*self._followers, *self._notices]
            try:
                pubsub.reset()
                if wanted:
                    pubsub.subscribe(*wanted)
            except (redis.RedisError, OSError):
                return False
        log.info("tail.redis_back", extra={"facts": {"channels": len(wanted)}})
        return True


tail = Tail()


def follow(
    source: Log, *, after: int = 0, heartbeat_s: float = 15.0, follower: Follower | None = None, is_new: bool = False
) -> Iterator[list[Event] | Ping]:
    """Yield the events of a log after a number, in order, each once, in batches as they come; never ends by itself.

    after: number of the last event the caller has; 0 is everything still kept.
    follower: one of the caller's own, to end this from elsewhere (`close`); the iterator then stops.
    is_new: the caller has added its follower before the log had anything, so that there is no past to read.
    Blocks; yields PING when nothing came for `heartbeat_s`. Changes nothing.
    Raises LogTrimmed when `after` is older than the log keeps.
    """
    follower = follower or Follower(source)
    if not is_new:
        tail.add(follower)
    try:
        has_gap = not is_new or not tail.is_connected
        quiet_since = time.monotonic()
        while not follower.is_closed:
            if has_gap:
                for page in _past(source, after):
                    yield page
                    after = page[-1].number_in(source)
                    quiet_since = time.monotonic()
            events, has_gap = follower.take(heartbeat_s if tail.is_connected else min(heartbeat_s, POLL_S))
            has_gap = has_gap or not tail.is_connected
            fresh = [event for event in events if event.number_in(source) > after]
            if fresh and [event.number_in(source) for event in fresh] != list(range(after + 1, after + 1 + len(fresh))):
                has_gap = True
            elif fresh:
                yield fresh
                after = fresh[-1].number_in(source)
                quiet_since = time.monotonic()
            if time.monotonic() - quiet_since >= heartbeat_s:
                yield PING
                quiet_since = time.monotonic()
    finally:
        tail.remove(follower)


def _past(source: Log, after: int) -> Iterator[list[Event]]:
    while True:
        page = read(source, after=after)
        if page:
            yield page
            after = page[-1].number_in(source)
        if len(page) < PAGE:
            return
