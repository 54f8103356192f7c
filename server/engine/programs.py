"""A run as a program asked for it: told in LangGraph's own stream modes, ended by the state that it leaves.

The names of the events and the shapes of their data are those of LangGraph's server: `values`, `updates`, `messages/partial`,
`messages` (for the mode messages-tuple), `custom`, `debug`, `tasks`, `checkpoints`, `events`; of a subgraph `updates|<namespace>`.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import Command, Send, StateSnapshot, StreamMode

from server.engine.failures import RECURSION_LIMIT
from server.engine.job import Emit, Job, Options, Outcome
from server.engine.people import Person
from server.engine.protocol import PREFIX, Telling
from server.engine.turns import STOPPED, TooMuch
from server.engine.wire import checkpoint_named, questions, to_json

__all__ = ["Program"]

# The mode of LangGraph for a mode of its dialect, where they differ.
MODES: dict[str, str] = {"messages-tuple": "messages"}
# What the thread protocol says of the graph itself when a node has come to its end, and when all of a step have.
STEPS = {f"{PREFIX}updates": True, f"{PREFIX}values": False}
# What all events of a run may come to, in outputs of the largest size.
MAX_OUTPUTS_SAID = 20


class Program:
    """Listens to a graph on behalf of a program. Raises TooMuch when it says more than it may."""

    def __init__(self, job: Job, options: Options, emit: Emit) -> None:
        self._job = job
        self._options = options
        self._emit = emit
        self._wanted = set(options.modes)
        self._values: Any = None
        self._told_values: bytes | None = None
        self._is_interrupted = False
        # What was asked before, and is still open while nothing has come of the answers.
        self._asked: list[dict[str, Any]] = []
        self._has_ended_one = False
        self._telling: Telling | None = None
        self._last_words: list[tuple[str, bytes]] = []
        self._said_bytes = 0
        self._messages: dict[str, BaseMessage] = {}
        asked = {MODES.get(mode, mode) for mode in options.modes if mode != "events"}
        self.modes = cast("list[StreamMode]", sorted(asked | {"values", "updates"}))
        self.subgraphs = options.subgraphs
        self.durability = options.durability
        limits = {"interrupt_before": options.interrupt_before, "interrupt_after": options.interrupt_after}
        self.interrupting = {name: _nodes(nodes) for name, nodes in limits.items() if nodes}

    def config(self) -> RunnableConfig:
        """What the graph is configured with: the program's config, and the names of what is being carried out."""
        given = dict(self._options.config)
        names = {"run_id": str(self._job.run_id), "thread_id": self._options.thread}
        config: dict[str, Any] = {
            "recursion_limit": RECURSION_LIMIT,
            "run_name": self._job.agent.agent_id,
            **given,
            "run_id": self._job.run_id,
            "configurable": {**given.get("configurable", {}), **names},
            "metadata": {**given.get("metadata", {}), "run_attempt": self._job.attempt, **names},
        }
        config["configurable"].update(self._options.checkpoint or {})
        user = config["configurable"].get("langgraph_auth_user")
        if user is not None:
            config["configurable"]["langgraph_auth_user"] = Person(user)
        return cast("RunnableConfig", config)

    async def beginning(self, graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> tuple[Any, RunnableConfig]:
        """What to give the graph, and where to begin: where an earlier attempt has left a checkpoint, nothing and there."""
        given = self._given()
        is_answer = isinstance(given, Command) and given.resume is not None
        if not self._job.is_retry and not is_answer:
            return given, config
        newest = without_checkpoint(config)
        snapshot = await graph.aget_state(newest)
        self._asked = questions(snapshot) if is_answer else []
        if not self._job.is_retry:
            return given, config
        self._emit.resumed([])
        if (snapshot.metadata or {}).get("run_id") != str(self._job.run_id):
            return given, config
        if await self._has_stopped(graph, snapshot):
            self._values, self._is_interrupted = snapshot.values, True
            return STOPPED, newest
        return None, newest

    async def _has_stopped(self, graph: Pregel[Any, Any, Any, Any], snapshot: StateSnapshot) -> bool:
        """Whether an earlier attempt came to where the run is to stop, and died before it could say so; to go on would walk past it."""
        if not snapshot.next or (snapshot.metadata or {}).get("source") != "loop":
            return False
        before = self.interrupting.get("interrupt_before") or graph.interrupt_before_nodes
        after = self.interrupting.get("interrupt_after") or graph.interrupt_after_nodes
        if _meet(before, snapshot.next):
            return True
        if not after or snapshot.parent_config is None:
            return bool(after)  # the durability `exit` has stored nothing but the stop itself
        return _meet(after, (await graph.aget_state(snapshot.parent_config)).next)

    def _given(self) -> Any:
        command = self._options.command or {}
        if command.get("resume") is None and not command.get("update") and not command.get("goto"):
            return self._job.input
        goto = command.get("goto") or ()
        steps = [_step(each) for each in (goto if isinstance(goto, list) else [goto])] if goto else ()
        return Command(update=_updates(command.get("update")), resume=command.get("resume"), goto=steps)

    def hear(self, namespace: tuple[str, ...], mode: str, part: Any) -> None:
        """Take one part of what the graph says, and pass it on if the program wants to know."""
        if mode == "messages":
            self._hear_message(namespace, *part)
            return
        if mode == "events":
            _name_messages(part)
            self._say("events", (), to_json(part))
            return
        if mode == "v3":
            if part[0] in STEPS:
                self._note_step(is_end=STEPS[part[0]])
            self._say(part[0], (), part[1])
            return
        if mode == "telling":
            self._telling = part
            return
        if not namespace:
            self._note(mode, part)
        if mode in self._wanted:
            told = to_json(_with_checkpoint(part) if mode == "debug" else part)
            if mode == "values" and not namespace and "__interrupt__" not in _keys(part):
                self._told_values = told
            self._say(mode, namespace, told, is_question=_asks(mode, part))

    def _note(self, mode: str, part: Any) -> None:
        """Remember the state that the graph is in, and that it waits."""
        if mode == "updates":
            is_question = "__interrupt__" in _keys(part)
            self._is_interrupted = self._is_interrupted or is_question
            self._note_step(is_end=not is_question)
        elif mode == "values":
            self._note_step(is_end=False)
            self._told_values = None
            self._values = (
                {name: each for name, each in part.items() if name != "__interrupt__"} if "__interrupt__" in _keys(part) else part
            )

    def _note_step(self, *, is_end: bool) -> None:
        """What was asked is answered once something follows the end of a node; one that fails ends too, and nothing follows."""
        if self._has_ended_one:
            self._asked = []
        self._has_ended_one = is_end

    def _hear_message(self, namespace: tuple[str, ...], message: BaseMessage, about: Mapping[str, Any]) -> None:
        if "messages-tuple" in self._wanted:
            self._say("messages", namespace, to_json([message, about]))
            return
        name = message.id or ""
        if name not in self._messages:
            self._say("messages/metadata", namespace, to_json({name: {"metadata": about}}))
        if isinstance(message, BaseMessageChunk):
            whole = self._messages[name] + message if name in self._messages else message
            self._messages[name] = cast("BaseMessage", whole)
            self._say("messages/partial", namespace, to_json([message_chunk_to_message(cast("BaseMessage", whole))]))
        else:
            self._messages[name] = message
            self._say("messages/complete", namespace, to_json([message]))

    def _say(self, name: str, namespace: Sequence[str], told: bytes, *, is_question: bool = False) -> None:
        """Pass it on; a question only with the end of the run, when it is stored and may be answered."""
        self._said_bytes += len(told)
        if len(told) > self._job.max_output_bytes or self._said_bytes > MAX_OUTPUTS_SAID * self._job.max_output_bytes:
            raise TooMuch
        kind = f"{name}|{'|'.join(namespace)}" if namespace else name
        if is_question:
            self._last_words.append((kind, told))
        else:
            self._emit(kind, told)

    async def outcome(self, graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> Outcome:
        """How it ended, once the graph has said everything; a run that waits says for whom and what."""
        values = self._left_values()
        if values is not None and len(values) > self._job.max_output_bytes:
            raise TooMuch
        if not (self._telling.is_interrupted if self._telling else self._is_interrupted):
            return Outcome("success", values=values, last_words=self._last_words)
        namespaces = {each["id"]: each["namespace"] for each in self._telling.interrupts} if self._telling else {}
        snapshot = await graph.aget_state(without_checkpoint(config))
        asked = [{**each, "namespace": namespaces.get(each["id"], [])} for each in questions(snapshot)]
        return Outcome("interrupted", interrupts=asked, values=values, last_words=self._last_words)

    def left(self, outcome: Outcome) -> Outcome:
        """The outcome of an attempt that was cut short, with the state that it has left and the questions that are open as before."""
        values = self._left_values()
        if not values or len(values) > self._job.max_output_bytes:
            values = None
        is_answered = self._has_ended_one and outcome.status != "error"
        asked = None if is_answered else self._asked or None
        return dataclasses.replace(outcome, values=values, interrupts=asked, last_words=self._last_words)

    def _left_values(self) -> bytes | None:
        values = self._telling.values if self._telling else self._values
        return None if values is None else self._told_values or to_json(values)


def without_checkpoint(config: RunnableConfig) -> RunnableConfig:
    """The config of the newest state of its thread."""
    named = {name: each for name, each in config.get("configurable", {}).items() if not name.startswith("checkpoint_")}
    return {**config, "configurable": named}


def _with_checkpoint(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A debug event; one of a checkpoint says which it is, and which was before it, as a thread's history does."""
    if part.get("type") != "checkpoint":
        return part
    payload = part["payload"]
    names = {"checkpoint": payload.get("config"), "parent_checkpoint": payload.get("parent_config")}
    return {**part, "payload": {**payload, **{name: checkpoint_named(config) for name, config in names.items()}}}


def _name_messages(event: Mapping[str, Any]) -> None:
    """Give the messages that a node has made their ids already, so that an event calls them as the state will that they enter."""
    if not event["event"].startswith("on_chain_"):
        return
    for made in (event["data"].get("chunk"), event["data"].get("output")):
        update = made.update if isinstance(made, Command) else made
        for value in update.values() if isinstance(update, Mapping) else [update]:
            for message in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(message, BaseMessage) and message.id is None:
                    message.id = str(uuid.uuid4())


def _asks(mode: str, part: Any) -> bool:
    """Whether a part tells of a question."""
    if mode in ("values", "updates"):
        return "__interrupt__" in _keys(part)
    about = part.get("payload") if mode == "debug" else part if mode == "tasks" else None
    return isinstance(about, Mapping) and bool(about.get("interrupts"))


def _keys(part: Any) -> Any:
    return part if isinstance(part, Mapping) else ()


def _meet(stops: Sequence[str] | str, nodes: Sequence[str]) -> bool:
    return bool(nodes) and (stops == "*" or any(node in stops for node in nodes))


def _nodes(nodes: Sequence[str] | str) -> Any:
    return "*" if nodes == "*" or "*" in nodes else [nodes] if isinstance(nodes, str) else list(nodes)


def _step(step: Any) -> Any:
    """A step to go to: a node's name, or `{"node", "input"}` for one with an input of its own."""
    return Send(step["node"], step.get("input")) if isinstance(step, Mapping) else step


def _updates(update: Any) -> Any:
    """An update of the state: an object, or pairs of a name and a value."""
    return [tuple(each) for each in update] if isinstance(update, list) else update
