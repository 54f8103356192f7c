"""What a thread's log says in the thread protocol: each event as a frame, and which frames a client asked for.

Two kinds of runs write to the log of a thread: those that the protocol has started (`v3.<method>`, `engine.protocol`) and those of the
classic routes (`values`, `updates` …). How a run begins, what it asks and how it ends is the same for both. Pure, but for what
`Narrator` asks of a run.
Source: the types of langchain_protocol; the answers of LangGraph's own server.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from server.realtime.events import Event

__all__ = ["CHANNELS", "PREFIX", "Facts", "Filter", "Frame", "Narrator", "channel_is_known"]

PREFIX = "v3."
CHANNELS = ("values", "updates", "messages", "tools", "custom", "lifecycle", "input", "tasks", "checkpoints")
CUSTOM = "custom:"

# What the status of a run is in the protocol; a cancelled run has been interrupted, and its thread waits for nobody.
LIFECYCLE = {
    "running": "running",
    "success": "completed",
    "error": "failed",
    "timeout": "failed",
    "cancelled": "interrupted",
    "interrupted": "interrupted",
}

Namespace = tuple[str, ...]


def channel_is_known(channel: object) -> bool:
    """Whether a client may ask for it."""
    return channel in CHANNELS or (isinstance(channel, str) and channel.startswith(CUSTOM) and len(channel) > len(CUSTOM))


@dataclass(frozen=True, slots=True)
class Frame:
    """An event of the protocol. text: its JSON; channel: what a client asks for to get it."""

    seq: int
    method: str
    channel: str
    namespace: Namespace
    text: bytes


@dataclass(frozen=True)
class Filter:
    """Which frames a client wants. namespaces: the beginnings of those it wants, all where there are none; depth: how far below them."""

    channels: frozenset[str]
    namespaces: Sequence[Namespace] = ()
    depth: int | None = None

    def wants(self, frame: Frame) -> bool:
        """Whether the frame is one of them."""
        is_meant = frame.channel in self.channels or (frame.channel.startswith(CUSTOM) and "custom" in self.channels)
        return is_meant and (not self.namespaces or any(self._covers(frame.namespace, each) for each in self.namespaces))

    def _covers(self, namespace: Namespace, beginning: Namespace) -> bool:
        if len(beginning) > len(namespace) or not all(map(_is_called, namespace, beginning)):
            return False
        return self.depth is None or len(namespace) - len(beginning) <= self.depth


def _is_called(segment: str, wanted: str) -> bool:
    """Whether a segment is the wanted one; a name without a colon means all that are called so: `child` is `child:<id>` too."""
    return segment == wanted or (":" not in wanted and segment.partition(":")[0] == wanted)


@dataclass(frozen=True)
class Facts:
    """What has to be known of a run to tell of it; how it ended is known once its last event can be read."""

    graph_name: str
    error: Mapping[str, Any] | None = None
    interrupts: Sequence[Mapping[str, Any]] = ()


@dataclass
class Narrator:
    """Tells the events of a log as frames. facts: asked of a run; None where it has been deleted."""

    facts: Callable[[uuid.UUID], Facts | None]

    def frames(self, event: Event) -> list[Frame]:
        """The frames of an event, in order; none for one that the protocol does not tell.

        Where there are several, the last alone has the event's number: who comes back with the number of one of the others gets all again.
        """
        if event.type.startswith(PREFIX):
            return [_plain(event, event.type.removeprefix(PREFIX), event.data)]
        if event.run_id is None:
            return []
        if event.type == "run":
            return self._lifecycle(event, event.run_id)
        return _classic(event)

    def _lifecycle(self, event: Event, run_id: uuid.UUID) -> list[Frame]:
        happened = LIFECYCLE.get(str(event.load().get("status")))
        if happened is None:
            return []
        facts = self.facts(run_id) or Facts("")
        told: dict[str, Any] = {"event": happened, "graph_name": facts.graph_name}
        if happened == "failed":
            told["error"] = (facts.error or {}).get("message") or "The run failed."
        asked = [_asked(event, run_id, each) for each in facts.interrupts] if event.load()["status"] == "interrupted" else []
        return [*asked, _made(event, "lifecycle", (), told, name=f"synth:{run_id}:lc||{happened}")]


def _plain(event: Event, kind: str, params: bytes) -> Frame:
    """A frame of data that is stored as it goes out; only what the kind says is put before it."""
    method, *namespace = kind.split("|")
    channel = method
    method = method.partition(":")[0]
    head = orjson.dumps({"type": "event", "event_id": str(event.seq), "seq": event.seq, "method": method})
    text = head[:-1] + b',"params":{"namespace":' + orjson.dumps(namespace) + b"," + params[1:] + b"}"
    return Frame(event.seq or 0, method, channel, tuple(namespace), text)


def _made(event: Event, method: str, namespace: Namespace, data: Any, *, name: str | None = None, node: str | None = None) -> Frame:
    params: dict[str, Any] = {"namespace": list(namespace), "timestamp": int(event.created_at.timestamp() * 1000), "data": data}
    if node is not None:
        params["node"] = node
    told = {"type": "event", "event_id": name or str(event.seq), "seq": event.seq, "method": method, "params": params}
    channel = "input" if method == "input.requested" else method
    return Frame(event.seq or 0, method, channel, namespace, orjson.dumps(told))


def _asked(event: Event, run_id: uuid.UUID, asked: Mapping[str, Any]) -> Frame:
    """A question to a human. Python's client reads its `value`, the other one its `payload`."""
    namespace = tuple(asked.get("namespace") or ())
    told = {"interrupt_id": asked["id"], "payload": asked.get("value"), "value": asked.get("value")}
    name = f"synth:{run_id}:input|{'|'.join(namespace)}|{asked['id']}"
    return _made(replace(event, seq=(event.seq or 1) - 1), "input.requested", namespace, told, name=name)


def _classic(event: Event) -> list[Frame]:
    """What a run of the classic routes has said, as far as the protocol has a channel for it."""
    method, *segments = event.type.split("|")
    read = CLASSIC.get(method)
    told = list(read(orjson.loads(event.data))) if read is not None else []
    return [
        _made(event, method, tuple(segments), data, node=node, name=f"{event.seq}" if number == 0 else f"{event.seq}.{number}")
        for number, (node, data) in enumerate(told)
    ]


Read = Iterator[tuple[str | None, Any]]


def _values(said: Any) -> Read:
    yield None, {name: each for name, each in said.items() if name != "__interrupt__"} if isinstance(said, Mapping) else said


def _updates(said: Any) -> Read:
    for node, update in said.items() if isinstance(said, Mapping) else ():
        if not node.startswith("__"):
            yield node, update


def _custom(said: Any) -> Read:
    yield None, {"payload": said}


def _tasks(said: Any) -> Read:
    yield None, said


CLASSIC: dict[str, Callable[[Any], Read]] = {"values": _values, "updates": _updates, "custom": _custom, "tasks": _tasks}
