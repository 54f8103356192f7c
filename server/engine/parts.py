"""From LangGraph's stream parts to events, and from an agent's state to its answer."""

from __future__ import annotations

import enum
import math
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from langchain_core.load.dump import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langgraph.types import StreamMode

__all__ = ["MODES", "Narrator", "answer_in", "interrupts_in", "kept_message_ids", "message_id"]

# What the engine asks LangGraph for.
MODES: list[StreamMode] = ["messages", "tasks", "updates", "values"]

# A longer piece of text is said in pieces, so that no event is large.
MAX_DELTA_CHARS = 16_000

# Whole numbers beyond it are told as text: readers of JSON would round them.
MAX_NUMBER = 2**53

# Nodes that LangGraph adds and nobody wants to hear of.
SILENT_NODES = ("__start__", "__end__", "__interrupt__")
SILENT_HOOK = re.compile(r"\.(before|after)_(agent|model)$")


def message_id(run_id: uuid.UUID, name: str | None) -> str:
    """The id under which a message of a run is streamed and stored; the same for the same LangChain message."""
    return str(uuid.uuid5(run_id, name or ""))


class Narrator:
    """Tells a run's stream as events: tokens of the agent's messages, beginnings and ends of its steps.

    said_chars: how much text it has told.
    """

    def __init__(self, run_id: uuid.UUID, agent_id: str) -> None:
        self._run_id = run_id
        self._agent_id = agent_id
        self._steps: dict[str, str] = {}
        self.said_chars = 0

    def tell(self, mode: str, part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events that a part of the stream stands for, as (type, data)."""
        about = {"run_id": str(self._run_id), "agent_id": self._agent_id}
        if mode == "messages":
            message, _ = part
            text = clean(message.text) if isinstance(message, (AIMessage, AIMessageChunk)) else ""
            self.said_chars += len(text)
            for start in range(0, len(text), MAX_DELTA_CHARS):
                spoken = {"message_id": message_id(self._run_id, message.id), "delta": text[start : start + MAX_DELTA_CHARS]}
                yield "token", {**about, **spoken}
        elif mode == "tasks" and (name := self._step_name(part)) is not None:
            yield "step", {**about, "name": name, "phase": "end" if "result" in part else "start"}

    def _step_name(self, part: Any) -> str | None:
        """A step's name, for a tool's step the tool's; None for a step that LangGraph or a middleware adds."""
        if "result" in part:
            return self._steps.pop(part["id"], None)
        if part["name"] in SILENT_NODES or SILENT_HOOK.search(part["name"]):
            return None
        name = self._steps[part["id"]] = clean(_tool_name(part.get("input")) or part["name"])
        return name


def _tool_name(step_input: Any) -> str | None:
    """The tool that a step of LangGraph's ToolNode calls."""
    first = step_input[0] if isinstance(step_input, list) and step_input else step_input
    if isinstance(first, Mapping) and first.get("type") == "tool_call":
        return str(first.get("name"))
    call = first.get("tool_call") if isinstance(first, Mapping) else None
    return str(call["name"]) if isinstance(call, Mapping) and "name" in call else None


def interrupts_in(update: Any) -> list[dict[str, Any]]:
    """The questions in an `updates` part, as `{"id", "value"}`; an interrupt before or after a node has neither and asks nothing."""
    if not isinstance(update, Mapping) or "__interrupt__" not in update:
        return []
    return [{"id": each.id, "value": jsonable(each.value)} for each in update["__interrupt__"]]


def answer_in(run_id: uuid.UUID, values: Any) -> dict[str, Any]:
    """What the agent said last, as `{"message_id", "content"}`; `values` is the state at the end of a graph.

    A graph without messages answers with its `output` or `answer`, else with its whole state.
    """
    messages = values.get("messages") if isinstance(values, Mapping) else None
    if messages is not None:
        return _last_words(run_id, messages)
    if isinstance(values, Mapping):
        values = next((values[name] for name in ("output", "answer", "result") if name in values), values)
    return {"message_id": message_id(run_id, None), "content": clean(_text(values))}


def _last_words(run_id: uuid.UUID, messages: Sequence[Any]) -> dict[str, Any]:
    """The newest message of the agent that comes after the newest one of the human."""
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            return {"message_id": message_id(run_id, message.id), "content": clean(message.text)}
        if isinstance(message, HumanMessage):
            break
    return {"message_id": message_id(run_id, None), "content": ""}


def kept_message_ids(run_id: uuid.UUID, values: Any) -> list[str]:
    """The ids of the messages that a checkpoint holds already."""
    messages: Sequence[Any] = values.get("messages", ()) if isinstance(values, Mapping) else ()
    return [message_id(run_id, message.id) for message in messages if isinstance(message, BaseMessage)]


def clean(text: str) -> str:
    """Text without what a database or JSON cannot hold: NUL characters and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def jsonable(value: Any) -> Any:
    """A value as JSON takes it; LangChain's own objects in their serialised form."""
    if isinstance(value, BaseMessage):
        return jsonable(dumpd(value))
    if isinstance(value, Mapping):
        return {clean(str(key)): jsonable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(each) for each in value]
    if isinstance(value, enum.Enum):
        return jsonable(value.value)
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_NUMBER:
        return str(value)
    if value is None or isinstance(value, (int, float, bool)):
        return value
    if hasattr(value, "model_dump"):
        return jsonable(value.model_dump(mode="json"))
    return clean(str(value))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(jsonable(value), option=orjson.OPT_INDENT_2).decode()
