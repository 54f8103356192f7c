"""An event, and how it travels: one frame a batch, on the channel of each log that it stands in."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from server.kit.clock import iso

__all__ = ["Event", "Log", "frames", "of_run", "of_stream", "read_frame"]

CHANNEL_PREFIX = "parley:events:"


@dataclass(frozen=True, slots=True)
class Log:
    """A log that can be followed: everything of a stream, or everything of one run (whatever stream it is in)."""

    kind: Literal["stream", "run"]
    name: str

    @property
    def channel(self) -> str:
        """The Redis channel on which its new events are carried."""
        return f"{CHANNEL_PREFIX}{self.kind}:{self.name}"


def of_run(run_id: uuid.UUID) -> Log:
    """The log of one run."""
    return Log("run", str(run_id))


def of_stream(stream: str) -> Log:
    """The log of a stream, such as `chat:<id>`."""
    return Log("stream", stream)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, numbered without gaps from 1 in its stream and, when a run did it, in its run.

    data: the JSON text of an object; kept as text, because most readers only pass it on.
    """

    stream: str | None
    seq: int | None
    run_id: uuid.UUID | None
    run_seq: int | None
    type: str
    data: bytes
    created_at: dt.datetime

    def number_in(self, log: Log) -> int:
        """Its number in one of its logs."""
        number = self.run_seq if log.kind == "run" else self.seq
        assert number is not None
        return number

    def load(self) -> dict[str, Any]:
        """Its data as an object."""
        loaded: dict[str, Any] = orjson.loads(self.data)
        return loaded

    def logs(self) -> list[Log]:
        """The logs that it stands in."""
        logs = []
        if self.run_id is not None:
            logs.append(of_run(self.run_id))
        if self.stream is not None:
            logs.append(of_stream(self.stream))
        return logs


def frames(events: list[Event]) -> list[tuple[str, bytes]]:
    """What to publish for a batch: (channel, frame) pairs, the events of each channel in the batch's order."""
    by_channel: dict[str, list[Any]] = {}
    for event in events:
        row = [
            event.stream,
            event.seq,
            str(event.run_id) if event.run_id else None,
            event.run_seq,
            event.type,
            iso(event.created_at),
            orjson.Fragment(event.data),
        ]
        for log in event.logs():
            by_channel.setdefault(log.channel, []).append(row)
    return [(channel, orjson.dumps(rows)) for channel, rows in by_channel.items()]


def read_frame(frame: bytes) -> list[Event]:
    """The events of a published frame."""
    return [
        Event(
            stream,
            seq,
            uuid.UUID(run_id) if run_id else None,
            run_seq,
            kind,
            orjson.dumps(data),
            dt.datetime.fromisoformat(created_at),
        )
        for stream, seq, run_id, run_seq, kind, created_at, data in orjson.loads(frame)
    ]
