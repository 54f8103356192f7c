"""Reading a thread in the thread protocol: what was said after a number, then what is said from now on.

A client may listen to a thread before there is one: its next command makes it. Reading changes nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

from server.kit.errors import Gone
from server.langgraph_api.protocol_events import Facts, Frame, Narrator
from server.realtime.events import Log, of_stream
from server.realtime.log import read
from server.realtime.tail import Follower, Ping, follow
from server.runs.threads import reads
from server.runs.threads.models import stream_of

__all__ = ["HEARTBEAT_S", "Reader", "SinceUnknown", "thread_when_made"]

HEARTBEAT_S = 5.0
LOOK_S = (0.1, 1.0)  # how often a thread that is not there yet is looked for: at first, and after a while
WHILE_S = 5.0


class SinceUnknown(Gone):
    """The events after that number are not known here any more; read the state of the thread and go on without a number."""

    code = "since_unknown"


def thread_when_made(owner_id: uuid.UUID, name: str, is_over: Callable[[], bool]) -> Iterator[uuid.UUID | None]:
    """The id of the owner's thread of that name, once there is one; None whenever a heartbeat is due until then, and when it is over."""
    began = quiet_since = time.monotonic()
    while not is_over():
        thread_id = reads.id_named(owner_id, name)
        if thread_id is not None:
            yield thread_id
            return
        if time.monotonic() - quiet_since >= HEARTBEAT_S:
            yield None
            quiet_since = time.monotonic()
        time.sleep(LOOK_S[time.monotonic() - began > WHILE_S])


class Reader:
    """Reads one thread, in order, each event once.

    position: the number of the last event that was read.
    """

    def __init__(self, thread_id: uuid.UUID) -> None:
        self.follower = Follower(of_stream(stream_of(thread_id)))
        self.position = 0
        self.thread_id = thread_id
        self._narrator = Narrator(_facts)

    def begin(self, since: int | None) -> None:
        """Go to a number; None is the oldest that is kept. Raises SinceUnknown."""
        trimmed, newest = reads.bounds(self.thread_id)
        if since is not None and not trimmed <= since <= newest:
            raise SinceUnknown
        self.position = trimmed if since is None else since

    def past(self, since: int | None) -> Iterator[Frame]:
        """What was said after a number (None: all that is kept), up to the position. Raises SinceUnknown."""
        other = Reader(self.thread_id)
        other.begin(since)
        while other.position < self.position:
            page = read(self._log, after=other.position)
            if not page:
                return
            for event in page:
                if (event.seq or 0) > self.position:
                    return
                yield from self._narrator.frames(event)
                other.position = event.seq or 0

    def catch_up(self) -> Iterator[Frame]:
        """What was said after the position, until now."""
        while page := read(self._log, after=self.position):
            for event in page:
                yield from self._narrator.frames(event)
                self.position = event.seq or self.position

    def live(self) -> Iterator[tuple[int, list[Frame]]]:
        """What is said after the position, in batches with the number of their last event, and an empty batch when nothing was for
        HEARTBEAT_S; until the follower is closed. Whoever sends a batch moves the position.
        """
        newest = self.position
        for batch in follow(self._log, after=self.position, heartbeat_s=HEARTBEAT_S, follower=self.follower):
            if isinstance(batch, Ping):
                yield newest, []
                continue
            newest = batch[-1].seq or newest
            yield newest, [frame for event in batch for frame in self._narrator.frames(event)]

    @property
    def _log(self) -> Log:
        return self.follower.source


def _facts(run_id: uuid.UUID) -> Facts | None:
    row = reads.run_facts(run_id)
    return Facts(row.agent_id, row.error, row.interrupts or ()) if row is not None else None
