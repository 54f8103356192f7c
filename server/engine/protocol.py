"""A run told as the thread protocol tells it: LangGraph's events of version 3, each as a kind and its data, ready for the log.

A kind is `v3.<method>`, of a subgraph `v3.<method>|<segment>|<segment>`; a named custom event is `v3.custom:<name>`. The data is the JSON
text of what the protocol calls the event's params, without the namespace, which the kind says: `{"timestamp", "data"}` and of what a
node says `node`. How the run begins and ends, and what it asks, is not told here: whoever moves its status says that.
Source: the types of langchain_protocol, and the answers of LangGraph's own server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.stream import ProtocolEvent, StreamChannel, StreamTransformer

from server.engine.job import Options
from server.engine.wire import jsonable, to_json

__all__ = ["PREFIX", "Telling", "events"]

PREFIX = "v3."
# What LangGraph keeps for itself of an event is brought past its own listeners under this name.
ASIDE = "parley.tasks"
# What an empty field of a message looks like; such a field is not told.
EMPTY: tuple[Any, ...] = (None, {}, [], "")

Told = tuple[str, dict[str, Any]]
Beginning = Any


def events(graph: Pregel[Any, Any, Any, Any], beginning: Beginning, config: RunnableConfig, context: Any, options: Options) -> Telling:
    """What a graph says while it is carried out, as pairs of a kind and JSON text; nothing happens before it is iterated.

    Raises, while it is iterated, what the graph raises.
    """
    return Telling(graph, beginning, config, context, options)


class Telling:
    """A graph that is carried out as it is listened to; once.

    values: the state as it was last told. interrupts: what was asked, `{"id", "value", "namespace"}` each.
    is_interrupted: whether it stopped for somebody, also where nothing was asked (before or after a node).
    """

    def __init__(
        self, graph: Pregel[Any, Any, Any, Any], beginning: Beginning, config: RunnableConfig, context: Any, options: Options
    ) -> None:
        self.values: Any = None
        self.is_interrupted = False
        self._graph = graph
        self._beginning = beginning
        self._config = config
        self._how: dict[str, Any] = {"context": context, "durability": options.durability, "transformers": [Witness]}
        self._how |= {"interrupt_before": _nodes(options.interrupt_before), "interrupt_after": _nodes(options.interrupt_after)}
        self._asked: dict[str, dict[str, Any]] = {}
        self._held: Told | None = None
        self._graph_names: dict[tuple[str, ...], str] = {}
        self._messages = Messages()

    @property
    def interrupts(self) -> list[dict[str, Any]]:
        """What was asked."""
        return list(self._asked.values())

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        run = await self._graph.astream_events(self._beginning, self._config, version="v3", **self._how)
        async with run:
            try:
                async for event in run:
                    for told in self._paired(event):
                        yield _written(told)
            except Exception:
                for told in self._released():
                    yield _written(told)
                raise
            for told in self._released():
                yield _written(told)

    def _paired(self, event: ProtocolEvent) -> Iterator[Told]:
        """What an event is told as. A state is held until its checkpoint, which LangGraph says right after, has been told."""
        for told in self._heard(event):
            kind = told[0]
            if self._held is not None and kind != self._held[0].replace("values", "checkpoints", 1):
                yield from self._released()
            if kind.partition("|")[0] == f"{PREFIX}values":
                self._held = told
                continue
            yield told
            yield from self._released()

    def _released(self) -> Iterator[Told]:
        if self._held is not None:
            yield self._held
            self._held = None

    def _heard(self, event: ProtocolEvent) -> Iterator[Told]:
        if event["method"] == ASIDE:
            event = event["params"]["data"]
        method, params = event["method"], event["params"]
        namespace, moment, data = list(params["namespace"]), params["timestamp"], params["data"]
        name, colon, custom = method.partition(":")
        if name == "values":
            yield _told("values", namespace, moment, self._noted_values(namespace, data, params.get("interrupts") or ()))
        elif name == "updates":
            yield from self._updates(namespace, moment, data)
        elif name == "messages":
            for node, each in self._messages.told(tuple(namespace), *data):
                yield _told("messages", namespace, moment, each, node=node)
        elif name == "lifecycle":
            namespace = list(data.get("namespace") or namespace)
            yield _told("lifecycle", namespace, moment, self._lifecycle(tuple(namespace), data))
        elif name == "custom":
            named = {"name": custom} if colon else {}
            yield _told(method, namespace, moment, {**named, "payload": data})
        elif name == "checkpoints":
            yield _told("checkpoints", namespace, moment, _checkpoint(data))
        elif name in ("tasks", "tools"):
            yield _told(name, namespace, moment, data)

    def _noted_values(self, namespace: Sequence[str], values: Any, interrupts: Sequence[Any]) -> Any:
        self._note_asked(namespace, interrupts)
        if not namespace:
            self.values = values
        return _lean(values)

    def _note_asked(self, namespace: Sequence[str], interrupts: Sequence[Any]) -> None:
        """Remember what is asked; a subgraph's question is told by it first, and by all that it stands in after that."""
        for each in interrupts:
            self.is_interrupted = True
            self._asked.setdefault(each.id, {"id": each.id, "value": jsonable(each.value), "namespace": list(namespace)})

    def _updates(self, namespace: Sequence[str], moment: int, data: Mapping[str, Any]) -> Iterator[Told]:
        for node, update in data.items():
            if node == "__interrupt__":
                self.is_interrupted = True
                self._note_asked(namespace, update)
            elif not node.startswith("__"):
                yield _told("updates", namespace, moment, _lean(update), node=node)

    def _lifecycle(self, namespace: tuple[str, ...], data: Mapping[str, Any]) -> dict[str, Any]:
        """What is told of a subgraph's beginning and end; both name its graph."""
        name = self._graph_names.setdefault(namespace, data.get("graph_name") or namespace[-1].partition(":")[0])
        return {**data, "graph_name": name}


class Messages:
    """What is told of messages: those of a model as they come, those that a node has made at once.

    Where several are under way in one place, what belongs to them says to which.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, ...], dict[str, str]] = {}

    def told(self, namespace: tuple[str, ...], said: Any, about: Mapping[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """The events, with the node they come from."""
        node = about.get("langgraph_node")
        if isinstance(said, AIMessage) and not isinstance(said, AIMessageChunk):
            for each in _whole(said):
                yield node, each
        elif isinstance(said, Mapping) and "event" in said:
            yield node, self._streamed(namespace, said, str(about.get("run_id") or ""))

    def _streamed(self, namespace: tuple[str, ...], said: Mapping[str, Any], call: str) -> dict[str, Any]:
        under_way = self._open.setdefault(namespace, {})
        named: dict[str, Any] = {"run_id": call} if call else {}
        if said["event"] == "message-start":
            under_way[call] = str(said.get("id") or said.get("message_id") or "")
        elif len(under_way) > 1 and call in under_way:
            named["message_id"] = under_way[call]
        if said["event"] in ("message-finish", "error"):
            under_way.pop(call, None)
        return {**said, **named}


class Witness(StreamTransformer):
    """Asks LangGraph for everything that the protocol has a channel for, and brings aside what its own listeners swallow."""

    _native = True
    required_stream_modes: ClassVar[tuple[str, ...]] = ("updates", "custom", "checkpoints", "tasks", "tools")

    def init(self) -> dict[str, Any]:
        """The one channel it speaks on; in a subgraph's own pipeline it stays silent."""
        self._aside: StreamChannel[ProtocolEvent] = StreamChannel(ASIDE)
        return {"parley_tasks": self._aside}

    def process(self, event: ProtocolEvent) -> bool:
        """Pass everything on."""
        if event["method"] == "tasks" and not self.scope:
            self._aside.push(event)
        return True


def _told(name: str, namespace: Sequence[str], moment: int, data: Any, *, node: str | None = None) -> Told:
    kind = "|".join([PREFIX + name, *namespace])
    told = {"timestamp": moment, "data": data}
    return kind, {**told, "node": node} if node is not None else told


def _written(told: Told) -> tuple[str, bytes]:
    return told[0], to_json(told[1])


def _checkpoint(data: Mapping[str, Any]) -> dict[str, Any]:
    """Where a state stands among the others of its thread: what a client needs to come back to it."""
    about = data.get("metadata") or {}
    told = {"id": _checkpoint_id(data.get("config")), "step": about.get("step", 0), "source": about.get("source", "loop")}
    parent = _checkpoint_id(data.get("parent_config"))
    return {**told, "parent_id": parent} if parent else told


def _checkpoint_id(config: Mapping[str, Any] | None) -> str | None:
    name: str | None = (config or {}).get("configurable", {}).get("checkpoint_id")
    return name


def _whole(message: AIMessage) -> Iterator[dict[str, Any]]:
    """A message that was not streamed, as if it had been: each block begins and ends at once."""
    yield {"event": "message-start", "role": "ai", "id": message.id or ""}
    for index, block in enumerate(message.content_blocks):
        kept: dict[str, Any] = {name: each for name, each in block.items() if name != "index"}
        begun = {**kept, **EMPTIED.get(str(block.get("type")), {})}
        yield {"event": "content-block-start", "index": index, "content": begun}
        delta = DELTAS.get(str(block.get("type")))
        if delta is not None:
            yield {"event": "content-block-delta", "index": index, "delta": delta(kept)}
        yield {"event": "content-block-finish", "index": index, "content": kept}
    usage = {"usage": dict(message.usage_metadata)} if message.usage_metadata else {}
    yield {"event": "message-finish", **usage}


# A block that grows begins empty.
EMPTIED: dict[str, dict[str, str]] = {"text": {"text": ""}, "reasoning": {"reasoning": ""}}
DELTAS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "text": lambda block: {"type": "text-delta", "text": block.get("text", "")},
    "reasoning": lambda block: {"type": "reasoning-delta", "reasoning": block.get("reasoning", "")},
}


def _lean(state: Any) -> Any:
    """A state with its messages in few words: fields without content are not told."""
    if not isinstance(state, Mapping):
        return state
    return {name: [_leaner(each) for each in value] if isinstance(value, list) else _leaner(value) for name, value in state.items()}


def _leaner(value: Any) -> Any:
    if not isinstance(value, BaseMessage):
        return value
    return {name: each for name, each in value.model_dump().items() if name in ("type", "content") or each not in EMPTY}


def _nodes(nodes: Sequence[str] | str | None) -> Any:
    return "*" if nodes and "*" in nodes else nodes
